"""Modules, extension resources, deployments to a subscription, and resources that are left alone where they exist."""

import aiohttp
import pytest
from tests.support.local_cloud.engine import LOCATION, SCHEMA, SUBSCRIPTION, Engine

SUBSCRIPTION_SCHEMA = "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"
WORKSPACES = "Microsoft.OperationalInsights/workspaces"


@pytest.fixture
async def engine(clients):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {clients.token}"}) as session:
        yield Engine(session, clients.status.resource_manager)


@pytest.fixture
def scope(group):
    return f"{SUBSCRIPTION}/resourceGroups/{group}"


def template(*resources, **more):
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources), **more}


def workspace(name, **more):
    return {"type": WORKSPACES, "apiVersion": "2025-02-01", "name": name, "location": LOCATION, **more}


def module(name, inner, parameters=None, *, scope="inner", **more):
    properties = {"mode": "Incremental", "template": inner, "expressionEvaluationOptions": {"scope": scope}}
    if parameters:
        properties["parameters"] = {key: {"value": value} for key, value in parameters.items()}
    return {"type": "Microsoft.Resources/deployments", "apiVersion": "2025-04-01", "name": name,
            "properties": properties, **more}  # fmt: skip


LOGS = template(
    workspace("[parameters('name')]", tags={"by": "[deployment().name]"}),
    parameters={"name": {"type": "string"}},
    outputs={
        "id": {
            "type": "string",
            "value": "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('name'))]",
        }
    },
)


async def names_in(engine, group):
    _, answer, _ = await engine.ask("GET", f"{SUBSCRIPTION}/resourceGroups/{group}/resources")
    return sorted(one["name"] for one in answer["value"])


async def test_a_module_has_a_scope_outputs_and_operations_of_its_own(engine, scope, group):
    """Another resource uses its output; each deployment lists its own operations."""
    outer = template(
        module("first", LOGS, {"name": "logs-one"}),
        module("second", LOGS, {"name": "[concat(last(split(reference('first').outputs.id.value, '/')), '-b')]"}),
        outputs={"both": {"type": "array", "value": "[createArray(reference('first').outputs.id.value, "
                                                     "reference('second').outputs.id.value)]"}},
    )  # fmt: skip
    ended = await engine.deploy(outer, scope=scope)
    deployments = f"{scope}/providers/Microsoft.Resources/deployments"
    _, own, _ = await engine.ask("GET", f"{deployments}/inference/operations")
    _, inner, _ = await engine.ask("GET", f"{deployments}/second/operations")
    _, made, _ = await engine.ask("GET", f"{scope}/providers/{WORKSPACES}/logs-one-b", version="2025-02-01")

    assert [one.rpartition("/")[2] for one in ended["outputs"]["both"]["value"]] == ["logs-one", "logs-one-b"]
    assert [one["properties"]["targetResource"]["resourceType"] for one in own["value"]] == [
        "Microsoft.Resources/deployments"
    ] * 2
    assert inner["value"][0]["properties"]["targetResource"]["resourceName"] == "logs-one-b"
    assert made["tags"] == {"by": "second"}


async def test_modules_in_a_loop_with_a_condition_and_in_another_group(engine, scope, group):
    """Each copy is a deployment; one whose condition is false is none."""
    await engine.make_group(f"{group}-b")
    outer = template(
        module("[concat('m', copyIndex())]", LOGS, {"name": "[concat('logs-', copyIndex())]"},
               copy={"name": "loop", "count": 3}, condition="[not(equals(copyIndex(), 1))]",
               resourceGroup=f"{group}-b"),
    )  # fmt: skip
    changes = await engine.what_if(outer, {}, scope=scope)
    ended = await engine.deploy(outer, scope=scope)

    assert [one["resourceId"].rpartition("/")[2] for one in changes] == ["logs-0", "logs-2"]
    assert ended["provisioningState"] == "Succeeded"
    assert await names_in(engine, f"{group}-b") == ["logs-0", "logs-2"]


async def test_an_outer_scope_evaluates_with_the_parameters_around(engine, scope, group):
    """The default of Azure's: expressions in the nested template mean what they mean outside of it."""
    inner = template(workspace("[variables('name')]", tags={"by": "[deployment().name]"}))
    outer = template(module("inside", inner, scope="outer"), variables={"name": "outer-logs"})
    await engine.deploy(outer, scope=scope)
    _, made, _ = await engine.ask("GET", f"{scope}/providers/{WORKSPACES}/outer-logs", version="2025-02-01")

    assert made["tags"] == {"by": "inference"}


async def test_what_is_wrong_in_a_module_is_refused_before_anything_exists(engine, scope, group):
    """With the place in the outer template; nothing was made."""
    wrong = template(workspace("[nothing('x')]"))
    refused = await engine.deploy(template(workspace("before-it"), module("inside", wrong)), scope=scope)

    assert refused["error"]["target"] == "resources[1].properties.template.resources[0].name"
    assert await names_in(engine, group) == []


async def test_a_module_that_fails_fails_what_holds_it(engine, scope, group):
    """The innermost reason is among the details."""
    wrong = {"type": "Microsoft.App/managedEnvironments/storages", "apiVersion": "2025-07-01", "name": "none/s",
             "properties": {"azureFile": {"accountName": "a", "shareName": "s", "accountKey": "k",
                                          "accessMode": "ReadOnly"}}}  # fmt: skip
    ended = await engine.deploy(template(module("inside", template(wrong))), scope=scope)

    assert ended["provisioningState"] == "Failed"
    assert "ParentResourceNotFound" in str(ended["error"])


async def test_a_lock_forbids_deleting_until_it_is_removed(engine, scope, group):
    """409 `ScopeLocked` for the resource and for its group, in Azure's recorded words; diagnostic settings are kept."""
    target = f"{WORKSPACES}/locked"
    lock = {"type": "Microsoft.Authorization/locks", "apiVersion": "2020-05-01", "name": "keep", "scope": target,
            "properties": {"level": "CanNotDelete"}, "dependsOn": ["locked"]}  # fmt: skip
    setting = {"type": "Microsoft.Insights/diagnosticSettings", "apiVersion": "2021-05-01-preview", "name": "d",
               "scope": target, "properties": {"metrics": []}}  # fmt: skip
    ended = await engine.deploy(template(workspace("locked"), lock, setting), scope=scope)
    lock_path = f"{scope}/providers/{target}/providers/Microsoft.Authorization/locks/keep"
    kept, shown, _ = await engine.ask("GET", lock_path, version="2020-05-01")
    refused, error, _ = await engine.ask("DELETE", f"{scope}/providers/{target}", version="2025-02-01")
    of_group, _, _ = await engine.ask("DELETE", scope)
    await engine.ask("DELETE", lock_path, version="2020-05-01")
    deleted, _, _ = await engine.ask("DELETE", f"{scope}/providers/{target}", version="2025-02-01")

    assert ended["provisioningState"] == "Succeeded"
    assert (kept, shown["properties"]["level"]) == (200, "CanNotDelete")
    assert (refused, error["error"]["code"]) == (409, "ScopeLocked")
    assert f"following scope(s) are locked: '{scope}/providers/{target}'" in error["error"]["message"]
    assert of_group == 409
    assert deleted == 200


async def test_a_subscription_gets_groups_of_its_own(engine, group):
    """A group is made like any resource; what is deployed into it waits for it."""
    made = {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2024-11-01", "name": f"{group}-new",
            "location": "[deployment().location]"}  # fmt: skip
    inside = module("inside", LOGS, {"name": "sub-logs"}, resourceGroup=f"{group}-new", dependsOn=[f"{group}-new"])
    whole = {"$schema": SUBSCRIPTION_SCHEMA, "contentVersion": "1.0.0.0", "resources": [made, inside]}
    changes = await engine.what_if(whole, {}, scope=SUBSCRIPTION)
    ended = await engine.deploy(whole, name="of-subscription", scope=SUBSCRIPTION)
    path = f"{SUBSCRIPTION}/providers/Microsoft.Resources/deployments/of-subscription"
    _, shown, _ = await engine.ask("GET", path)
    _, operations, _ = await engine.ask("GET", f"{path}/operations")

    assert [one["changeType"] for one in changes] == ["Create", "Create"]
    assert ended["provisioningState"] == "Succeeded"
    assert shown["location"] == LOCATION
    assert len(operations["value"]) == 2
    assert await names_in(engine, f"{group}-new") == ["sub-logs"]


async def test_a_template_for_a_group_is_no_template_for_a_subscription(engine, group):
    """Refused by its schema."""
    refused = await engine.deploy(template(workspace("x1234")), name="wrong", scope=SUBSCRIPTION)

    assert refused["error"]["code"] == "InvalidTemplate"


async def test_what_exists_is_left_alone_where_the_template_says_so(engine, scope, group):
    """`@onlyIfNotExists()`: made when it is missing; later no change, and nothing of it is written."""
    only = {"w": {**workspace("careful", tags={"made": "once"}), "@options": {"onlyIfNotExists": []}}}
    first = template(languageVersion="2.0") | {"resources": only}
    await engine.deploy(first, scope=scope)
    path = f"{scope}/providers/{WORKSPACES}/careful"
    _, before, _ = await engine.ask("GET", path, version="2025-02-01")
    only["w"]["tags"] = {"made": "again"}
    changes = await engine.what_if(first, {}, scope=scope)
    ended = await engine.deploy(first, scope=scope)
    _, after, _ = await engine.ask("GET", path, version="2025-02-01")

    assert [one["changeType"] for one in changes] == ["NoChange"]
    assert ended["provisioningState"] == "Succeeded"
    assert before == after


async def test_existing_in_another_group_is_read(engine, scope, group):
    """With its own subscription and group in the id; one that is not there fails."""
    await engine.make_group(f"{group}-b")
    await engine.deploy(template(workspace("elsewhere")), scope=f"{SUBSCRIPTION}/resourceGroups/{group}-b")
    existing = {"e": {"existing": True, "type": WORKSPACES, "apiVersion": "2025-02-01", "name": "elsewhere",
                      "resourceGroup": f"{group}-b"}}  # fmt: skip
    outputs = {"id": {"type": "string", "value": "[reference('e').customerId]"}}
    whole = template(languageVersion="2.0", outputs=outputs) | {"resources": existing}
    found = await engine.deploy(whole, scope=scope)
    existing["e"]["resourceGroup"] = group
    missing = await engine.deploy(whole, name="missing", scope=scope)

    assert found["outputs"]["id"]["value"]
    assert "ResourceNotFound" in str(missing["error"])


async def test_resources_of_the_subscription_are_filtered(engine, scope, group):
    """By group, type and name, as the Azure CLI asks; what is no such question is not emulated."""
    await engine.deploy(template(workspace("listed-a"), workspace("listed-b")), scope=scope)
    path = f"{SUBSCRIPTION}/resources?$filter=resourceGroup eq '{group.upper()}' and name eq 'listed-b'"
    _, found, _ = await engine.ask("GET", path)
    status, _, _ = await engine.ask("GET", f"{SUBSCRIPTION}/resources?$filter=tagName eq 'x' or name eq 'y'")

    assert [one["name"] for one in found["value"]] == ["listed-b"]
    assert status == 501


IDENTITY = {
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "who",
    "location": LOCATION,
}  # fmt: skip
WHO = "reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'who'))"


async def test_a_default_may_be_made_of_what_only_the_deployment_knows(engine, scope, group):
    """A module's parameter is given an id that exists later; another's default is made of it."""
    inner = template(
        workspace("[parameters('name')]", tags={"of": "[parameters('principal')]"}),
        parameters={
            "principal": {"type": "string"},
            "name": {"type": "string", "defaultValue": "[concat('logs-', take(parameters('principal'), 8))]"},
        },
    )
    outer = template(IDENTITY, module("late", inner, {"principal": f"[{WHO}.principalId]"}, dependsOn=["who"]))
    changes = await engine.what_if(outer, {}, scope=scope)
    ended = await engine.deploy(outer, scope=scope)
    _, who, _ = await engine.ask(
        "GET", f"{scope}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/who", version="2023-01-31"
    )

    assert [one["changeType"] for one in changes] == ["Create", "Unsupported"]
    assert "principalId" in changes[1]["after"]["tags"]["of"]
    assert ended["provisioningState"] == "Succeeded", ended
    assert await names_in(engine, group) == sorted(["who", f"logs-{who['properties']['principalId'][:8]}"])


async def test_a_module_that_cannot_be_planned_before_is_planned_when_it_is_its_turn(engine, scope, group):
    """How often its loop runs is known only then: a what-if says so of the deployment."""
    inner = template(
        workspace("[concat('logs-', copyIndex())]", copy={"name": "logs", "count": "[parameters('count')]"}),
        parameters={"count": {"type": "int"}},
        outputs={"count": {"type": "int", "value": "[parameters('count')]"}},
    )
    outer = template(
        IDENTITY,
        module("late", inner, {"count": f"[length(take({WHO}.principalId, 2))]"}, dependsOn=["who"]),
        outputs={"count": {"type": "int", "value": "[reference('late').outputs.count.value]"}},
    )
    changes = await engine.what_if(outer, {}, scope=scope)
    ended = await engine.deploy(outer, scope=scope)

    assert {one["resourceId"].rpartition("/")[2]: one["changeType"] for one in changes} == {
        "who": "Create", "late": "Unsupported",
    }  # fmt: skip
    assert ended["provisioningState"] == "Succeeded", ended
    assert ended["outputs"]["count"]["value"] == 2
    assert await names_in(engine, group) == ["logs-0", "logs-1", "who"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"copy": {"name": "c", "count": f"[length({WHO}.principalId)]"}}, "only the running deployment knows"),
        ({"apiVersion": f"[{WHO}.principalId]"}, "only the running deployment knows"),
        ({"dependsOn": [f"[{WHO}.principalId]"]}, "only the running deployment knows"),
    ],
)
async def test_looking_at_resources_where_it_is_too_early_is_a_mistake(engine, scope, more, said):
    """Told before anything exists, and no failure of the local cloud's."""
    outer = template(IDENTITY, {**workspace("logs"), **more})
    refused = await engine.deploy(outer, scope=scope)

    assert refused["error"]["code"] == "InvalidTemplate"
    assert said in refused["error"]["message"]


async def test_a_default_cannot_look_at_resources(engine, scope):
    """It is evaluated before any of them."""
    refused = await engine.deploy(
        template(parameters={"p": {"type": "string", "defaultValue": f"[{WHO}.principalId]"}}), scope=scope
    )

    assert "'reference' is not expected in a default" in refused["error"]["message"]
