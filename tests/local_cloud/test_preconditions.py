"""What a preflight asks, as Azure answers it: providers, permissions, policy, usages, profiles, names, what-if."""

import json

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from ai_toolkit.local_cloud.faults import FaultInjection

SCRIPT = "exec sleep 600"


def properties(template, **values):
    given = {"script": SCRIPT, "apiKey": "the-key", **values}
    parameters = {name: {"value": value} for name, value in given.items()}
    return {"mode": "Incremental", "template": template, "parameters": parameters}


async def validated(clients, group, template):
    poller = await clients.deployments.deployments.begin_validate(group, "one", {"properties": properties(template)})
    return await poller.result()


async def test_an_unregistered_provider_refuses_its_resources_until_it_is_registered(clients, group, template):
    """registrationState, MissingSubscriptionRegistration, and register."""
    await clients.resources.providers.unregister("Microsoft.App")
    state = (await clients.resources.providers.get("Microsoft.App")).registration_state
    with pytest.raises(HttpResponseError, match="MissingSubscriptionRegistration"):
        await validated(clients, group, template)
    await clients.resources.providers.register("Microsoft.App")

    assert state == "NotRegistered"
    assert (await clients.resources.providers.get("Microsoft.App")).registration_state == "Registered"
    await validated(clients, group, template)


async def test_a_reader_s_permissions_say_so_and_a_deployment_is_refused(clients, cloud, group, template):
    """Permissions list actions; a write without them is AuthorizationFailed."""
    path = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{group}/providers"
    url = f"{cloud.resource_manager}{path}/Microsoft.Authorization/permissions?api-version=2022-04-01"
    owner = (await clients.resources.send_request(HttpRequest("GET", url))).json()
    with FaultInjection(cloud.home) as faults:
        faults.add("read-only")
        reader = (await clients.resources.send_request(HttpRequest("GET", url))).json()
        with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
            await validated(clients, group, template)

    assert owner["value"][0]["actions"] == ["*"]
    assert reader["value"][0]["actions"] == ["*/read"]


async def test_a_policy_against_shared_keys_refuses_the_account(clients, cloud, group, template):
    """The refusal names the policy, and comes from the validation already."""
    with FaultInjection(cloud.home) as faults:
        faults.add("no-shared-key")
        with pytest.raises(HttpResponseError, match="RequestDisallowedByPolicy") as raised:
            await validated(clients, group, template)

    assert "Policy Definition Name" in str(raised.value)


async def test_usages_may_be_empty(clients, cloud):
    """An empty list, which says nothing about the quota."""
    before = [usage async for usage in clients.apps.usages.list("westus3")]
    with FaultInjection(cloud.home) as faults:
        faults.add("no-usages")
        after = [usage async for usage in clients.apps.usages.list("westus3")]

    assert {usage.name.value for usage in before} > {"SubscriptionConsumptionNCA100Gpus", "SubscriptionNCA100Gpus"}
    assert after == []


async def test_not_every_region_has_gpus(clients):
    """The serverless GPU profiles are offered where they are offered."""

    async def gpus(location):
        profiles = [profile async for profile in clients.apps.available_workload_profiles.get(location)]
        return {profile.name for profile in profiles if "GPU" in profile.name}

    assert await gpus("westus3") == {"Consumption-GPU-NC24-A100", "Consumption-GPU-NC8as-T4"}
    assert await gpus("norwayeast") == set()


async def test_what_if_tells_a_change_inside_an_array(deployed, clients):
    """A container's image is at template.containers, item 0, image; what did not change is not told."""
    changed = json.loads(json.dumps(deployed.properties))
    app = next(one for one in _resources(changed["template"]) if one["type"] == "Microsoft.App/containerApps")
    app["properties"]["template"]["containers"][0]["image"] = "docker.io/other:1"
    poller = await clients.deployments.deployments.begin_what_if(deployed.group, "again", {"properties": changed})
    changes = {change.resource_id.split("/")[-2]: change for change in (await poller.result()).changes}
    [array] = [one for one in changes["containerApps"].delta if one.path.endswith("containers")]

    assert changes["containerApps"].change_type == "Modify"
    assert array.property_change_type == "Array"
    assert [(one.path, one.children[0].path, one.children[0].after) for one in array.children] == [
        ("0", "image", "docker.io/other:1")
    ]


def _resources(template):
    found = template["resources"]
    return list(found.values()) if isinstance(found, dict) else found
