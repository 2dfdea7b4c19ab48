"""Our own template by hand, with the documented parameters and nothing else: what exists stays as it is."""

import json
from pathlib import Path

import aiohttp
import pytest
from tests.support.local_cloud.engine import SUBSCRIPTION, Engine

TEMPLATE = json.loads((Path(__file__).parents[2] / "infra" / "provision" / "inference.json").read_text())
START = 'mkdir -p "$AITK_SHARE/inference"; exec python3 -c "$AITK_NOTHING_DEPLOYED_YET"'
PROFILES = [
    {"name": "Consumption", "workloadProfileType": "Consumption"},
    {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC24-A100"},
]


@pytest.fixture
async def engine(clients):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {clients.token}"}) as session:
        yield Engine(session, clients.status.resource_manager)


@pytest.fixture
def scope(group):
    return f"{SUBSCRIPTION}/resourceGroups/{group}"


@pytest.fixture
async def made(engine, scope, group):
    """Account, share, workspace and environment, made by hand, none as the template would make it."""
    name = f"hand{abs(hash(group)) % 10**12}"
    bodies = {
        f"Microsoft.Storage/storageAccounts/{name}": (
            "2025-08-01",
            {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_ZRS"}, "tags": {"by": "hand"},
             "properties": {"minimumTlsVersion": "TLS1_3"}},
        ),
        f"Microsoft.Storage/storageAccounts/{name}/fileServices/default/shares/models": (
            "2025-08-01", {"properties": {"shareQuota": 77}},
        ),
        "Microsoft.OperationalInsights/workspaces/hand-logs": (
            "2025-02-01", {"location": "westus3", "properties": {"retentionInDays": 90}},
        ),
        "Microsoft.App/managedEnvironments/hand-env": (
            "2025-07-01",
            {"location": "westus3", "tags": {"by": "hand"}, "properties": {"workloadProfiles": PROFILES}},
        ),
    }  # fmt: skip
    for path, (version, body) in bodies.items():
        await engine.make(f"{scope}/providers/{path}", body, version)
    return {f"{scope}/providers/{path}": version for path, (version, _) in bodies.items()}


def documented(made):
    account = next(iter(made)).rpartition("/")[2]
    given = {
        "storageAccountName": account, "fileShareName": "models", "acaEnvironmentName": "hand-env",
        "acaLogAnalyticsName": "hand-logs", "acaAppName": "hand-app", "defaultCommands": [START],
    }  # fmt: skip
    return {name: {"value": value} for name, value in given.items()}


async def test_what_exists_stays_property_for_property(engine, scope, made):
    """Twice: what-if says no change for each of them, and so it is; only the storage definition and the app are new."""
    before = {path: (await engine.ask("GET", path, version=version))[1] for path, version in made.items()}
    for expected in ("Create", None):
        changes = await engine.what_if(TEMPLATE, documented(made), scope=scope)
        kinds = {one["resourceId"]: one["changeType"] for one in changes}
        assert {kinds[path] for path in made} == {"NoChange"}
        if expected:
            assert sorted(each.split("/")[-2] for each, kind in kinds.items() if kind == expected) == [
                "containerApps",
                "storages",
            ]
        ended = await engine.deploy(TEMPLATE, documented(made), name="by-hand", scope=scope)
        assert ended["provisioningState"] == "Succeeded", ended
        after = {path: (await engine.ask("GET", path, version=version))[1] for path, version in made.items()}
        assert after == before


async def test_a_missing_gpu_profile_is_told_in_words(engine, scope, made):
    """The environment stays without it, and the deployment says which profile it lacks and which it has."""
    path = f"{scope}/providers/Microsoft.App/managedEnvironments/hand-env"
    body = {"location": "westus3", "properties": {"workloadProfiles": PROFILES[:1]}}
    await engine.make(path, body, "2025-07-01")
    ended = await engine.deploy(TEMPLATE, documented(made), name="by-hand", scope=scope)

    assert ended["provisioningState"] == "Failed"
    assert "workload profile 'gpu' is not defined in the managed environment 'hand-env'" in str(ended["error"])


async def test_no_workspace_is_made_beside_an_environment(engine, scope, group, made):
    """With the one switch that is left: the environment exists, so nothing is made for it."""
    given = {**documented(made), "createEnvironment": {"value": False}, "acaLogAnalyticsName": {"value": "not-made"}}
    ended = await engine.deploy(TEMPLATE, given, name="by-hand", scope=scope)
    _, listed, _ = await engine.ask("GET", f"{scope}/resources")

    assert ended["provisioningState"] == "Succeeded", ended
    assert "not-made" not in {one["name"] for one in listed["value"]}
