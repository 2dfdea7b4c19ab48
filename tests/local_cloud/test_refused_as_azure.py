"""What Azure refuses, refused with its code and status: names that are taken, regions that change, what is missing."""

import aiohttp
import pytest

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
APP, STORAGE = "2025-07-01", "2025-08-01"
ACCOUNT = {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}


@pytest.fixture
async def ask(clients, until):
    """Asks the manager: status, answer and headers; `settled` waits until a write is done."""

    class Asking:
        def __init__(self, session):
            self.session = session

        async def __call__(self, method, path, version, body=None):
            url = f"{clients.status.resource_manager}{SUBSCRIPTION}{path}?api-version={version}"
            async with self.session.request(method, url, json=body) as answer:
                return answer.status, await answer.json(content_type=None), answer.headers

        async def settled(self, path, version, body):
            status, answer, _ = await self("PUT", path, version, body)
            assert status in {200, 201, 202}, answer

            async def is_done():
                _, found, _ = await self("GET", path, version)
                return (found.get("properties") or {}).get("provisioningState") in {None, "Succeeded"}

            await until(is_done)

    headers = {"Authorization": f"Bearer {clients.token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Asking(session)


async def test_names_and_regions(ask, group):
    """One account's name in two groups, a region that changes, an app and a group elsewhere."""
    here, there = f"/resourceGroups/{group}", f"/resourceGroups/{group}-2"
    await ask("PUT", there, "2022-09-01", {"location": "westus3"})
    account = "/providers/Microsoft.Storage/storageAccounts/oneaccount"
    await ask.settled(here + account, STORAGE, ACCOUNT)
    environment = f"{here}/providers/Microsoft.App/managedEnvironments/env"
    await ask.settled(environment, APP, {"location": "westus3", "properties": {"workloadProfiles": []}})
    template = {"containers": [{"name": "one", "image": "image"}]}
    app = {"environmentId": f"{SUBSCRIPTION}{environment}", "template": template}
    registry = {"server": "a.azurecr.io", "username": "a", "passwordSecretRef": "missing"}
    secretless = {**app, "configuration": {"registries": [registry]}}
    east = {"location": "eastus"}
    an_app = f"{here}/providers/Microsoft.App/containerApps/app"
    share = "/fileServices/default/shares/none"
    cases = (
        ("PUT", there + account, STORAGE, ACCOUNT, 409, "StorageAccountAlreadyTaken"),
        ("PUT", here + account, STORAGE, {**ACCOUNT, **east}, 409, "InvalidResourceLocation"),
        ("PUT", environment, APP, {**east, "properties": {}}, 409, "InvalidResourceLocation"),
        ("PUT", here, "2022-09-01", east, 409, "InvalidResourceGroupLocation"),
        ("PUT", an_app, APP, {**east, "properties": app}, 400, "InvalidLocation"),
        ("PUT", an_app, APP, {"location": "westus3", "properties": secretless}, 400,
         "ContainerAppRegistriesPasswordSecretRefNotFound"),
        ("GET", an_app, APP, None, 404, "ResourceNotFound"),
        ("GET", f"{environment}/storages/none", APP, None, 404, "ManagedEnvironmentStorageNotFound"),
        ("GET", here + account + share, STORAGE, None, 404, "ShareNotFound"),
        ("GET", f"{here}-3", "2022-09-01", None, 404, "ResourceGroupNotFound"),
        ("DELETE", an_app, APP, None, 204, None),
        ("DELETE", f"{here}/providers/Microsoft.Storage/storageAccounts/none", STORAGE, None, 204, None),
    )  # fmt: skip
    for method, path, version, body, status, code in cases:
        got, answer, headers = await ask(method, path, version, body)

        assert (got, ((answer or {}).get("error") or {}).get("code")) == (status, code), (method, path, answer)
        assert "x-ms-error-code" not in headers, path


async def test_an_environment_of_the_first_kind(ask, group):
    """Made without workload profiles: none are told, an app in it has none, and it can get none."""
    environment = f"/resourceGroups/{group}/providers/Microsoft.App/managedEnvironments/old"
    await ask.settled(environment, APP, {"location": "westus3", "properties": {}})
    template = {"containers": [{"name": "one", "image": "image"}], "scale": {"minReplicas": 0}}
    app = {"environmentId": f"{SUBSCRIPTION}{environment}", "template": template}
    named = {**app, "workloadProfileName": "gpu"}
    an_app = f"/resourceGroups/{group}/providers/Microsoft.App/containerApps/app"

    _, found, _ = await ask("GET", environment, APP)
    _, states, _ = await ask("GET", f"{environment}/workloadProfileStates", APP)
    refused, why, _ = await ask("PUT", an_app, APP, {"location": "westus3", "properties": named})
    taken, made, _ = await ask("PUT", an_app, APP, {"location": "westus3", "properties": app})
    profile = {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC8as-T4"}
    grown, answer, _ = await ask("PATCH", environment, APP, {"properties": {"workloadProfiles": [profile]}})

    assert (found["properties"]["workloadProfiles"], states["value"]) == (None, [])
    assert (refused, why["error"]["code"]) == (400, "WorkloadProfileNotFound")
    assert (taken, made["properties"]["workloadProfileName"]) == (201, None)
    assert grown == 400, answer
