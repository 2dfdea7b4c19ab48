"""`aitk down` against a local cloud: all that Provision made goes, whatever cut it off, and nothing else does."""

import asyncio
import json

import pytest
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.storage.aio import StorageManagementClient
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION
from ai_toolkit.errors import CloudError, Interrupted, UsageError
from ai_toolkit.take_down.run import Answers, take_down, what_if
from ai_toolkit.ui import CLOSING
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

KINDS = ("storageAccounts", "shares", "workspaces", "managedEnvironments", "storages", "containerApps")


def answers(ground, **more):
    return Answers(LOCAL_SUBSCRIPTION, ground.group, **more)


async def resources(ground):
    """Kinds of what is in the group; None without a group."""
    async with ground.manager() as manager:
        if await manager.resource_group(ground.group) is None:
            return None
        return sorted(one.type.rpartition("/")[2] for one in await manager.resources(ground.group))


async def share_of(ground, person):
    """The share's name, as a preview tells it."""
    plan = await what_if(ground.workspace, person, answers(ground))
    told = [one for one in plan.stays if one.startswith("file share ")]
    return told[0].split()[2].rstrip(":") if told else None


async def test_it_goes_and_is_made_again_and_the_models_stay(ground):
    """The share with its account stay; the files are as before the first Provision; the next one finds the share."""
    (ground.workspace.folder / "infra/inference.config.json").write_text(json.dumps({"MINE": 1}))
    await ground.provision()
    before = ground.config
    person = Person("yes")
    done = await take_down(ground.workspace, person, Answers())

    assert await resources(ground) == ["storageaccounts"]
    assert [one.split()[0] for one in done.removed] == ["container", "environment", "log"]
    assert f"aitk down --models {before['FILE_SHARE_NAME']}" in "\n".join(done.stays)
    assert ground.config == {**dict.fromkeys(before), "MINE": 1}
    assert any("removing environment" in one for one in person.reports)

    again = Person()
    await ground.provision(again)
    assert ground.config["FILE_SHARE_NAME"] == before["FILE_SHARE_NAME"]
    assert ground.config["STORAGE_ACCOUNT_NAME"] == before["STORAGE_ACCOUNT_NAME"]

    await take_down(ground.workspace, Person("yes"), Answers(models=before["FILE_SHARE_NAME"]))
    assert await resources(ground) is None


class CutsOff(Person):
    """Cancels the task, or closes the editor, as soon as a resource of that kind is told of by the deployment."""

    def __init__(self, kind, *, closing=False):
        super().__init__()
        self._kind, self._reason = kind, (CLOSING,) if closing else ()

    def announce(self, message, *tone):
        super().announce(message, *tone)
        if message.strip().startswith(("running", "done")) and f" {self._kind} " in message:
            self._kind = "nothing more"
            asyncio.current_task().cancel(*self._reason)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_provision_that_was_cut_off_left_goes(ground, kind):
    """While or after each of its resources is made; a second run finds nothing to remove."""
    with pytest.raises(Interrupted):
        await asyncio.create_task(ground.provision(CutsOff(kind)))
    share = await share_of(ground, Person())
    await take_down(ground.workspace, Person("yes"), Answers(models=share))
    again = Person()

    assert await resources(ground) is None
    assert (await take_down(ground.workspace, again, Answers())).removed == ()
    assert not again.asked


async def test_cut_off_with_the_group_alone_the_group_goes(ground):
    """Where nothing was sent, nothing is there; where only the group was made, it goes."""
    async with ground.manager() as manager:
        await manager.create_resource_group(ground.group, "westus3")
    await take_down(ground.workspace, Person("yes"), answers(ground))

    assert await resources(ground) is None


async def test_a_deployment_that_still_runs_is_cancelled_first(ground):
    """As an editor that was closed leaves it; after asking."""
    with ground.faults() as faults:
        faults.add("replica-slow", seconds=5)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(ground.provision(CutsOff("containerApps", closing=True)))
        person = Person("yes", "yes")
        await take_down(ground.workspace, person, Answers())

    assert "still runs" in person.asked[0].title
    assert await resources(ground) == ["storageaccounts"]


async def test_what_a_person_put_beside_ours_survives(ground):
    """A job in the environment, another share in the account, a vault in the group: each is named."""
    await ground.provision()
    config = ground.config
    async with ground.manager() as manager:
        environment = next(
            one for one in await manager.resources(ground.group) if one.type.endswith("managedenvironments")
        )
    job = {
        "location": environment.location,
        "properties": {
            "environmentId": environment.id,
            "configuration": {"triggerType": "Manual", "replicaTimeout": 60},
            "template": {"containers": [{"name": "train", "image": "docker.io/library/bash"}]},
        },
    }
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as apps:
        await (await apps.jobs.begin_create_or_update(ground.group, "training", job)).result()
    async with ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as storage:
        await storage.file_shares.create(ground.group, config["STORAGE_ACCOUNT_NAME"], "theirs", {})
    done = await take_down(ground.workspace, Person("yes"), Answers(models=config["FILE_SHARE_NAME"]))
    stays = "\n".join(done.stays)

    assert await resources(ground) == ["jobs", "managedenvironments", "storageaccounts", "workspaces"]
    assert "job training lives in it" in stays
    assert "it holds the file share theirs" in stays
    assert [one.split()[0] for one in done.removed] == ["container", "storage", "file"]
    assert ground.config["ACA_APP_NAME"] is None


LIVES = {"location": "westus3", "properties": {"environmentId": "{environment}"}}
SITE = {"location": "westus3", "kind": "functionapp,linux,container,azurecontainerapps"}
FUNCTIONS = {
    "location": "westus3",
    "kind": "functionapp",
    "properties": {
        "environmentId": "{environment}",
        "template": {"containers": [{"name": "f", "image": "docker.io/library/bash"}]},
    },
}
INSIGHTS = {"location": "westus3", "kind": "web", "properties": {"WorkspaceResourceId": "{logs}"}}
NEIGHBOURS = (
    ("Microsoft.App/sessionPools", LIVES, "session pool theirs lives in it"),
    ("Microsoft.Web/sites", SITE | {"properties": {"managedEnvironmentId": "{environment}"}}, "Functions app theirs"),
    ("{environment}/daprComponents", {"properties": {"componentType": "state.redis"}}, "Dapr component theirs"),
    ("{environment}/javaComponents", {"properties": {"componentType": "SpringBootAdmin"}}, "Java component theirs"),
    ("{environment}/httpRouteConfigs", {"properties": {}}, "HTTP route configuration theirs"),
    ("{environment}/certificates", {"location": "westus3", "properties": {}}, "certificate theirs"),
    ("{environment}/privateEndpointConnections", {"properties": {}}, "private endpoint connection theirs"),
    ("{account}/blobServices/default/containers", {"properties": {}}, "blob container theirs"),
    ("{account}/tableServices/default/tables", {"properties": {}}, "table theirs"),
    ("{account}/queueServices/default/queues", {"properties": {}}, "queue theirs"),
    ("Microsoft.Insights/components", INSIGHTS, "Application Insights theirs keeps its data there"),
    ("{environment}/providers/Microsoft.Authorization/locks", {"properties": {"level": "CanNotDelete"}}, "a lock on "),
    ("{account}/providers/Microsoft.Authorization/locks", {"properties": {"level": "ReadOnly"}}, "a lock on "),
    ("Microsoft.App/containerApps", FUNCTIONS, "Functions app theirs"),  # the last: its deletion takes a while
)


async def test_whatever_kind_a_person_put_beside_ours_it_is_named_and_stays(ground):
    """One of each kind, beside what a Provision made: looked at one by one, what it is in is not to be removed."""
    await ground.provision()
    models = ground.config["FILE_SHARE_NAME"]
    async with ground.manager() as manager:
        ids = {one.type.rpartition("/")[2]: one.id for one in await manager.resources(ground.group)}
    places = {"environment": ids["managedenvironments"], "account": ids["storageaccounts"], "logs": ids["workspaces"]}
    group = places["logs"].partition("/providers/")[0]
    whole = await what_if(ground.workspace, Person(), Answers(models=models))
    async with ground.client(ResourceManagementClient) as client:
        for kind, body, named in NEIGHBOURS:
            place = kind.format(**places) if kind.startswith("{") else f"{group}/providers/{kind}"
            told = json.dumps(body)
            for name, value in places.items():
                told = told.replace(f"{{{name}}}", value)
            url = f"{place}/theirs?api-version={STORAGE_API_VERSION if 'Services' in kind else APP_API_VERSION}"
            put = await client.send_request(HttpRequest("PUT", url, json=json.loads(told)))
            assert put.status_code in {200, 201}, (kind, put.text())
            plan = await what_if(ground.workspace, Person(), Answers(models=models))
            await client.send_request(HttpRequest("DELETE", url))

            assert named in "\n".join(plan.stays), kind
            assert {one for one in plan.removed if "definition" not in one} < set(whole.removed), kind
            assert f"resource group {ground.group}" not in plan.removed, kind


async def test_what_was_there_before_a_provision_stays(ground):
    """An account and a share of fine-tuning's: only the app and what it lacked are ours."""
    async with ground.manager() as manager:
        await manager.create_resource_group(ground.group, "westus3")
    async with ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as storage:
        account = {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
        await (await storage.storage_accounts.begin_create(ground.group, "trainedhere", account)).result()
        await storage.file_shares.create(ground.group, "trainedhere", "tuned", {})
    ground.give(storageAccountName="trainedhere", fileShareName="tuned")
    await ground.provision()
    done = await take_down(ground.workspace, Person("yes"), Answers(models="tuned"))

    assert await resources(ground) == ["storageaccounts"]
    assert "it was there before" in "\n".join(done.stays)


async def test_a_refusal_in_the_middle_names_the_state_and_the_next_run_goes_on(ground):
    """What was removed, what was not; nothing is removed that was not shown."""
    await ground.provision()
    with ground.faults() as faults:
        faults.add(
            "status",
            method="DELETE",
            path=f"{ground.group}/.*managedEnvironments",
            status=409,
            code="Busy",
            message="No.",
        )
        with pytest.raises(CloudError, match=r"could not be removed\..* No \(Busy\)") as raised:
            await take_down(ground.workspace, Person("yes"), Answers())
    assert "Removed: container app" in raised.value.message
    assert "Not removed: environment" in raised.value.message
    assert ground.config["ACA_APP_NAME"]

    await take_down(ground.workspace, Person("yes"), Answers())
    assert await resources(ground) == ["storageaccounts"]


async def test_cancelled_in_the_middle_it_says_what_there_is(ground):
    """And a second run goes on."""
    await ground.provision()

    class Impatient(Person):
        def report(self, message, percentage=None):
            super().report(message, percentage)
            if message.startswith("removing environment"):
                asyncio.current_task().cancel()

    with pytest.raises(Interrupted, match=r"Cancelled\. Removed: container app"):
        await asyncio.create_task(take_down(ground.workspace, Impatient("yes"), Answers()))
    await take_down(ground.workspace, Person("yes"), Answers())

    assert await resources(ground) == ["storageaccounts"]


async def test_another_name_after_models_is_refused(ground):
    """Before anything is asked or removed."""
    await ground.provision()
    with pytest.raises(UsageError, match="not the name of the file share"):
        await take_down(ground.workspace, Person(), Answers(models="models"))

    assert len(await resources(ground)) == 4


async def test_an_app_of_somebody_elses_is_left(ground):
    """A config file written by hand may name any app: without our tag it stays, and the file still names it."""
    await ground.provision()
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as apps:
        app = await apps.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])
        patch = {"location": app.location, "tags": {"ai-toolkit": "theirs"}}
        await (await apps.container_apps.begin_update(ground.group, app.name, patch)).result()
    done = await take_down(ground.workspace, Person(), Answers())

    assert done.removed == ()
    assert "lives in it" in "\n".join(done.stays)
    assert ground.config["ACA_APP_NAME"]
