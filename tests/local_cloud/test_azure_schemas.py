"""The local cloud's tables and answers against the descriptions that Azure publishes (AZURE_SCHEMAS)."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ai_toolkit.local_cloud.arm_error import ArmError
from ai_toolkit.local_cloud.resource_manager import bodies
from ai_toolkit.local_cloud.resource_manager.bodies import BODIES, check_body

FOLDER = os.environ.get("AZURE_SCHEMAS")
needs_schemas = pytest.mark.skipif(FOLDER is None, reason="AZURE_SCHEMAS names no folder of published descriptions")
VERSIONS = {
    "microsoft.app": "2025-07-01",
    "microsoft.storage": "2025-08-01",
    "microsoft.operationalinsights": "2025-02-01",
}
REQUIRED, READ_ONLY, WRITE_ONLY = 1, 2, 4


class Published:
    """One provider's types; a type is looked up as the index that references name."""

    def __init__(self, resource_type):
        namespace = resource_type.partition("/")[0].lower()
        path = Path(FOLDER) / "resource-types" / namespace / VERSIONS[namespace] / "types.json"
        self.types = json.loads(path.read_text())
        name = f"{resource_type}@{VERSIONS[namespace]}".lower()
        found = next(one for one in self.types if one["$type"] == "ResourceType" and one["name"].lower() == name)
        self.body = self.at(found["body"])

    def at(self, reference):
        return self.types[int(reference["$ref"].removeprefix("#/"))]

    def words(self, kind):
        """The literals of a string's type; none when any string is right."""
        if kind["$type"] == "StringLiteralType":
            return {kind["value"]}
        return {word for one in kind.get("elements", []) for word in self.words(self.at(one))}


KINDS = {
    "integer": {"IntegerType"},
    "number": {"IntegerType", "AnyType"},  # the tables of Bicep know no fractions
    "boolean": {"BooleanType"},
    "object": {"ObjectType"},
}


def table_problems(published, shape, kind, path):
    """Where a table of ours says something else than the description."""
    if isinstance(shape, bodies.ListOf):
        if kind["$type"] != "ArrayType":
            return [f"{path}: no array"]
        return table_problems(published, shape.item, published.at(kind["itemType"]), f"{path}[]")
    if isinstance(shape, Mapping):
        return object_table_problems(published, shape, kind, path)
    if isinstance(shape, bodies.OneOf):
        ours, theirs = ({word.lower() for word in words} for words in (shape.words, published.words(kind)))
        return [f"{path}: {ours - theirs} is not published, {theirs - ours} is missing"] if ours != theirs else []
    if isinstance(shape, bodies.MapOf):
        fits = "additionalProperties" in kind
    elif isinstance(shape, bodies.Kind):
        fits = kind["$type"] in KINDS[shape.name]
    else:
        fits = kind["$type"] in {"StringType", "UnionType", "StringLiteralType"}
    return [] if fits else [f"{path}: {kind['$type']}"]


def object_table_problems(published, shape, kind, path):
    problems = []
    for written, inner in shape.items():
        name = written.rstrip("*=")
        known = kind.get("properties", {}).get(name)
        if known is None:
            problems.append(f"{path}.{name}: not published")
            continue
        if written.endswith("=") != bool(known["flags"] & READ_ONLY) and name != "name":
            problems.append(f"{path}.{name}: read-only is {bool(known['flags'] & READ_ONLY)}")
        if known["flags"] & REQUIRED and not written.endswith(("*", "=")):
            problems.append(f"{path}.{name}: is required")
        problems += table_problems(published, inner, published.at(known["type"]), f"{path}.{name}")
    return problems


@needs_schemas
@pytest.mark.parametrize("resource_type", sorted(BODIES))
def test_the_tables_say_what_is_published(resource_type):
    """Every property that we know is one of Azure's, as required, as read-only and of the same type."""
    published = Published(resource_type)

    assert table_problems(published, BODIES[resource_type], published.body, "") == []


def value_problems(published, value, kind, path, *, is_answer):
    """Where a body breaks its description: unknown, missing, read-only, write-only, type, enum, length."""
    name = kind["$type"]
    if value is None or name == "AnyType":
        return []
    if name == "ObjectType" and isinstance(value, dict):
        return object_problems(published, value, kind, path, is_answer=is_answer)
    if name == "ArrayType" and isinstance(value, list):
        item_kind = published.at(kind["itemType"])
        return [
            problem
            for index, item in enumerate(value)
            for problem in value_problems(published, item, item_kind, f"{path}[{index}]", is_answer=is_answer)
        ]
    if isinstance(value, str) and name in {"StringType", "UnionType", "StringLiteralType"}:
        words = {word.lower() for word in published.words(kind)}
        if words and value.lower() not in words:
            return [f"{path}: {value!r} is none of {sorted(words)}"]
        fits = kind.get("minLength", 0) <= len(value) <= kind.get("maxLength", 1 << 31)
    elif isinstance(value, bool):
        fits = name == "BooleanType"
    else:
        fits = name == "IntegerType" and isinstance(value, int | float)
    return [] if fits else [f"{path}: {value!r} is not as {name}"]


def object_problems(published, value, kind, path, *, is_answer):
    problems = []
    for key, item in value.items():
        known = kind["properties"].get(key)
        if known is None:
            problems += [] if "additionalProperties" in kind else [f"{path}.{key}: unknown"]
            continue
        if is_answer and known["flags"] & WRITE_ONLY and item is not None:
            problems.append(f"{path}.{key}: is write-only")
        if not is_answer and known["flags"] & READ_ONLY:
            problems.append(f"{path}.{key}: is read-only")
        inner = published.at(known["type"])
        problems += value_problems(published, item, inner, f"{path}.{key}", is_answer=is_answer)
    return problems + [
        f"{path}.{key}: is missing"
        for key, known in kind["properties"].items()
        if known["flags"] & REQUIRED and key not in value and not known["flags"] & (READ_ONLY | WRITE_ONLY)
    ]


@needs_schemas
async def test_every_answer_is_as_published(deployed, clients, account):
    """A GET of each resource of a deployment holds what it must, nothing unknown, and no secret."""
    problems = []
    seen = set()
    app_space = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{deployed.group}/providers"
    storage = f"{app_space}/Microsoft.Storage/storageAccounts/{deployed.account}"
    workspace = deployed.app.replace("aiacaapp", "ailog")
    addresses = {
        "Microsoft.App/containerApps": f"{app_space}/Microsoft.App/containerApps/{deployed.app}",
        "Microsoft.App/managedEnvironments": f"{app_space}/Microsoft.App/managedEnvironments/{deployed.environment}",
        "Microsoft.App/managedEnvironments/storages": None,
        "Microsoft.Storage/storageAccounts": storage,
        "Microsoft.Storage/storageAccounts/fileServices/shares": f"{storage}/fileServices/default/shares/models",
        "Microsoft.OperationalInsights/workspaces": f"{app_space}/Microsoft.OperationalInsights/workspaces/{workspace}",
    }
    environment = addresses["Microsoft.App/managedEnvironments"]
    listed = await clients.raw(f"{environment}/storages", "2025-07-01")
    addresses["Microsoft.App/managedEnvironments/storages"] = listed["value"][0]["id"]
    for resource_type, address in addresses.items():
        published = Published(resource_type)
        body = await clients.raw(address, VERSIONS[resource_type.partition("/")[0].lower()])
        seen.add(resource_type)
        found = value_problems(published, body, published.body, resource_type, is_answer=True)
        found += [f"{resource_type}.{key}: is missing" for key in ("id", "name", "type") if key not in body]
        problems += found

    assert problems == []
    assert len(seen) == 6


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
        check_body("Microsoft.App/containerApps", body)

    assert refusal.value.code == "InvalidRequestContent"
    assert refusal.value.target == target
    assert target in refusal.value.message
    assert refusal.value.details[0]["target"] == target


def test_what_only_answers_hold_is_ignored_in_requests():
    """A body that was read and is sent back is no mistake."""
    check_body("Microsoft.App/containerApps", app(provisioningState="Succeeded", latestRevisionName="x"))
