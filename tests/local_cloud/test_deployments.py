"""Deployments: their order, their failures, their names and history, and what a what-if says."""

import asyncio

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def workspace(name, **more):
    return {
        "type": "Microsoft.OperationalInsights/workspaces",
        "apiVersion": "2025-02-01",
        "name": name,
        "location": "westus3",
        "properties": {"sku": {"name": "PerGB2018"}, "retentionInDays": 30},
        **more,
    }


def template_of(resources, outputs=None):
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources, "outputs": outputs or {}}
    return template | ({"languageVersion": "2.0"} if isinstance(resources, dict) else {})


def properties(template):
    return {"properties": {"mode": "Incremental", "template": template, "parameters": {}}}


async def run(clients, group, template, name="one"):
    body = properties(template)
    return await (await clients.deployments.deployments.begin_create_or_update(group, name, body)).result()


async def begin(clients, group, template, name="one"):
    """Submit, and do not wait."""
    body = properties(template)
    await clients.deployments.deployments.begin_create_or_update(group, name, body, polling=False)


async def operations_of(clients, group, name="one"):
    listed = clients.deployments.deployment_operations.list(group, name)
    return {
        one.properties.target_resource.resource_name: one.properties
        async for one in listed
        if one.properties.target_resource
    }


async def test_independent_resources_are_made_side_by_side(clients, group, faults, until):
    """While one hangs, the one beside it is done, and the one that needs it has not begun."""
    needs = ["[resourceId('Microsoft.OperationalInsights/workspaces', 'hangs')]"]
    template = template_of([workspace("hangs"), workspace("beside"), workspace("after", dependsOn=needs)])
    faults.add("resource-hangs", path="/workspaces/hangs$")
    await begin(clients, group, template)

    async def beside_is_done():
        found = await operations_of(clients, group)
        return found if "beside" in found and found["beside"].provisioning_state == "Succeeded" else None

    found = await until(beside_is_done)
    await clients.deployments.deployments.cancel(group, "one")

    assert found["hangs"].provisioning_state == "Running"
    assert "after" not in found


async def test_references_imply_the_order(clients, group):
    """Without dependsOn, what an expression looks at is made before."""
    first = "resourceId('Microsoft.OperationalInsights/workspaces', 'first')"
    template = template_of(
        [
            workspace("second", tags={"of": f"[reference({first}).customerId]"}),
            workspace("first"),
        ]
    )
    await run(clients, group, template)
    space = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{group}/providers"
    made, referring = [
        await clients.raw(f"{space}/Microsoft.OperationalInsights/workspaces/{name}", "2025-02-01")
        for name in ("first", "second")
    ]

    assert referring["tags"]["of"] == made["properties"]["customerId"]


async def test_a_serial_loop_goes_batch_by_batch(clients, group, faults, until):
    """Two at a time: the third copy has not begun while the second hangs; in the end all are made."""
    many = workspace(
        "[format('many{0}', copyIndex())]", copy={"name": "many", "count": 3, "mode": "serial", "batchSize": 2}
    )
    fault = faults.add("resource-hangs", path="/workspaces/many1$")
    await begin(clients, group, template_of([many]))

    async def first_is_done():
        found = await operations_of(clients, group)
        done = "many0" in found and found["many0"].provisioning_state == "Succeeded"
        return found if done and faults.hits(fault) else None

    found = await until(first_is_done)
    await clients.deployments.deployments.cancel(group, "one")
    again = await run(clients, group, template_of([many]), "two")

    assert set(found) == {"many0", "many1"}
    assert len(again.properties.output_resources) == 3


async def test_symbolic_names_collections_and_existing_resources(clients, group):
    """languageVersion 2.0: `references` of a loop in its order; existing ones are read, conditions leave out."""
    await run(clients, group, template_of([workspace("there")]), "before")
    resources = {
        "many": workspace("[format('many{0}', copyIndex())]", copy={"name": "many", "count": 3}),
        "old": {**workspace("there"), "existing": True},
        "never": workspace("never", condition=False),
        "last": workspace("last", tags={"count": "[string(length(references('many')))]"}),
    }
    outputs = {
        "names": {
            "type": "array",
            "value": "[map(references('many', 'full'), lambda('r', lambdaVariables('r').name))]",
        },
        "sku": {"type": "string", "value": "[reference('old').sku.name]"},
        "id": {"type": "string", "value": "[resourceInfo('last').id]"},
    }
    done = await run(clients, group, template_of(resources, outputs))
    found = await operations_of(clients, group)

    assert done.properties.outputs["names"]["value"] == ["many0", "many1", "many2"]
    assert done.properties.outputs["sku"]["value"] == "PerGB2018"
    assert done.properties.outputs["id"]["value"].endswith("/workspaces/last")
    assert found["there"].provisioning_operation == "Read"
    assert "never" not in found


async def test_a_deployment_that_runs_keeps_its_name(clients, group, faults, until):
    """DeploymentActive, 409, until it has ended; then the name is free, and cancel is refused."""
    fault = faults.add("resource-hangs")
    template = template_of([workspace("hangs")])
    await begin(clients, group, template)

    async def hangs():
        return faults.hits(fault)

    await until(hangs)
    with pytest.raises(HttpResponseError) as active:
        await begin(clients, group, template)
    await clients.deployments.deployments.cancel(group, "one")

    async def ended():
        return (await clients.deployments.deployments.get(group, "one")).properties.provisioning_state == "Canceled"

    await until(ended)
    again = await run(clients, group, template)
    with pytest.raises(HttpResponseError) as too_late:
        await clients.deployments.deployments.cancel(group, "one")

    assert (active.value.status_code, active.value.error.code) == (409, "DeploymentActive")
    assert again.properties.provisioning_state == "Succeeded"
    assert too_late.value.status_code == 409


async def test_the_history_holds_every_deployment(clients, group, faults):
    """The newest first, with state, times, outputs and errors; a secure parameter's value is in none."""
    secret = {"key": {"type": "securestring", "defaultValue": "hidden-value"}}
    good = template_of([workspace("good")]) | {"parameters": secret}
    await run(clients, group, good, "first")
    faults.add("resource-fails", code="OutOfCapacity", message="No room.")
    with pytest.raises(HttpResponseError):
        await run(clients, group, template_of([workspace("broken")]), "second")
    listed = [one async for one in clients.deployments.deployments.list_by_resource_group(group)]
    path = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/{group}/providers"
    raw = await clients.raw(f"{path}/Microsoft.Resources/deployments/first", "2025-04-01")

    assert [(one.name, one.properties.provisioning_state) for one in listed] == [
        ("second", "Failed"),
        ("first", "Succeeded"),
    ]
    assert listed[0].properties.error.details[0].code == "OutOfCapacity"
    assert raw["properties"]["parameters"] == {"key": {"type": "SecureString"}}
    assert "hidden-value" not in str(raw)


async def test_a_failure_leaves_what_is_done_and_does_not_begin_what_needs_it(clients, group, faults):
    """The one beside is there, the one that needs the failed one was never begun."""
    needs = ["[resourceId('Microsoft.OperationalInsights/workspaces', 'fails')]"]
    template = template_of([workspace("fails"), workspace("beside"), workspace("after", dependsOn=needs)])
    faults.add("resource-fails", path="/workspaces/fails$", code="Broken")
    with pytest.raises(HttpResponseError):
        await run(clients, group, template)
    found = await operations_of(clients, group)
    listed = [one.name async for one in clients.resources.resources.list_by_resource_group(group)]

    assert {name: one.provisioning_state for name, one in found.items()} == {"fails": "Failed", "beside": "Succeeded"}
    assert "beside" in listed
    assert "after" not in listed


async def test_a_submitted_deployment_may_not_be_found_for_a_moment(clients, group, faults):
    """On demand a GET right after the PUT is 404, as on Azure; the next one finds it."""
    fault = faults.add("not-found", method="GET", path="/deployments/one")
    await begin(clients, group, template_of([workspace("a-workspace")]))
    with pytest.raises(ResourceNotFoundError) as missing:
        await clients.deployments.deployments.get(group, "one")
    found = await clients.deployments.deployments.get(group, "one")

    assert missing.value.error.code == "DeploymentNotFound"
    assert faults.hits(fault) == 1
    assert found.name == "one"


async def what_if(clients, group, template):
    body = properties(template)
    done = await (await clients.deployments.deployments.begin_what_if(group, "preview", body)).result()
    return {change.resource_id.rpartition("/")[2]: change for change in done.properties.changes}


async def test_what_if_says_which_properties_change(clients, group):
    """Create, Modify with each property's path and values, NoChange, Ignore; and nothing is made."""
    before = template_of([workspace("changed"), workspace("same"), workspace("left")])
    await run(clients, group, before)
    changed = workspace("changed", tags={"colour": "red"})
    changed["properties"] = {**changed["properties"], "retentionInDays": 60}
    changes = await what_if(clients, group, template_of([changed, workspace("same"), workspace("created")]))
    delta = {one.path: (one.property_change_type, one.before, one.after) for one in changes["changed"].delta}
    listed = [one.name async for one in clients.resources.resources.list_by_resource_group(group)]

    assert {name: change.change_type for name, change in changes.items()} == {
        "changed": "Modify",
        "same": "NoChange",
        "left": "Ignore",
        "created": "Create",
    }
    assert delta["properties.retentionInDays"] == ("Modify", 30, 60)
    assert delta["tags"] == ("Create", None, {"colour": "red"})
    assert "created" not in listed


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ([workspace("first", dependsOn=["second"]), workspace("second", dependsOn=["first"])], "Circular dependency"),
        ([workspace("[nothing()]")], "template function 'nothing' is not valid"),
        ([workspace("first", properties={"colour": "red"})], "Could not find member 'colour'"),
        ([workspace("first", apiVersion="1999-01-01")], "API version '1999-01-01'"),
    ],
    ids=["ring", "function", "property", "version"],
)
async def test_validate_refuses_what_create_would(clients, group, resources, words):
    """A mistake is said by validate already, in the same words as by create."""
    said = []
    body = properties(template_of(resources))
    operations = clients.deployments.deployments
    for attempt in (operations.begin_validate, operations.begin_create_or_update):
        with pytest.raises(HttpResponseError) as refusal:
            await (await attempt(group, "one", body)).result()
        said.append(str(refusal.value))

    assert all(words in one for one in said)


async def test_a_managed_environments_put_replaces(clients, group):
    """What the second PUT does not say is gone: profiles, tags and the key of the logs."""
    environments = clients.apps.managed_environments
    profile = {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC8as-T4"}
    logs = {"destination": "log-analytics", "logAnalyticsConfiguration": {"customerId": "c", "sharedKey": "k"}}
    first = {
        "location": "westus3",
        "tags": {"a": "b"},
        "properties": {"workloadProfiles": [profile], "appLogsConfiguration": logs},
    }
    await (await environments.begin_create_or_update(group, "env", first)).result()
    await (await environments.begin_create_or_update(group, "env", {"location": "westus3"})).result()
    path = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{group}/providers"
    found = await clients.raw(f"{path}/Microsoft.App/managedEnvironments/env", "2025-07-01")

    assert not found.get("tags")
    assert found["properties"]["workloadProfiles"] is None
    assert found["properties"]["appLogsConfiguration"] == {"destination": None, "logAnalyticsConfiguration": None}


async def test_a_patch_of_a_managed_environment_keeps_the_rest(clients, group):
    """Profiles are replaced as a list; what the PATCH does not name stays."""
    environments = clients.apps.managed_environments
    profile = {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC8as-T4"}
    first = {"location": "westus3", "tags": {"a": "b"}, "properties": {"workloadProfiles": []}}
    await (await environments.begin_create_or_update(group, "env", first)).result()
    patch = {"location": "westus3", "properties": {"workloadProfiles": [profile]}}
    await (await environments.begin_update(group, "env", patch)).result()
    found = await environments.get(group, "env")

    assert found.tags == {"a": "b"}
    assert {one.name for one in found.workload_profiles} == {"gpu", "Consumption"}


async def test_two_deployments_run_at_once(clients, group, faults, until):
    """Another name in the same group does not wait for the first."""
    faults.add("resource-hangs", path="/workspaces/hangs$")
    await begin(clients, group, template_of([workspace("hangs")]), "one")
    async with asyncio.timeout(30):
        other = await run(clients, group, template_of([workspace("quick")]), "two")
    await clients.deployments.deployments.cancel(group, "one")

    assert other.properties.provisioning_state == "Succeeded"
