"""What somebody changed beside the app, of what Provision made: told property by property, put back where wanted."""

import asyncio
import io
import json

import pytest
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from tests.support.edited_app import Nobody
from tests.support.provisioning import Person, make_ground

from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION
from ai_toolkit.azure.neighbours import LOGS_API_VERSION
from ai_toolkit.errors import CloudError
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.run import provision, what_if
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

QUIET = "Nothing changed since the last provisioning"
LEFT = "It was left as it is; aitk provision --put-back puts it back."
VERSIONS = {"App": APP_API_VERSION, "Storage": STORAGE_API_VERSION, "OperationalInsights": LOGS_API_VERSION}


@pytest.fixture(scope="module")
def made(tmp_path_factory, cloud_home):
    """What Provision made, which the tests of this module change one after the other: ids by type."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_LOCAL_CLOUD_HOME", str(cloud_home))
        ground = make_ground(tmp_path_factory.mktemp("around"), cloud_home)
        done = asyncio.run(ground.provision())
        yield ground, {one.split("/")[-2]: one for one in done.created}


class Azure:
    """What somebody else does with resources, by their ids."""

    def __init__(self, ground):
        self.ground = ground

    async def read(self, resource_id):
        async with self.ground.client(ResourceManagementClient) as client:
            return (await client.resources.get_by_id(resource_id, api_version=_version(resource_id))).as_dict()

    async def patch(self, resource_id, **body):
        await self._send("begin_update_by_id", resource_id, body)

    async def put(self, resource_id, **body):
        await self._send("begin_create_or_update_by_id", resource_id, body)

    async def _send(self, how, resource_id, body):
        async with self.ground.client(ResourceManagementClient) as client:
            send, sent = getattr(client.resources, how), io.BytesIO(json.dumps(body).encode())
            await (await send(resource_id, api_version=_version(resource_id), parameters=sent)).result()


def _version(resource_id):
    return VERSIONS[resource_id.partition("/providers/Microsoft.")[2].partition("/")[0]]


async def provisioned(ground, person=None, **answers):
    person = person or Person()
    await provision(ground.workspace, person, Answers(LOCAL_SUBSCRIPTION, ground.group, agreed=True, **answers))
    return person


def at(body, path):
    for key in path:
        body = next(one for one in body if one["name"] == key) if isinstance(body, list) else (body or {}).get(key)
    return body


PROFILES = [{"name": "Consumption", "workloadProfileType": "Consumption"}, {"name": "d4", "workloadProfileType": "D4"}]
CASES = {
    "tags": (
        "managedEnvironments",
        {"tags": {"ai-toolkit": "mine", "owner": "me"}},
        ("tags", "ai-toolkit"),
        "inference",
    ),
    "logs": (
        "managedEnvironments",
        {"properties": {"appLogsConfiguration": {"destination": "azure-monitor"}}},
        ("properties", "appLogsConfiguration", "destination"),
        "log-analytics",
    ),
    "another workspace": (
        "managedEnvironments",
        {
            "properties": {
                "appLogsConfiguration": {
                    "destination": "log-analytics",
                    "logAnalyticsConfiguration": {"customerId": "another", "sharedKey": "k"},
                }
            }
        },
        ("properties", "appLogsConfiguration", "logAnalyticsConfiguration", "customerId"),
        None,
    ),
    "old TLS": (
        "storageAccounts",
        {"properties": {"minimumTlsVersion": "TLS1_0"}},
        ("properties", "minimumTlsVersion"),
        "TLS1_2",
    ),
    "open blobs": (
        "storageAccounts",
        {"properties": {"allowBlobPublicAccess": True}},
        ("properties", "allowBlobPublicAccess"),
        False,
    ),
    "quota": ("shares", {"properties": {"shareQuota": 100}}, ("properties", "shareQuota"), 1024),
    "retention": ("workspaces", {"properties": {"retentionInDays": 90}}, ("properties", "retentionInDays"), 30),
}


@pytest.mark.parametrize(("kind", "change", "path", "wanted"), CASES.values(), ids=CASES)
async def test_what_somebody_changed_is_told_and_put_back_only_where_that_is_wanted(made, kind, change, path, wanted):
    """Nobody asked, it stays; put back, just that is changed; the next Provision is quiet."""
    ground, ids = made
    azure = Azure(ground)
    before = await azure.read(ids[kind])
    await azure.patch(ids[kind], **change)
    nobody = await provisioned(ground, Nobody())
    left = await azure.read(ids[kind])
    put_back = await provisioned(ground, put_back=True)
    after = await azure.read(ids[kind])
    quiet = await provisioned(ground)

    assert f"{'.'.join(path)}: " in nobody.text
    assert LEFT in nobody.text
    assert QUIET not in nobody.text
    assert at(left, path) == at(change, path)
    assert f"Put back: {kind} " in put_back.text
    assert at(after, path) == (at(before, path) if wanted is None else wanted)
    assert QUIET in quiet.text
    assert "sharedKey" not in nobody.text + put_back.text


async def test_a_profile_that_somebody_added_stays_and_one_that_is_gone_comes_back(made):
    """The environment's list of them is sent whole; a deleted GPU profile is foreseen in the preview."""
    ground, ids = made
    azure = Azure(ground)
    await azure.patch(ids["managedEnvironments"], properties={"workloadProfiles": PROFILES}, tags={"ai-toolkit": "x"})
    person = await provisioned(ground, put_back=True)
    environment = await azure.read(ids["managedEnvironments"])
    quiet = await provisioned(ground)

    assert "tags.ai-toolkit" in person.text
    assert {one["name"] for one in environment["properties"]["workloadProfiles"]} == {"Consumption", "d4", "gpu"}
    assert environment["tags"]["ai-toolkit"] == "inference"
    assert QUIET in quiet.text


@pytest.mark.parametrize(
    "changed", [{"accessMode": "ReadOnly"}, {"shareName": "other"}, {"accountName": "otheraccount"}]
)
async def test_a_storage_definition_that_somebody_changed_is_told_and_put_back(made, changed):
    """Access mode, share, account; the account's key goes with it, and is shown nowhere."""
    ground, ids = made
    azure = Azure(ground)
    before = (await azure.read(ids["storages"]))["properties"]["azureFile"]
    await azure.put(ids["storages"], properties={"azureFile": {**before, **changed, "accountKey": "a2V5"}})
    foreseen = Person()
    await what_if(ground.workspace, foreseen, Answers(LOCAL_SUBSCRIPTION, ground.group, agreed=True))
    asked = await provisioned(ground, Person("leave"))
    left = (await azure.read(ids["storages"]))["properties"]["azureFile"]
    chosen = await provisioned(ground, Person("put back"))
    after = (await azure.read(ids["storages"]))["properties"]["azureFile"]
    quiet = await provisioned(ground)

    [name] = changed
    said = f"~ properties.azureFile.{name}: {json.dumps(changed[name])} -> {json.dumps(before[name])}"
    assert said in foreseen.text
    assert said in asked.text
    assert left == {**before, **changed}
    assert said in chosen.text
    assert after == before
    assert QUIET in quiet.text


async def test_it_is_told_too_where_something_else_is_provisioned(made):
    """Another parameter sends a deployment, which would leave the environment as somebody has it."""
    ground, ids = made
    azure = Azure(ground)
    await azure.patch(ids["managedEnvironments"], tags={"ai-toolkit": "mine"})
    ground.give(concurrentRequests=8)
    left = await provisioned(ground, Nobody())
    ground.give(concurrentRequests=16)
    put_back = await provisioned(ground, put_back=True)
    environment = await azure.read(ids["managedEnvironments"])

    assert LEFT in left.text
    assert "Put back: managedEnvironments " in put_back.text
    assert environment["tags"]["ai-toolkit"] == "inference"


async def test_what_a_put_back_is_refused_is_said(made):
    """With Azure's own word; nothing else is sent."""
    ground, ids = made
    azure = Azure(ground)
    await azure.patch(ids["managedEnvironments"], tags={"ai-toolkit": "mine"})
    with ground.faults() as faults:
        faults.add("status", status=403, method="PATCH", path="managedEnvironments", count=9)
        with pytest.raises(CloudError, match=r"managedEnvironments .* could not be put back"):
            await provisioned(ground, put_back=True)
    await provisioned(ground, put_back=True)


async def test_what_somebody_else_made_is_not_looked_at(made, tmp_path):
    """An environment that was there before is used as it is, whatever its tags."""
    ground, ids = made
    other = make_ground(tmp_path, ground.home)
    name = ids["managedEnvironments"].rpartition("/")[2]
    other = other.__class__(other.workspace, ground.group, ground.home)
    other.give(acaEnvironmentName=f"{name}x", acaLogAnalyticsName="theirs")
    azure = Azure(ground)
    body = await azure.read(ids["managedEnvironments"])
    theirs = ids["managedEnvironments"] + "x"
    profiles = body["properties"]["workloadProfiles"]
    await azure.put(theirs, location=body["location"], tags={"a": "b"}, properties={"workloadProfiles": profiles})
    other.give(acaAppName="their-app", acaEnvironmentStorageName="theirs", **_share(ids))
    await provisioned(other)
    again = await provisioned(other)

    assert QUIET in again.text
    assert (await azure.read(theirs))["tags"] == {"a": "b"}


def _share(ids):
    return {
        "storageAccountName": ids["storageAccounts"].rpartition("/")[2],
        "fileShareName": ids["shares"].rpartition("/")[2],
    }
