"""Parameters as Azure takes them: from a key vault, in any case, optional, and secret."""

import io
import json

import pytest
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from tests.support.provisioning import GROUP_URL, Person

from ai_toolkit.azure.busy import when_free
from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.azure.container_apps import ContainerApps
from ai_toolkit.errors import DeploymentFailed, PreflightFailed, ValueImpossible
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

SECRET = "Correct-Horse-Battery"


def extend(ground, **parameters):
    """Gives the workspace's template more parameters, each also as a variable of the container."""
    path = ground.workspace.provision_folder / "inference.json"
    template = json.loads(path.read_text())
    template["parameters"] |= parameters
    resources = template["resources"]
    listed = resources.values() if isinstance(resources, dict) else resources
    app = next(one for one in listed if one["type"] == "Microsoft.App/containerApps" and not one.get("existing"))
    for name in parameters:
        text = f"[coalesce(parameters('{name}'), 'none')]"
        app["properties"]["template"]["containers"][0]["env"].append({"name": name.upper(), "value": text})
    path.write_text(json.dumps(template))


def put(ground, **entries):
    path = ground.workspace.provision_folder / "inference.parameters.json"
    document = json.loads(path.read_text())
    document["parameters"] |= entries
    path.write_text(json.dumps(document))


async def make_vault(ground, *, enabled=True):
    """A vault with the secret, as a colleague made it; its id."""
    vault = f"{GROUP_URL}/shared/providers/Microsoft.KeyVault/vaults/contoso"
    properties = {"tenantId": "t", "sku": {"name": "standard"}, "enabledForTemplateDeployment": enabled}
    async with ground.client(ResourceManagementClient) as client:
        await client.resource_groups.create_or_update("shared", {"location": "westus3"})
        for path, body in (
            (vault, {"location": "westus3", "properties": properties}),
            (f"{vault}/secrets/token", {"properties": {"value": SECRET}}),
        ):
            request = HttpRequest("PUT", path, params={"api-version": "2023-07-01"}, json=body)
            answer = await client.send_request(request)
            assert answer.status_code in {200, 201}, answer.text()
            assert SECRET not in answer.text()
    return vault


async def variables(ground):
    """The container's variables that are live."""
    async with ground.client(ContainerAppsAPIClient, api_version="2025-07-01") as client:
        app = (await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])).as_dict()
    return {one["name"]: one.get("value") for one in app["properties"]["template"]["containers"][0]["env"]}


async def test_a_secret_of_a_key_vault_passes_through(ground):
    """Resource Manager reads it, nobody here does: it is in no file, and shown by its name only."""
    extend(ground, token={"type": "securestring"})
    vault = await make_vault(ground)
    put(ground, token={"reference": {"keyVault": {"id": vault}, "secretName": "token"}})
    person = Person()
    await ground.provision(person)
    again = Person()
    await ground.provision(again)

    assert (await variables(ground))["TOKEN"] == SECRET
    assert SECRET not in person.text
    assert "Nothing changed since the last provisioning" in again.text


async def test_a_reference_that_azure_refuses_is_told(ground):
    """A vault that lets no deployment in: its own code, before anything is sent."""
    extend(ground, token={"type": "securestring"})
    vault = await make_vault(ground, enabled=False)
    async with ground.client(ResourceManagementClient) as client:
        await client.resource_groups.create_or_update(ground.group, {"location": "westus3"})
    put(ground, token={"reference": {"keyVault": {"id": vault}, "secretName": "token"}})
    with pytest.raises(PreflightFailed, match="enabledForTemplateDeployment is false"):
        await ground.provision(Person())


@pytest.mark.parametrize(
    ("name", "entry", "said"),
    [
        ("storageAccountName", {"reference": {"keyVault": {"id": "/subscriptions/s"}, "secretName": "n"}}, "secure"),
        ("image", {"reference": {"secretName": "n"}}, "keyVault"),
        ("image", {"reference": {"keyVault": {"id": "/subscriptions/s"}, "secretName": "n"}, "value": "x"}, "no value"),
        ("image", {"values": "x"}, "is expected"),
    ],
)
async def test_a_reference_that_cannot_be_one_is_named(ground, name, entry, said):
    """With the parameter and the form that is right; names that Provision looks for need values."""
    put(ground, **{name: entry})

    with pytest.raises(ValueImpossible, match=name) as raised:
        await ground.what_if()
    assert said in raised.value.problem


async def test_names_count_in_any_case(ground):
    """Azure does not look at it; the same name twice is a mistake with its place."""
    put(ground, ACAAPPNAME={"value": "shouted"}, MaximumInstanceCount={"value": 3})
    path = ground.workspace.provision_folder / "inference.parameters.json"
    document = json.loads(path.read_text())
    for name in ("acaAppName", "maximumInstanceCount"):
        del document["parameters"][name]
    path.write_text(json.dumps(document, indent=2))
    person = Person()
    await ground.what_if(person)
    put(ground, acaappname={"value": "twice"})

    assert person.origin("acaAppName") == ("shouted", "inference.parameters.json")
    assert person.origin("maximumInstanceCount") == ("3", "inference.parameters.json")
    with pytest.raises(ValueImpossible, match=r"line \d+, column \d+: acaappname: it is given twice"):
        await ground.what_if()


async def test_what_may_be_null_needs_no_value(ground):
    """A nullable parameter without a default, given as null, not given, and given."""
    nullable = {"type": "string", "nullable": True}
    extend(ground, first=nullable, second=nullable, third=nullable)
    put(ground, first={"value": None}, third={"value": "given"})
    await ground.provision()
    found = await variables(ground)

    assert (found["FIRST"], found["SECOND"], found["THIRD"]) == ("none", "none", "given")


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ({"type": "securestring"}, SECRET),
        ({"type": "SecureString", "allowedValues": ["other", SECRET]}, SECRET),
        ({"$ref": "#/definitions/token"}, SECRET),
    ],
)
async def test_a_secure_value_is_shown_nowhere(ground, declared, given):
    """Not among the parameters, in the preview, in a mistake, or in what Azure says of a failure."""
    extend(ground, token=declared)
    path = ground.workspace.provision_folder / "inference.json"
    template = json.loads(path.read_text())
    path.write_text(json.dumps(template | {"definitions": {"token": {"type": "securestring"}}}))
    put(ground, token={"value": given})
    person = Person()
    await ground.provision(person)
    put(ground, maximumInstanceCount={"value": 2})
    preview = await ground.what_if(person)
    with ground.faults() as faults:
        faults.add("resource-fails", path="containerApps", message=f"The value {given} is wrong.")
        with pytest.raises(DeploymentFailed) as failed:
            await ground.provision(person)
    put(ground, token={"value": ["wrong", given]})
    with pytest.raises(ValueImpossible) as wrong:
        await ground.what_if(person)

    assert person.origin("token")[0] == "(not shown)"
    assert "containerApps" in preview.modify[0].id
    for shown in (person.text, "\n".join(person.reports), str(failed.value), str(wrong.value)):
        assert given not in shown


async def test_an_environment_of_the_first_kind_is_refused_before_anything_is_sent(ground):
    """It takes no GPU profile: said by preflight, not by a deployment that fails after the replica was stopped."""
    async with ground.client(ResourceManagementClient) as client:
        await client.resource_groups.create_or_update(ground.group, {"location": "westus3"})
    async with ground.client(ContainerAppsAPIClient, api_version="2025-07-01") as client:
        body = io.BytesIO(json.dumps({"location": "westus3", "properties": {}}).encode())
        await (await client.managed_environments.begin_create_or_update(ground.group, "old", body)).result()
        made = (await client.managed_environments.get(ground.group, "old")).as_dict()
    ground.give(acaEnvironmentName="old")

    assert not made["properties"].get("workloadProfiles")
    with pytest.raises(PreflightFailed, match="Consumption only"):
        await ground.provision(Person())


async def test_an_app_s_environment_is_found_in_whatever_group_it_lies(ground):
    """Its id says where: its GPUs are counted there, and an app beside it is refused before anything is stopped."""
    await ground.provision()
    async with ground.client(ResourceManagementClient) as client:
        await client.resource_groups.create_or_update("apps-alone", {"location": "westus3"})
    async with ground.client(ContainerAppsAPIClient, api_version="2025-07-01") as client:
        app = (await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])).as_dict()
        properties = {
            "environmentId": app["properties"]["environmentId"],
            "workloadProfileName": app["properties"]["workloadProfileName"],
            "template": {"containers": [{"name": "inference", "image": "i", "command": ["true"]}]},
        }
        body = io.BytesIO(json.dumps({"location": "westus3", "properties": properties}).encode())
        await client.container_apps.begin_create_or_update("apps-alone", "stray", body, polling=False)
    async with (
        open_cloud(LOCAL_SUBSCRIPTION) as cloud,
        ContainerApps.open(cloud.connection, LOCAL_SUBSCRIPTION, "apps-alone") as apps,
    ):
        left = await apps.gpus_left(await apps.app("stray"))
    ground.give(acaAppName="stray", acaEnvironmentName=app["properties"]["environmentId"].rpartition("/")[2])
    elsewhere = ground.__class__(ground.workspace, "apps-alone", ground.home)

    assert isinstance(left, int)
    with pytest.raises(PreflightFailed, match=f"of {ground.group}, another resource group"):
        await elsewhere.provision(Person())
    async with ground.client(ContainerAppsAPIClient, api_version="2025-07-01") as client:
        # It waits for the GPU that the other holds, and takes no other change before it has one.
        await (await client.container_apps.begin_delete(ground.group, app["name"])).result()
        await (await when_free(lambda: client.container_apps.begin_delete("apps-alone", "stray"))).result()
