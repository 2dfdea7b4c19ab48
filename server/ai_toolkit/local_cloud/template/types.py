"""Whether a value is of the type that a template's definition describes, in all its depth.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/definitions
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.template.functions.json_text import written
from ai_toolkit.local_cloud.template.functions.values import equals, key_of, kind, units
from ai_toolkit.local_cloud.template.scope import Unknown, Value, invalid_template

PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "bool": (bool,),
    "array": (list,),
    "object": (dict,),
    "secureobject": (dict,),
}
MOST_STEPS: Final = 20  # from one definition to the next: more are a ring


class WrongValueError(Exception):
    """What is wrong with a value, and where in it: `p.name`, `p[1]`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Types:
    """The definitions of one template."""

    definitions: JsonObject

    @classmethod
    def of(cls, template: JsonObject) -> "Types":
        """Those that a template declares."""
        return cls(template.get("definitions") or {})

    def resolve(self, definition: Value, place: str) -> JsonObject:
        """A parameter's or output's definition with its `$ref` followed; ArmError where it has no type."""
        found = self._followed(definition, place)
        if not isinstance(found.get("type"), str):
            raise invalid_template("A parameter needs a 'type'", place)
        if found["type"].lower() not in PYTHON_TYPES:
            raise invalid_template(f"The parameter type '{found['type']}' is not valid", place)
        return found

    def _followed(self, definition: Value, place: str) -> JsonObject:
        steps = 0
        while isinstance(definition, dict) and isinstance(definition.get("$ref"), str):
            name = definition["$ref"].removeprefix("#/definitions/")
            key = key_of(self.definitions, name)
            if key is None or steps > MOST_STEPS:
                raise invalid_template(f"The type definition '{definition['$ref']}' cannot be resolved", place)
            rest = {key: value for key, value in definition.items() if key != "$ref"}
            definition = {**self.definitions[key], **rest}
            steps += 1
        if not isinstance(definition, dict):
            raise invalid_template("A parameter needs a 'type'", place)
        return definition

    def check(self, value: Value, definition: JsonObject, path: str, place: str) -> None:
        """Raise WrongValueError unless the value fits its definition, with all that is in it."""
        if isinstance(value, Unknown):
            return
        found = self._followed(definition, place)
        wanted = str(found.get("type") or "").lower()
        if value is None:
            if found.get("nullable") or not wanted:
                return
            raise WrongValueError(path, f"Expected a value of type '{found['type']}', but received null.")
        if wanted:
            fits = isinstance(value, PYTHON_TYPES.get(wanted, ())) and (wanted != "int" or not isinstance(value, bool))
            if not fits:
                raise WrongValueError(path, f"Expected a value of type '{found['type']}', but received {kind(value)}.")
        _check_allowed(value, found, path)
        _check_limits(value, found, path)
        if isinstance(value, dict):
            self._check_object(value, found, path, place)
        elif isinstance(value, list):
            self._check_array(value, found, path, place)

    def _check_object(self, value: JsonObject, definition: JsonObject, path: str, place: str) -> None:
        if isinstance(definition.get("discriminator"), dict):
            self._check_chosen(value, definition["discriminator"], path, place)
        declared: JsonObject = definition.get("properties") or {}
        for name, inner in declared.items():
            key = key_of(value, name)
            if key is not None and value[key] is not None:
                self.check(value[key], inner, f"{path}.{name}", place)
            elif not self._followed(inner, place).get("nullable"):
                raise WrongValueError(
                    path,
                    f"A non-null value for the property '{name}' must be provided, but the property was null or "
                    "missing.",
                )
        others = [key for key in value if key_of(declared, key) is None]
        additional = definition.get("additionalProperties")
        if additional is False and others:
            raise WrongValueError(
                path,
                "The object does not allow properties that its type does not name, but these were present: "
                f"'{', '.join(others)}'.",
            )
        if isinstance(additional, dict):
            for key in others:
                self.check(value[key], additional, f"{path}.{key}", place)

    def _check_chosen(self, value: JsonObject, discriminator: JsonObject, path: str, place: str) -> None:
        """The object against the one of several types that its own property names."""
        name = str(discriminator.get("propertyName"))
        mapping: JsonObject = discriminator.get("mapping") or {}
        key = key_of(value, name)
        chosen = value[key] if key is not None else None
        if chosen not in mapping:
            raise WrongValueError(
                path, f"The property '{name}' must be one of '{', '.join(mapping)}' to tell the type of the object."
            )
        self.check(value, mapping[chosen], path, place)

    def _check_array(self, value: list[Value], definition: JsonObject, path: str, place: str) -> None:
        first: list[JsonObject] = definition.get("prefixItems") or []
        rest = definition.get("items")
        if len(value) < len(first):
            raise WrongValueError(path, f"The array needs {len(first)} items, but has {len(value)}.")
        if rest is False and len(value) > len(first):
            raise WrongValueError(path, f"The array takes {len(first)} items, but has {len(value)}.")
        for index, item in enumerate(value):
            inner = first[index] if index < len(first) else rest
            if isinstance(inner, dict):
                self.check(item, inner, f"{path}[{index}]", place)


def _check_allowed(value: Value, definition: JsonObject, path: str) -> None:
    allowed = definition.get("allowedValues")
    if not isinstance(allowed, list) or any(equals(value, one) for one in allowed):
        return
    if isinstance(value, list) and all(any(equals(item, one) for one in allowed) for item in value):
        return
    shown = "" if is_secure(definition) else f" '{value if isinstance(value, str) else written(value)}'"
    choices = ",".join(one if isinstance(one, str) else written(one) for one in allowed)
    raise WrongValueError(path, f"The value{shown} is not part of the allowed value(s): '{choices}'.")


def _check_limits(value: Value, definition: JsonObject, path: str) -> None:
    if isinstance(value, str | list):
        size, shortest, longest = _length(value), definition.get("minLength"), definition.get("maxLength")
        _check_bounds(size, (shortest, longest), f"The length {size} of the value", path)
    if isinstance(value, int) and not isinstance(value, bool):
        _check_bounds(value, (definition.get("minValue"), definition.get("maxValue")), f"The value '{value}'", path)


def _check_bounds(found: int, bounds: tuple[int | None, int | None], what: str, path: str) -> None:
    least, greatest = bounds
    if least is not None and found < least:
        raise WrongValueError(path, f"{what} is less than '{least}'.")
    if greatest is not None and found > greatest:
        raise WrongValueError(path, f"{what} is greater than '{greatest}'.")


def _length(value: str | list[Value]) -> int:
    return len(units(value)) if isinstance(value, str) else len(value)


def is_secure(definition: JsonObject) -> bool:
    """Whether the value is never shown."""
    return str(definition.get("type", "")).lower().startswith("secure")
