"""An account that somebody closed after it was provisioned: a Provision that has nothing to deploy notices it."""

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import STORAGE_API_VERSION
from ai_toolkit.errors import PreflightFailed

QUIET = "Nothing changed since the last provisioning"


async def change_account(ground, **properties):
    async with ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as client:
        account = ground.config["STORAGE_ACCOUNT_NAME"]
        await client.storage_accounts.update(ground.group, account, {"properties": properties})


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"allowSharedKeyAccess": False}, "does not allow access by account key"),
        ({"publicNetworkAccess": "Disabled"}, "closed to every network"),
    ],
)
async def test_an_account_that_nobody_can_mount_any_longer_ends_provision(ground, properties, said):
    """Everything exists and nothing works: that is said, with what to do."""
    await ground.provision()
    await change_account(ground, **properties)

    with pytest.raises(PreflightFailed, match=said):
        await ground.provision(Person())


async def test_an_account_that_lets_in_fewer_is_told(ground):
    """Whether app and computer are among them cannot be seen from here."""
    await ground.provision()
    rules = {"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.7"}]}
    await change_account(ground, networkAcls=rules)
    person = Person()
    await ground.provision(person)

    assert "lets in 203.0.113.7 only" in person.text
    assert QUIET in person.text
