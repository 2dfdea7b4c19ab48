"""The descriptions of resources that Azure publishes, read from the folder that AZURE_SCHEMAS names."""

import json
from pathlib import Path

from tests.support import outside_data

needs_schemas = outside_data.needs("AZURE_SCHEMAS")
VERSIONS = {
    "microsoft.app": "2025-07-01",
    "microsoft.storage": "2025-08-01",
    "microsoft.operationalinsights": "2025-02-01",
}
REQUIRED, READ_ONLY, WRITE_ONLY = 1, 2, 4


class Published:
    """One type of resource; a type is looked up as the index that references name."""

    def __init__(self, resource_type, version=None):
        self.version = version or VERSIONS[resource_type.partition("/")[0].lower()]
        self.is_newest = version is None  # what only answers hold is compared with the newest alone
        self.types, self.resource_type = _types(resource_type, self.version), resource_type.lower()
        name = f"{resource_type}@{self.version}".lower()
        self.resource = next(
            one for one in self.types if one["$type"] == "ResourceType" and one["name"].lower() == name
        )
        self.body = self.at(self.resource["body"])

    def action(self, name):
        """What an action such as listKeys answers; None when nothing is published."""
        functions = (one for one in self.types if one["$type"] == "ResourceFunctionType")
        wanted = (self.resource_type, name.lower())
        return next(
            (
                self.at(one["output"])
                for one in functions
                if (one["resourceType"].lower(), one["name"].lower()) == wanted
            ),
            None,
        )

    def at(self, reference):
        return self.types[int(reference["$ref"].removeprefix("#/"))]

    def words(self, kind):
        """The literals of a string's type; none when any string is right."""
        if kind["$type"] == "StringLiteralType":
            return {kind["value"]}
        return {word for one in kind.get("elements", []) for word in self.words(self.at(one))}


def versions(resource_type):
    """Every version whose types are there."""
    return sorted(path.name for path in _folder(resource_type).iterdir())


def _types(resource_type, version):
    return json.loads((_folder(resource_type) / version / "types.json").read_text())


def _folder(resource_type) -> Path:
    namespace = resource_type.partition("/")[0].lower()
    return outside_data.folder("AZURE_SCHEMAS") / "resource-types" / namespace


def value_problems(published, value, kind, path, *, is_answer, is_whole=True):
    """Where a body breaks its description: unknown, missing, read-only, write-only, type, enum, length."""
    name = kind["$type"]
    if value is None or name == "AnyType":
        return []
    if name == "ObjectType" and isinstance(value, dict):
        return _object_problems(published, value, kind, path, is_answer=is_answer, is_whole=is_whole)
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
        fits = fits and kind.get("minValue", value) <= value <= kind.get("maxValue", value)
    return [] if fits else [f"{path}: {value!r} is not as {name}"]


def _object_problems(published, value, kind, path, *, is_answer, is_whole):
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
        problems += value_problems(
            published, item, published.at(known["type"]), f"{path}.{key}", is_answer=is_answer, is_whole=is_whole
        )
    if not is_whole:
        return problems
    return problems + [
        f"{path}.{key}: is missing"
        for key, known in kind["properties"].items()
        if known["flags"] & REQUIRED and key not in value and not known["flags"] & (READ_ONLY | WRITE_ONLY)
    ]
