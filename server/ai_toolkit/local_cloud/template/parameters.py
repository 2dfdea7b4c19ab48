"""Parameters of a template: given values checked against their definitions, defaults filled in."""

from dataclasses import replace
from typing import Any

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template.evaluation import evaluate
from ai_toolkit.local_cloud.template.functions.values import equals, kind
from ai_toolkit.local_cloud.template.scope import Scope, invalid_template

Value = Any  # a JSON value
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "bool": (bool,),
    "array": (list,),
    "object": (dict,),
    "secureobject": (dict,),
}


def read_parameters(template: JsonObject, given: JsonObject, scope: Scope) -> dict[str, Value]:
    """Values by name in lower case; ArmError for wrong, missing or unknown ones.

    A null counts as not given: the default applies.
    """
    definitions: JsonObject = template.get("parameters") or {}
    by_name = {name.lower(): name for name in definitions}
    unknown = [name for name in given if name.lower() not in by_name]
    if unknown:
        known = ", ".join(definitions)
        raise ArmError(
            "InvalidTemplate",
            "Deployment template validation failed: 'The following parameters were supplied, but do not correspond to "
            f"any parameters defined in the template: '{', '.join(unknown)}'. The parameters defined in the template "
            f"are: '{known}'.",
        )
    values: dict[str, Value] = {}
    supplied = {name.lower(): _value_of(name, item) for name, item in given.items()}
    for name, definition in definitions.items():
        place = f"parameters.{name}"
        resolved = resolve_definition(definition, template, place)
        value = supplied.get(name.lower())
        if value is None and "defaultValue" in resolved:
            inner = replace(scope, parameters=values, in_parameter_default=True)
            value = evaluate(resolved["defaultValue"], inner, f"{place}.defaultValue")
        if value is None and not resolved.get("nullable"):
            raise ArmError(
                "InvalidTemplate",
                f"Deployment template validation failed: 'The value for the template parameter '{name}' is not "
                "provided. Please see https://aka.ms/arm-create-parameter-file for usage details.'.",
                target=name,
            )
        if value is not None:
            check_value(name, value, resolved)
        values[name.lower()] = value
    return values


def resolve_definition(definition: JsonObject, template: JsonObject, place: str) -> JsonObject:
    """A definition with its `$ref` into the template's `definitions` followed."""
    followed = 0
    while isinstance(definition, dict) and isinstance(definition.get("$ref"), str):
        name = definition["$ref"].removeprefix("#/definitions/")
        named = (template.get("definitions") or {}).get(name)
        if named is None or followed > 20:  # noqa: PLR2004  # definitions that refer to each other in a ring
            raise invalid_template(f"The type definition '{definition['$ref']}' cannot be resolved", place)
        rest = {key: value for key, value in definition.items() if key != "$ref"}
        definition = {**named, **rest}
        followed += 1
    if not isinstance(definition, dict) or not isinstance(definition.get("type"), str):
        raise invalid_template("A parameter needs a 'type'", place)
    if definition["type"].lower() not in PYTHON_TYPES:
        raise invalid_template(f"The parameter type '{definition['type']}' is not valid", place)
    return definition


def check_value(name: str, value: Value, definition: JsonObject) -> None:
    """Raise ArmError unless the value is of the type, allowed, and within its limits."""
    wanted = definition["type"].lower()
    fits = isinstance(value, PYTHON_TYPES[wanted]) and (wanted != "int" or not isinstance(value, bool))
    if not fits:
        raise _refused(name, f"Expected a value of type '{definition['type']}', but received {kind(value)}.")
    allowed = definition.get("allowedValues")
    if isinstance(allowed, list):
        chosen = value if isinstance(value, list) else [value]
        if not all(any(equals(item, one) for one in allowed) for item in chosen):
            shown = "" if wanted.startswith("secure") else f" '{value}'"
            raise _refused(
                name,
                f"The value{shown} is not part of the allowed value(s): '{','.join(map(str, allowed))}'.",
            )
    if isinstance(value, str | list):
        shortest, longest = definition.get("minLength", 0), definition.get("maxLength")
        if len(value) < shortest or (longest is not None and len(value) > longest):
            raise _refused(
                name,
                f"The length {len(value)} of the value is not from '{shortest}' to '{longest or 'unlimited'}'.",
            )
    if isinstance(value, int) and not isinstance(value, bool):
        least, greatest = definition.get("minValue"), definition.get("maxValue")
        if (least is not None and value < least) or (greatest is not None and value > greatest):
            raise _refused(name, f"The value '{value}' is not from '{least}' to '{greatest}'.")


def is_secure(definition: JsonObject) -> bool:
    """Whether the value is never shown."""
    return str(definition.get("type", "")).lower().startswith("secure")


def shown_parameters(template: JsonObject, values: dict[str, Value]) -> JsonObject:
    """Parameters as a deployment's GET returns them: secure ones without a value."""
    shown: JsonObject = {}
    for name, definition in (template.get("parameters") or {}).items():
        resolved = resolve_definition(definition, template, f"parameters.{name}")
        written = {"type": _written_type(resolved["type"])}
        if not is_secure(resolved) and values.get(name.lower()) is not None:
            written["value"] = values[name.lower()]
        shown[name] = written
    return shown


def _written_type(name: str) -> str:
    return {"securestring": "SecureString", "secureobject": "SecureObject"}.get(name.lower(), name.capitalize())


def _value_of(name: str, item: Value) -> Value:
    if not isinstance(item, dict) or not ({"value", "reference"} & item.keys() or not item):
        raise ArmError(
            "InvalidDeploymentParameterValue",
            f"The parameter '{name}' must be an object with a 'value'.",
            target=name,
        )
    if "reference" in item:
        raise ArmError(
            "NotImplementedByLocalCloud",
            f"The local cloud has no key vaults: give the parameter '{name}' a value.",
            status=501,
            target=name,
        )
    return item.get("value")


def _refused(name: str, reason: str) -> ArmError:
    return ArmError(
        "InvalidTemplate",
        f"Deployment template validation failed: 'The provided value for the template parameter '{name}' is not "
        f"valid. {reason}'.",
        target=name,
    )
