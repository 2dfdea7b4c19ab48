"""What takes Azure its time takes the local cloud a scaled one, with Azure's statuses, headers and number of polls."""

import asyncio
import sys
import time
from datetime import timedelta

import aiohttp
import pytest
from tests.local_cloud.conftest import SUBSCRIPTION
from tests.support.local_cloud import WEB_APP

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.resource_manager.long_operations import Pace, polling_query

APP, STORAGE, LOGS = "2025-07-01", "2025-08-01", "2023-09-01"
MINUTE_SECONDS = 0.3
REGION = {"location": "westus3"}
CONTAINER = {"name": "one", "image": "image", "command": [sys.executable, str(WEB_APP)]}


class Asked:
    """A plain client: what an SDK would hide is what this is about."""

    def __init__(self, session, url):
        self.session = session
        self.url = url

    async def ask(self, method, url, version="", body=None):
        url = url if url.startswith("http") else f"{self.url}{url}?api-version={version}"
        async with self.session.request(method, url, json=body) as answer:
            text = await answer.text()
            return answer.status, (await answer.json() if text else None), dict(answer.headers)

    async def polls(self, url, is_done):
        """Every answer until the last, asked as often as the answers say."""
        found = []
        while True:
            found.append(await self.ask("GET", url))
            if is_done(found[-1]):
                return found
            headers = found[-1][2]
            url = headers.get("Location", url)
            await asyncio.sleep(int(headers["x-ms-retry-after-ms"]) / 1000)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A local cloud that takes longer than a loaded computer between two requests."""
    home = tmp_path_factory.mktemp("cloud") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_LOCAL_CLOUD_MINUTE", str(MINUTE_SECONDS))
        yield asyncio.run(control.start(home))
        asyncio.run(control.stop(home))


@pytest.fixture
async def asked(clients):
    headers = {"Authorization": f"Bearer {clients.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Asked(session, clients.status.resource_manager)


@pytest.fixture
def providers(group):
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers"


def has_status(answer):
    return answer[1]["status"] != "InProgress"


def has_result(answer):
    return answer[0] != 202


async def made_environment(asked, providers):
    path = f"{providers}/Microsoft.App/managedEnvironments/env"
    profiles = {"properties": {"workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}]}}
    made = await asked.ask("PUT", path, APP, {**REGION, **profiles})
    await asked.polls(made[2]["Azure-AsyncOperation"], has_status)
    return path, made


async def test_an_environment_is_made_while_its_status_is_polled(asked, providers):
    """201 with the state Waiting, six polls of a long URL, and only then it is there."""
    path = f"{providers}/Microsoft.App/managedEnvironments/env"
    status, body, headers = await asked.ask("PUT", path, APP, REGION)
    app = {**REGION, "properties": {"environmentId": body["id"], "template": {"containers": [CONTAINER]}}}
    early = await asked.ask("PUT", f"{providers}/Microsoft.App/containerApps/app", APP, app)
    again = await asked.ask("PUT", path, APP, REGION)
    polls = await asked.polls(headers["Azure-AsyncOperation"], has_status)
    _, found, _ = await asked.ask("GET", path, APP)
    same_status, same, same_headers = await asked.ask("PUT", path, APP, REGION)

    assert (status, body["properties"]["provisioningState"]) == (201, "Waiting")
    assert 3300 < len(headers["Azure-AsyncOperation"]) < 3700
    assert "/locations/westus3/managedEnvironmentOperationStatuses/" in headers["Azure-AsyncOperation"]
    assert headers["x-ms-async-operation-timeout"] == "PT15M"
    assert (early[0], early[1]["error"]["code"]) == (400, "ManagedEnvironmentNotProvisioned")
    assert (again[0], again[1]["error"]["code"]) == (409, "ManagedEnvironmentOperationInProgress")
    assert 2 <= len(polls) <= 7
    assert polls[-1][1]["status"] == found["properties"]["provisioningState"] == "Succeeded"
    assert (same_status, same["properties"]["provisioningState"]) == (200, "Succeeded")
    assert "Azure-AsyncOperation" not in same_headers


async def test_an_environments_patch_is_polled_by_its_result(asked, providers):
    """202 without a body; each poll names the next; one that changes nothing is done at once."""
    path, _ = await made_environment(asked, providers)
    nothing = await asked.ask("PATCH", path, APP, {"tags": None})
    gpu = {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC24-A100"}
    status, body, headers = await asked.ask("PATCH", path, APP, {"properties": {"workloadProfiles": [gpu]}})
    polls = await asked.polls(headers["Location"], has_result)

    assert nothing[0] == 200
    assert (status, body) == (202, None)
    assert "managedEnvironmentOperationResults" in headers["Location"]
    assert {one[0] for one in polls[:-1]} == {202}
    assert polls[-1][0] == 200
    assert polls[-1][1]["properties"]["provisioningState"] == "Succeeded"
    assert "gpu" in {one["name"] for one in polls[-1][1]["properties"]["workloadProfiles"]}


async def test_an_environments_deletion_is_the_longest(asked, providers):
    """952 of Azure's seconds; until then it is there, scheduled for deletion, and then 204."""
    path, _ = await made_environment(asked, providers)
    began = time.monotonic()
    status, _, headers = await asked.ask("DELETE", path, APP)
    _, found, _ = await asked.ask("GET", path, APP)
    polls = await asked.polls(headers["Location"], has_result)
    took = time.monotonic() - began
    after = await asked.ask("GET", path, APP)

    assert (status, polls[-1][0], after[0]) == (202, 204, 404)
    assert found["properties"]["provisioningState"] == "ScheduledForDelete"
    assert took >= Pace(MINUTE_SECONDS).seconds(timedelta(seconds=952))
    assert len(polls) > 20


async def test_an_app_is_changed_while_status_or_result_is_polled(asked, providers):
    """PUT 201, PATCH 202 with both URLs; a second write meanwhile is refused; DELETE ends in 204."""
    environment, _ = await made_environment(asked, providers)
    path = f"{providers}/Microsoft.App/containerApps/app"
    wanted = {
        "environmentId": environment,
        "configuration": {"ingress": {"targetPort": 80}},
        "template": {"containers": [CONTAINER]},
    }
    app = {**REGION, "properties": wanted}
    put = await asked.ask("PUT", path, APP, app)
    await asked.polls(put[2]["Azure-AsyncOperation"], has_status)
    patch = await asked.ask("PATCH", path, APP, {"tags": {"a": "b"}})
    second = await asked.ask("PATCH", path, APP, {"tags": {"a": "c"}})
    results = await asked.polls(patch[2]["Location"], has_result)
    statuses = await asked.polls(patch[2]["Azure-AsyncOperation"], has_status)
    delete = await asked.ask("DELETE", path, APP)
    _, being_deleted, _ = await asked.ask("GET", path, APP)
    gone = await asked.polls(delete[2]["Location"], has_result)

    assert (put[0], put[1]["properties"]["provisioningState"]) == (201, "InProgress")
    assert (patch[0], patch[1]) == (202, None)
    assert (second[0], second[1]["error"]["code"]) == (409, "ContainerAppOperationInProgress")
    assert (results[0][0], results[-1][0], results[-1][1]["tags"]) == (202, 200, {"a": "b"})
    assert statuses[-1][1]["status"] == "Succeeded"
    assert being_deleted["properties"]["provisioningState"] == "Deleting"
    assert (delete[0], gone[-1][0]) == (202, 204)


async def test_an_account_is_made_behind_an_empty_answer(asked, providers):
    """202, nothing in it, polled by `asyncoperations` with a monitor; an account that is there is answered at once."""
    path = f"{providers}/Microsoft.Storage/storageAccounts/longoperations"
    account = {**REGION, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    status, body, headers = await asked.ask("PUT", path, STORAGE, account)
    polls = await asked.polls(headers["Location"], has_result)
    again = await asked.ask("PUT", path, STORAGE, account)

    assert (status, body) == (202, None)
    assert "/locations/westus3/asyncoperations/" in headers["Location"]
    assert "monitor=true" in headers["Location"]
    assert (polls[0][0], polls[-1][0]) == (202, 200)
    assert polls[-1][1]["properties"]["provisioningState"] == "Succeeded"
    assert again[0] == 200


async def test_a_workspace_is_polled_by_itself(asked, providers):
    """201 in the state Creating, whose Location is the workspace; deleted by force it is polled as well."""
    path = f"{providers}/Microsoft.OperationalInsights/workspaces/logs"
    status, body, headers = await asked.ask("PUT", path, LOGS, REGION)
    states = [body["properties"]["provisioningState"]]
    while states[-1] == "Creating":
        await asyncio.sleep(0.005)
        states.append((await asked.ask("GET", headers["Location"]))[1]["properties"]["provisioningState"])
    forced = await asked.ask("DELETE", f"{asked.url}{path}?api-version=2025-07-01&force=true")
    gone = await asked.polls(forced[2]["Location"], has_result)

    assert (status, states[0], states[-1]) == (201, "Creating", "Succeeded")
    assert headers["Location"].endswith(f"{path}?api-version={LOGS}")
    assert (forced[0], gone[-1][0]) == (202, 204)


async def test_a_group_that_is_deleted_takes_nothing_more(asked, providers):
    """It is there, being deleted, as long as what it holds takes; meanwhile every write is refused."""
    await made_environment(asked, providers)
    group = providers.removesuffix("/providers")
    status, _, headers = await asked.ask("DELETE", group, "2021-04-01")
    _, found, _ = await asked.ask("GET", group, "2021-04-01")
    refused = await asked.ask("PUT", f"{providers}/Microsoft.OperationalInsights/workspaces/late", LOGS, REGION)
    polls = await asked.polls(headers["Location"], has_result)

    assert (status, found["properties"]["provisioningState"]) == (202, "Deleting")
    assert f"/subscriptions/{SUBSCRIPTION}/operationresults/" in headers["Location"]
    assert (refused[0], refused[1]["error"]["code"]) == (409, "ResourceGroupBeingDeleted")
    assert polls[-1][0] == 200


async def test_a_deletion_goes_on_after_a_restart(clients, asked, providers, until):
    """A group that was being deleted when the local cloud was stopped is gone after it started again."""
    await made_environment(asked, providers)
    group = providers.removesuffix("/providers")
    await asked.ask("DELETE", group, "2021-04-01")
    await control.stop(clients.status.home)
    status = await control.start(clients.status.home)
    asked.url = status.resource_manager

    async def is_gone():
        return (await asked.ask("GET", group, "2021-04-01"))[0] == 404

    await until(is_gone)


def test_azures_own_pace_gives_its_own_headers():
    """At 60 seconds for a minute `Retry-After` is the recorded one; scaled it is told in thousandths, never 0."""
    quarter = timedelta(seconds=15)

    assert Pace(60).again_after(quarter) == {"Retry-After": "15"}
    assert Pace(1).again_after(quarter) == {"x-ms-retry-after-ms": "250"}
    assert Pace(0.0001).again_after(quarter) == {"x-ms-retry-after-ms": "1"}
    assert Pace(60).seconds(timedelta(seconds=87)) == 87
    assert Pace(1).seconds(timedelta(seconds=87)) == pytest.approx(1.45)


def test_a_polling_url_is_as_long_as_azures():
    assert 3000 < len(polling_query("2025-07-01", "&azureAsyncOperation=true")) < 3400


async def test_regions_are_named_as_azure_names_them(asked, providers):
    """Container Apps by the display name, storage by the short one; an app is where its environment is."""
    path = f"{providers}/Microsoft.App/managedEnvironments/env"
    made = await asked.ask("PUT", path, APP, REGION)
    await asked.polls(made[2]["Azure-AsyncOperation"], has_status)
    again = await asked.ask("PUT", path, APP, {"location": "West US 3"})
    account = {"location": "West US 3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    put = await asked.ask("PUT", f"{providers}/Microsoft.Storage/storageAccounts/regionsarenamed", STORAGE, account)
    polls = await asked.polls(put[2]["Location"], has_result)
    template = {"containers": [CONTAINER]}
    app = {"location": "eastus", "properties": {"environmentId": path, "template": template}}
    elsewhere = await asked.ask("PUT", f"{providers}/Microsoft.App/containerApps/app", APP, app)

    assert made[1]["location"] == again[1]["location"] == "West US 3"
    assert again[0] == 200
    assert polls[-1][1]["location"] == "westus3"
    assert (elsewhere[0], elsewhere[1]["error"]["code"]) == (400, "InvalidLocation")
