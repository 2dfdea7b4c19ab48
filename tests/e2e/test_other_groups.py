"""An environment or a storage account of another resource group, named by its resource id."""

import io
import json
import re

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.edited_app import with_small_app
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.deploy.action import Action
from ai_toolkit.errors import PreflightFailed, ValueImpossible
from ai_toolkit.take_down.run import Answers as Down
from ai_toolkit.take_down.run import take_down
from ai_toolkit.take_down.run import what_if as down_what_if
from ai_toolkit.workspace.elsewhere import TYPES
from ai_toolkit.workspace.located import Located
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

QUIET = "Nothing changed since the last provisioning"


@pytest.fixture
async def shared(ground):
    """What somebody else provisioned in a group of their own: ids by parameter, and the share's name."""
    await ground.provision()
    async with ground.manager() as manager:
        found = {one.type: one.name for one in await manager.resources(ground.group)}
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:  # it holds the only GPU
        await (await client.container_apps.begin_delete(ground.group, ground.config["ACA_APP_NAME"])).result()
    here = f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups/{ground.group}/providers"
    return {name: f"{here}/{kind}/{found[kind.lower()]}" for name, kind in TYPES.items()} | {
        "fileShareName": ground.config["FILE_SHARE_NAME"],
    }


@pytest.fixture
def beside(ground):
    """The same workspace, to be provisioned in a second group."""
    other = ground.__class__(ground.workspace, f"{ground.group[:50]}-apps", ground.home)
    (other.workspace.folder / "infra/inference.config.json").unlink(missing_ok=True)
    return other


async def types(ground):
    async with ground.manager() as manager:
        return sorted(one.type for one in await manager.resources(ground.group))


async def definitions(ground, environment_id):
    located = Located.of(environment_id, "", "")
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        listed = await client.managed_environments_storages.list(located.group, located.name)
        return {one["name"] for one in listed.as_dict()["value"]}


async def test_only_the_app_is_made_beside_what_ids_name(ground, shared, beside):
    """The share's mount, the deploy and a second Provision find what lies in the other group; nothing else is made."""
    beside.give(**shared, acaEnvironmentStorageName="mine")
    person = Person()
    done = await beside.provision(person)
    app = with_small_app(beside)
    _person, deployed = await app.deploy(wake=True)
    again = Person()
    await beside.provision(again)

    assert await types(beside) == ["microsoft.app/containerapps"]
    assert [one.rpartition("/")[0].rpartition("/")[2] for one in done.created] == ["containerApps", "storages"]
    assert "mine" in await definitions(ground, shared["acaEnvironmentName"])
    assert "Added the storage definition mine" in person.text
    assert beside.config["STORAGE_ACCOUNT_NAME"].lower() == shared["storageAccountName"].lower()
    assert deployed.action is not Action.NOTHING
    assert QUIET in again.text


async def test_what_was_put_into_another_group_is_shown_put_back_and_taken_down(ground, shared, beside):
    """Somebody changed our definition there; `aitk down` names and removes it, and nothing else of that group."""
    before = (await definitions(ground, shared["acaEnvironmentName"]), await types(ground))
    beside.give(**shared, acaEnvironmentStorageName="mine")
    await beside.provision()
    located = Located.of(shared["acaEnvironmentName"], "", "")
    file = {"accountName": "another", "accountKey": "a2V5", "shareName": "another", "accessMode": "ReadOnly"}
    body = io.BytesIO(json.dumps({"properties": {"azureFile": file}}).encode())
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        await client.managed_environments_storages.create_or_update(located.group, located.name, "mine", body)
    told = Person("put back")
    await beside.provision(told)
    foreseen = await down_what_if(beside.workspace, Person(), Down())
    person = Person("yes")
    done = await take_down(beside.workspace, person, Down())

    assert '~ properties.azureFile.accessMode: "ReadOnly" -> "ReadWrite"' in told.text
    assert "Put back: storages mine." in told.text
    assert f"storage definition mine in {ground.group}" in foreseen.removed
    assert f"storage definition mine in {ground.group}" in done.removed
    assert (await definitions(ground, shared["acaEnvironmentName"]), await types(ground)) == before
    assert await types(beside) == []


async def test_a_definition_that_is_there_is_used(ground, shared, beside):
    """Nothing is put into the other group, and `aitk down` leaves it."""
    [name] = await definitions(ground, shared["acaEnvironmentName"])
    beside.give(**shared, acaEnvironmentStorageName=name)
    done = await beside.provision()
    foreseen = await down_what_if(beside.workspace, Person(), Down())

    assert not any(one.startswith("storage definition") for one in foreseen.removed)
    assert any(name in one and "was there before" in one for one in foreseen.stays)

    assert [one.rpartition("/")[0].rpartition("/")[2] for one in done.created] == ["containerApps"]
    assert await definitions(ground, shared["acaEnvironmentName"]) == {name}


async def test_an_account_of_its_own_beside_another_group_s_environment_is_refused_before_it_is_made(shared, beside):
    """The definition needs the account's key before the app exists, and the template reaches its own group only."""
    beside.give(acaEnvironmentName=shared["acaEnvironmentName"], acaEnvironmentStorageName="mine")
    with pytest.raises(PreflightFailed, match="a share that does not exist yet"):
        await beside.provision(Person())


async def test_an_id_of_this_very_group_means_the_name(ground):
    """What it names is made where it is missing."""
    group = f"/subscriptions/{LOCAL_SUBSCRIPTION.upper()}/resourcegroups/{ground.group.upper()}"
    ground.give(acaEnvironmentName=f"{group}/providers/microsoft.app/managedenvironments/surroundings")
    person = Person()
    await ground.provision(person)

    assert person.origin("acaEnvironmentName") == ("surroundings", "inference.parameters.json")
    assert "microsoft.app/managedenvironments" in await types(ground)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("storageAccountName", "Microsoft.Storage/storageAccounts", "no such account with this share"),
        ("acaEnvironmentName", "Microsoft.App/managedEnvironments", "no such environment"),
    ],
)
async def test_an_id_of_nothing_is_said(ground, name, kind, said):
    """Where it was looked for, and that nothing is made there."""
    ground.give(**{name: f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups/elsewhere/providers/{kind}/nothing"})
    with pytest.raises(ValueImpossible, match=f"{said} in the resource group elsewhere"):
        await ground.provision(Person())


@pytest.mark.parametrize(
    "wrong",
    [
        "/subscriptions/x/resourceGroups/y",
        "/subscriptions/x/resourceGroups/y/providers/Microsoft.Storage/storageAccounts/UPPER",
        "/subscriptions/x/resourceGroups/y/providers/Microsoft.App/managedEnvironments/env",
        "y/account",
    ],
)
async def test_what_is_no_id_of_an_account_is_refused(ground, wrong):
    """Of another type, cut, or with a name that no account has."""
    ground.give(storageAccountName=wrong)
    with pytest.raises(ValueImpossible, match=re.escape("or the resource id of one, are allowed")):
        await ground.provision(Person())
