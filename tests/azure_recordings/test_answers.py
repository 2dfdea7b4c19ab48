"""Every answer of Azure's that an adapter of ours reads, read: what it says is what Azure said."""

import copy
import re

import pytest
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from tests.support.recordings import SUBSCRIPTION, needs_recordings

from ai_toolkit.azure.container_app import ContainerApp, Revision
from ai_toolkit.azure.container_apps import ContainerApps, ManagedEnvironment
from ai_toolkit.azure.deployments import Deployments
from ai_toolkit.azure.resource_manager import ResourceManager, list_locations, list_subscriptions
from ai_toolkit.azure.storage import Storage
from ai_toolkit.azure.subscription_state import SubscriptionState

pytestmark = needs_recordings
GROUP = r"/subscriptions/[^/]+/resource[gG]roups/[^/]+"


@pytest.fixture
def recorded(recordings):
    """The exchanges of a method whose path matches, with a body, by status."""

    def found(method, pattern, status=200):
        return [
            one
            for one in recordings
            if one.method == method and one.status == status and one.body and re.fullmatch(pattern, one.path)
        ]

    return found


async def test_apps_and_their_revisions(azure, recorded):
    """An app's host, environment, profile and latest revision; a revision's state, health and traffic."""
    apps = recorded("GET", f"{GROUP}/providers/Microsoft.App/containerApps/[^/]+")
    async with ContainerApps.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        for exchange in apps:
            name, body = exchange.body["name"], exchange.body["properties"]
            azure.choose = lambda _method, path, one=exchange: None if path.endswith("/revisions") else one
            with pytest.raises(Exception, match="There is no") as refused:
                await adapter.app(name)
            assert type(refused.value).__name__ == "ResourceNotFoundError"
            app = ContainerApp.read(name, exchange.body, [])
            ingress = body["configuration"]["ingress"]

            assert app.host == (ingress or {"fqdn": ""})["fqdn"]
            assert app.environment_id.lower() == body["environmentId"].lower()
            assert app.latest_revision == body["latestRevisionName"]
            assert app.workload_profile == (body["workloadProfileName"] or "")
    lists = recorded("GET", f"{GROUP}/providers/Microsoft.App/containerApps/[^/]+/revisions")
    for exchange in lists:
        for item in exchange.body["value"]:
            revision = Revision.read(item)
            assert (revision.name, revision.active) == (item["name"], item["properties"]["active"])
            assert revision.traffic == item["properties"]["trafficWeight"]
    assert len(apps) >= 4
    assert len(lists) >= 4


async def test_replicas_and_secrets(azure, recorded):
    """A replica's state and log stream; the names of secrets."""
    app = f"{GROUP}/providers/Microsoft.App/containerApps/[^/]+"
    async with ContainerApps.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        for exchange in recorded("GET", f"{app}/revisions/[^/]+/replicas"):
            azure.always(exchange)
            replicas = await adapter.replicas("app", "revision")
            assert [one.name for one in replicas] == [item["name"] for item in exchange.body["value"]]
            assert all(one.log_stream.startswith("https://") and one.created for one in replicas)
        for exchange in recorded("POST", f"{app}/listSecrets"):
            azure.always(exchange)
            assert await adapter.key("app") is None


async def test_environments(azure, recorded):
    """Where it is, its profiles, its storage definitions."""
    environments = recorded("GET", f"{GROUP}/providers/Microsoft.App/managedEnvironments/[^/]+")
    async with ContainerApps.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        for exchange in environments:
            [empty, *_] = recorded("GET", f"{GROUP}/providers/Microsoft.App/managedEnvironments/[^/]+/storages")
            azure.choose = lambda _method, path, one=exchange, none=empty: none if path.endswith("/storages") else one
            environment = await adapter.environment(exchange.body["name"])
            profiles = exchange.body["properties"].get("workloadProfiles") or []

            assert environment.location == exchange.body["location"]
            assert [name for name, _kind in environment.workload_profiles] == [one["name"] for one in profiles]
    assert len(environments) >= 4


async def test_what_a_region_offers(azure, recorded):
    """Profile types and quotas, in the wire form that was recorded."""
    location = r"/subscriptions/[^/]+/providers/Microsoft.App/locations/[^/]+"
    async with SubscriptionState.open(azure.connection, SUBSCRIPTION) as adapter:
        for exchange in recorded("GET", f"{location}/availableManagedEnvironmentsWorkloadProfileTypes"):
            azure.always(exchange)
            assert await adapter.profile_types("eastus") == {one["name"] for one in exchange.body["value"]}
        for exchange in recorded("GET", f"{location}/usages"):
            azure.always(exchange)
            found = await adapter.quotas("eastus")
            assert [one.name for one in found] == [one["name"]["value"] for one in exchange.body["value"]]
            assert [one.limit for one in found] == [one["limit"] for one in exchange.body["value"]]
        for exchange in recorded("GET", r"/subscriptions/[^/]+/providers/Microsoft\.\w+"):
            azure.always(exchange)
            provider = await adapter.provider(exchange.body["namespace"])
            assert provider.registered == (exchange.body["registrationState"] == "Registered")
            assert set(provider.locations) == {one["resourceType"] for one in exchange.body["resourceTypes"]}


async def test_an_app_s_profile_is_found_in_any_case(azure, recorded):
    """Recorded: `consumption` of an app, and `Consumption` of its environment."""
    app = f"{GROUP}/providers/Microsoft.App/containerApps/[^/]+"
    environment = f"{GROUP}/providers/Microsoft.App/managedEnvironments/[^/]+"
    [lower, *_] = [
        one for one in recorded("GET", app) if one.body["properties"]["workloadProfileName"] == "consumption"
    ]
    [around, *_] = recorded("GET", environment)
    [storages, *_] = recorded("GET", f"{environment}/storages")
    [revisions, *_] = recorded("GET", f"{app}/revisions")
    answers = {"revisions": revisions, "storages": storages, lower.body["name"]: lower}
    azure.choose = lambda _method, path: answers.get(path.rpartition("/")[2], around)
    async with ContainerApps.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        found = await adapter.app(lower.body["name"])

        assert found.workload_profile == "consumption"
        assert await adapter.profile_type(found) == "Consumption"


async def test_the_nodes_of_a_profile(azure, recorded):
    """Of `workloadProfileStates`: a profile without GPUs, and one that is not counted, tell nothing."""
    states = recorded("GET", f"{GROUP}/providers/Microsoft.App/managedEnvironments/[^/]+/workloadProfileStates")
    profiles = (("Consumption", "Consumption"), ("my-d8", "D8"), ("gpu", "NC48-A100"))
    environment = ManagedEnvironment("env", "group", "eastus", profiles, {})
    async with ContainerApps.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        for exchange in states:
            azure.always(exchange)
            assert [await adapter.nodes(environment, name) for name, _kind in profiles] == [None, None, None]
            counted = copy.deepcopy(exchange)
            state = {"name": "GPU", "properties": {"minimumCount": 0, "maximumCount": 3, "currentCount": 1}}
            counted.body["value"].append(state)
            azure.always(counted)
            found = await adapter.nodes(environment, "gpu")
            assert (found.used, found.limit, found.left) == (2, 6, 4)
    assert len(states) >= 3


async def test_storage_accounts(azure, recorded):
    """Where its files are, whether it takes its key, whether a name is free."""
    account = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/[^/]+"
    async with Storage.open(azure.connection, SUBSCRIPTION, "group") as adapter:
        for exchange in recorded("GET", account):
            azure.always(exchange)
            found = await adapter.account(exchange.body["name"])
            assert found.file_endpoint == exchange.body["properties"]["primaryEndpoints"]["file"].rstrip("/")
            assert found.location == exchange.body["location"]
            assert found.shared_key is (exchange.body["properties"].get("allowSharedKeyAccess") is not False)
        for exchange in recorded("POST", f"{account}/listKeys"):
            azure.always(exchange)
            assert await adapter.key("account") == exchange.body["keys"][0]["value"]
        for exchange in recorded("POST", r"/subscriptions/[^/]+/providers/Microsoft.Storage/checkNameAvailability"):
            azure.always(exchange)
            assert await adapter.name_problem("account") == exchange.body.get("message", "")


async def test_subscriptions_groups_and_resources(azure, recorded):
    """Their names, places and types, whatever their case."""
    for exchange in recorded("GET", "/subscriptions"):
        azure.always(exchange)
        found = await list_subscriptions(azure.connection)
        assert [one.name for one in found] == [one["displayName"] for one in exchange.body["value"]]
    for exchange in recorded("GET", "/subscriptions/[^/]+/locations"):
        azure.always(exchange)
        found = await list_locations(azure.connection, SUBSCRIPTION)
        assert found == [(one["name"], one["displayName"]) for one in exchange.body["value"]]
    async with ResourceManager.open(azure.connection, SUBSCRIPTION) as adapter:
        for exchange in recorded("GET", "/subscriptions/[^/]+/resourcegroups"):
            azure.always(exchange)
            assert [one.name for one in await adapter.resource_groups()] == [
                one["name"] for one in exchange.body["value"]
            ]
        for exchange in recorded("GET", GROUP):
            azure.always(exchange)
            assert (await adapter.resource_group("group")).location == exchange.body["location"]
        for exchange in recorded("GET", f"{GROUP}/resources"):
            azure.always(exchange)
            assert [one.type for one in await adapter.resources("group")] == [
                one["type"].lower() for one in exchange.body["value"]
            ]


async def test_deployments(azure, recorded):
    """State, time and outputs of a deployment and of a history; the steps of a running one."""
    deployment = r"/subscriptions/[^/]+/(resource[gG]roups/[^/]+/)?providers/Microsoft.Resources/deployments/"
    async with azure.connection.client(DeploymentsMgmtClient, SUBSCRIPTION) as client:
        adapter = Deployments(client, "group")
        for exchange in recorded("GET", f"{deployment}[^/]+"):
            azure.always(exchange)
            found, properties = await adapter.get("name"), exchange.body["properties"]
            assert (found.name, found.state) == (exchange.body["name"], properties["provisioningState"])
            assert found.outputs == {name: one.get("value") for name, one in (properties.get("outputs") or {}).items()}
        for exchange in recorded("GET", deployment):
            azure.always(exchange)
            assert {one.name for one in await adapter.history("")} == {one["name"] for one in exchange.body["value"]}
        for exchange in recorded("POST", f"{deployment}[^/]+/validate"):
            azure.always(exchange)
            assert await adapter.validate("name", {}, {}) is None
