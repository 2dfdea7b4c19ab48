"""The local cloud's tables and answers against the descriptions that Azure publishes (AZURE_SCHEMAS)."""

from collections.abc import Mapping

import pytest
from tests.support.local_cloud.published import (
    READ_ONLY,
    REQUIRED,
    VERSIONS,
    Published,
    needs_schemas,
    value_problems,
    versions,
)

from ai_toolkit.local_cloud.container_apps.app_resource import ContainerApps
from ai_toolkit.local_cloud.container_apps.environment_resource import EnvironmentStorages, ManagedEnvironments
from ai_toolkit.local_cloud.container_apps.job_resource import Jobs
from ai_toolkit.local_cloud.container_apps.log_workspace_resource import Workspaces
from ai_toolkit.local_cloud.core import shapes
from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.files.account_resource import FileServices, FileShares, StorageAccounts
from ai_toolkit.local_cloud.resource_manager.resource_type import check_body

TYPES = {
    one.name.lower(): one
    for one in (
        ContainerApps, EnvironmentStorages, FileServices, FileShares, Jobs, ManagedEnvironments, StorageAccounts,
        Workspaces,
    )
}  # fmt: skip
KINDS = {
    "number": {"IntegerType", "AnyType"},  # the tables of Bicep know no fractions
    "boolean": {"BooleanType"},
}
NOT_IN_BODIES = {"apiVersion"}  # a template's word


def table_problems(published, shape, kind, path):
    """Where a table of ours says something else than the description."""
    match shape:
        case shapes.InVersions(inner):
            return table_problems(published, inner, kind, path)
        case shapes.NotEmulated() | shapes.Anything() | shapes.Kept():
            return []
        case shapes.ListOf(item) if kind["$type"] == "ArrayType":
            return table_problems(published, item, published.at(kind["itemType"]), f"{path}[]")
        case shapes.MapOf(item) if "additionalProperties" in kind:
            return table_problems(published, item, published.at(kind["additionalProperties"]), f"{path}.*")
        case Mapping():
            return object_table_problems(published, shape, kind, path)
    ours, theirs = leaf_words(published, shape, kind)
    return [] if ours == theirs else [f"{path}: {ours} here, published is {theirs}"]


def leaf_words(published, shape, kind):
    """A shape without parts, and what is published, in the same words."""
    words = {word.lower() for word in published.words(kind)}
    limits = {name: kind[name] for name in ("minLength", "maxLength", "pattern") if name in kind}
    match shape:
        case shapes.OneOf(ours):
            return {word.lower() for word in ours}, words
        case shapes.Integer(least, most):
            return ("IntegerType", least, most), (kind["$type"], kind.get("minValue"), kind.get("maxValue"))
        case shapes.Kind(name):
            return True, kind["$type"] in KINDS[name]
    return ("StringType", set(), {}), (kind["$type"], words, limits)


# Recorded in answers of Azure's, and in no description of a version that was read.
SEEN_ONLY = {"patchingMode", "imageType", "delegatedIdentities", "enableFips", "source"}


def known_in(published, shape):
    """Whether the version that was published has the property, as the table says."""
    return not isinstance(shape, shapes.InVersions) or published.version in shape.known


def object_table_problems(published, shape, kind, path):
    problems = []
    ours = {written.rstrip("*="): (written, inner) for written, inner in shape.items() if known_in(published, inner)}
    theirs = kind.get("properties", {})
    answered = {name for name, (written, _) in ours.items() if written.endswith("=")}
    sent = ours.keys() - theirs.keys() - {"…"} - (set() if published.is_newest else answered)
    problems += [f"{path}.{name}: not published" for name in sent - SEEN_ONLY]
    missing = theirs.keys() - ours.keys() - NOT_IN_BODIES if published.is_newest or "…" not in ours else set()
    problems += [f"{path}.{name}: not in the table" for name in missing]
    if ("…" in ours) != ("additionalProperties" in kind):
        problems.append(f"{path}: other names are {'additionalProperties' in kind}")
    for name in ours.keys() & theirs.keys():
        (written, inner), known = ours[name], theirs[name]
        if written.endswith("="):
            is_read_only = bool(known["flags"] & READ_ONLY) or name == "name"
            problems += [] if is_read_only else [f"{path}.{name}: is not read-only"]
            continue
        if known["flags"] & READ_ONLY:
            problems.append(f"{path}.{name}: is read-only")
        if bool(known["flags"] & REQUIRED) != written.endswith("*"):
            problems.append(f"{path}.{name}: required is {bool(known['flags'] & REQUIRED)}")
        problems += table_problems(published, inner, published.at(known["type"]), f"{path}.{name}")
    return problems


@needs_schemas
@pytest.mark.parametrize("resource_type", sorted(TYPES))
def test_the_tables_say_what_is_published(resource_type):
    """Every property of Azure's is there, none besides, as required, as read-only, of the same type and words."""
    published = Published(resource_type)

    assert table_problems(published, TYPES[resource_type].body, published.body, "") == []


PROVIDERS = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{}/providers"
# The documents have more running states of a revision than the description.
ALSO_SEEN = (
    *("runningState: 'RunningAtMaxScale'", "runningState: 'ScaledToZero'"),
    # Recorded from Azure in November 2025 and April 2026.
    *("delegatedIdentities: unknown", "enableFips: unknown", "dynamicJsonColumns: unknown"),
    "Microsoft.App/jobs.properties.configuration.dapr: unknown",
    *("appInsightsConfiguration: unknown", "openTelemetryConfiguration: unknown"),
)
JOB = {
    "location": "westus3",
    "properties": {
        "configuration": {
            "triggerType": "Manual",
            "replicaTimeout": 60,
            "secrets": [{"name": "key", "value": "hidden"}],
            "manualTriggerConfig": {"parallelism": 1, "replicaCompletionCount": 1},
        },
        "template": {"containers": [{"name": "train", "image": "image", "command": ["true"]}]},
    },
}


async def addresses_of(deployed, clients):
    """The type and address of everything that the deployment of the test template made, and of a job."""
    space = PROVIDERS.format(deployed.group)
    account = f"{space}/Microsoft.Storage/storageAccounts/{deployed.account}"
    environment = f"{space}/Microsoft.App/managedEnvironments/{deployed.environment}"
    app = f"{space}/Microsoft.App/containerApps/{deployed.app}"
    workspace = deployed.app.replace("aiacaapp", "ailog")
    job = {**JOB, "properties": {**JOB["properties"], "environmentId": environment}}
    await (await clients.apps.jobs.begin_create_or_update(deployed.group, "train", job)).result()
    (revision,) = (await clients.raw(f"{app}/revisions", "2025-07-01"))["value"]
    (replica,) = (await clients.raw(f"{revision['id']}/replicas", "2025-07-01"))["value"]
    return {
        "Microsoft.App/containerApps": app,
        "Microsoft.App/containerApps/revisions": revision["id"],
        "Microsoft.App/containerApps/revisions/replicas": replica["id"],
        "Microsoft.App/jobs": f"{space}/Microsoft.App/jobs/train",
        "Microsoft.App/managedEnvironments": environment,
        "Microsoft.App/managedEnvironments/storages": f"{environment}/storages/models",
        "Microsoft.Storage/storageAccounts": account,
        "Microsoft.Storage/storageAccounts/fileServices": f"{account}/fileServices/default",
        "Microsoft.Storage/storageAccounts/fileServices/shares": f"{account}/fileServices/default/shares/models",
        "Microsoft.OperationalInsights/workspaces": f"{space}/Microsoft.OperationalInsights/workspaces/{workspace}",
    }


@needs_schemas
async def test_every_answer_is_as_published(deployed, clients):
    """A GET of each type of resource holds what it must, nothing unknown, and no secret; so does its list."""
    problems = []
    addresses = await addresses_of(deployed, clients)
    for resource_type, address in addresses.items():
        published = Published(resource_type)
        version = VERSIONS[resource_type.partition("/")[0].lower()]
        body = await clients.raw(address, version)
        listed = await clients.raw(address.rpartition("/")[0], version)
        found = value_problems(published, body, published.body, resource_type, is_answer=True)
        problems += [one for one in found if not any(word in one for word in ALSO_SEEN)]
        problems += [f"{resource_type}.{key}: is missing" for key in ("id", "name", "type") if key not in body]
        problems += [] if body in listed["value"] else [f"{resource_type}: is not in its list"]

    assert problems == []
    assert set(TYPES) <= {resource_type.lower() for resource_type in addresses}


@needs_schemas
@pytest.mark.parametrize("resource_type", sorted(TYPES))
def test_the_tables_know_the_members_of_every_published_version(resource_type):
    """A property is known to just those versions that have it; their words and limits may be others."""
    for version in versions(resource_type):
        published = Published(resource_type, version)
        found = table_problems(published, TYPES[resource_type].body, published.body, "")

        assert [one for one in found if one.endswith(("not published", "not in the table"))] == [], version


@needs_schemas
@pytest.mark.parametrize("resource_type", sorted(TYPES))
def test_names_are_as_long_as_published(resource_type):
    """A name of the least and of the greatest length is taken, one beyond either is not."""
    published = Published(resource_type)
    name = published.at(published.body["properties"]["name"]["type"])
    pattern = TYPES[resource_type].name_pattern
    for limit, beyond in ((name.get("minLength"), -1), (name.get("maxLength"), 1)):
        if limit is not None:
            assert pattern.fullmatch("a" * limit)
            assert not pattern.fullmatch("a" * (limit + beyond))


@needs_schemas
async def test_answers_of_actions_are_as_published(deployed, clients):
    """Keys and secrets come as Azure's description of the action says."""
    problems = []
    addresses = await addresses_of(deployed, clients)
    for resource_type, action in (
        ("Microsoft.App/containerApps", "listSecrets"),
        ("Microsoft.App/containerApps", "getAuthtoken"),
        ("Microsoft.App/jobs", "listSecrets"),
        ("Microsoft.Storage/storageAccounts", "listKeys"),
        ("Microsoft.OperationalInsights/workspaces", "sharedKeys"),
    ):
        published = Published(resource_type)
        version = VERSIONS[resource_type.partition("/")[0].lower()]
        body = await clients.raw(f"{addresses[resource_type]}/{action}", version, method="POST")
        found = value_problems(published, body, published.action(action), action, is_answer=True)
        problems += [one for one in found if not one.endswith("write-only")]  # to tell them is what they are for

    assert problems == []


@needs_schemas
async def test_the_compiled_template_sends_what_is_published(template_bodies):
    """Every resource body of the product's template breaks no description."""
    problems = []
    for resource_type, body in template_bodies:
        published = Published(resource_type)
        problems += value_problems(published, body, published.body, resource_type, is_answer=False)

    assert problems == []
    assert len(template_bodies) == 6


def app(**properties):
    container = {"name": "one", "image": "image", "command": ["true"]}
    return {
        "location": "westus3",
        "properties": {"environmentId": "/x", "template": {"containers": [container]}, **properties},
    }


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (app(colour="red"), "properties.colour"),
        (app(configuration={"ingress": {"targetPort": "80"}}), "properties.configuration.ingress.targetPort"),
        (app(configuration={"ingress": {"external": 1}}), "properties.configuration.ingress.external"),
        (app(configuration={"ingress": {"transport": "smoke"}}), "properties.configuration.ingress.transport"),
        (app(configuration={"secrets": {"a": 1}}), "properties.configuration.secrets"),
        (app(template={"containers": [{"env": [{"name": 1}]}]}), "properties.template.containers[0].env[0].name"),
        ({**app(), "tags": {"a": 1}}, "tags.a"),
        ({"properties": {}}, "location"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(body, target):
    """InvalidRequestContent, the place as target, and every mistake among the details."""
    with pytest.raises(ArmError) as refusal:
        check_body(ContainerApps.body, body)

    assert refusal.value.code == "InvalidRequestContent"
    assert refusal.value.target == target
    assert target in refusal.value.message
    assert refusal.value.details[0]["target"] == target


def test_what_is_not_emulated_is_refused_by_name():
    """501 naming the property, unless something else is wrong, too."""
    with pytest.raises(ArmError) as refusal:
        check_body(ContainerApps.body, app(configuration={"service": {"type": "redis"}}))
    with pytest.raises(ArmError) as wrong:
        check_body(ContainerApps.body, app(configuration={"service": {"type": "redis"}}, colour="red"))

    assert (refusal.value.status, refusal.value.target) == (501, "properties.configuration.service")
    assert (wrong.value.status, wrong.value.target) == (400, "properties.colour")


def test_a_number_out_of_its_bounds_is_refused():
    """As Azure publishes them: a deleted share is kept for 1 to 365 days."""
    body = {"properties": {"shareDeleteRetentionPolicy": {"enabled": True, "days": 366}}}
    with pytest.raises(ArmError) as refusal:
        check_body(FileServices.body, body)

    assert "366 is not from 1 to 365" in refusal.value.message


def test_what_only_answers_hold_is_ignored_in_requests():
    """A body that was read and is sent back is no mistake."""
    check_body(ContainerApps.body, app(provisioningState="Succeeded", latestRevisionName="x"))
