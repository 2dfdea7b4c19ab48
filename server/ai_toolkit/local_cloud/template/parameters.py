"""Parameters of a template: given values checked against their definitions, defaults filled in."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template.evaluation import evaluate, is_extractor, parse
from ai_toolkit.local_cloud.template.partial import known_parts
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Scope, Unknown, Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, Text, calls, is_expression
from ai_toolkit.local_cloud.template.types import Types, WrongValueError, is_secure


class Parameters(Mapping[str, Value]):
    """Values by name in lower case; a default is evaluated when it is first asked for, in whatever order."""

    def __init__(self, template: JsonObject, given: JsonObject, scope: Scope) -> None:
        self._definitions: JsonObject = template.get("parameters") or {}
        self._names = {name.lower(): name for name in self._definitions}
        self._types = Types.of(template)
        self._scope = replace(scope, parameters=self, in_parameter_default=True)
        self._values: dict[str, Value] = {}
        self._being_made: list[str] = []
        unknown = [name for name in given if name.lower() not in self._names]
        if unknown:
            raise ArmError(
                "InvalidTemplate",
                "Deployment template validation failed: 'The following parameters were supplied, but do not "
                f"correspond to any parameters defined in the template: '{', '.join(unknown)}'. The parameters "
                f"defined in the template are: '{', '.join(self._definitions)}'.",
            )
        self._given = {name.lower(): _value_of(name, item) for name, item in given.items()}

    def __getitem__(self, key: str) -> Value:
        if key not in self._values:
            self._values[key] = self._make(key, self._names[key])
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def _make(self, key: str, name: str) -> Value:
        place = f"parameters.{name}"
        if key in self._being_made:
            ring = " -> ".join([*self._being_made, key])
            raise invalid_template(f"The defaults of parameters need each other: {ring}", place)
        definition = self._types.resolve(self._definitions[name], place)
        value = self._given.get(key)
        if value is None and "defaultValue" in definition:
            self._being_made.append(key)
            try:
                value = self._default(definition["defaultValue"], f"{place}.defaultValue")
            finally:
                self._being_made.pop()
        if value is None and not definition.get("nullable"):
            raise ArmError(
                "InvalidTemplate",
                f"Deployment template validation failed: 'The value for the template parameter '{name}' is not "
                "provided. Please see https://aka.ms/arm-create-parameter-file for usage details.'.",
                target=name,
            )
        if value is not None:
            try:
                self._types.check(value, definition, name, place)
            except WrongValueError as error:
                raise ArmError(
                    "InvalidTemplate",
                    "Deployment template validation failed: 'The provided value for the template parameter "
                    f"'{error.path}' is not valid. {error.reason}'.",
                    target=error.path,
                ) from error
        return value

    def _default(self, value: Value, place: str) -> Value:
        """The default, as far as it is known: it may be made of a parameter that only the running deployment knows."""
        for call in _calls_in(value):
            if is_extractor(call.name):
                raise invalid_template(f"The template function '{call.name}' is not expected in a default", place)
        try:
            return evaluate(value, self._scope, place)
        except NotYetKnownError:
            return known_parts(value, self._scope, place)


def read_parameters(template: JsonObject, given: JsonObject, scope: Scope) -> Parameters:
    """All values, evaluated and checked; ArmError for wrong, missing or unknown ones.

    A null counts as not given: the default applies.
    """
    values = Parameters(template, given, scope)
    for name in values:
        values[name]  # each is made, so that each mistake is found
    return values


def hidden_names(template: JsonObject, given: JsonObject) -> frozenset[str]:
    """The secure parameters that a preview does not show, in lower case: all but those whose default is no secret.

    That is a default that stands in the template, or is another each time. Source: a recorded what-if of Azure's.
    """
    types, are_given, anew = Types.of(template), _are_given(given), made_anew(template, given)
    return frozenset(
        name.lower()
        for name, definition in (template.get("parameters") or {}).items()
        if is_secure(resolved := types.resolve(definition, f"parameters.{name}"))
        and (
            name.lower() in are_given
            or (name.lower() not in anew and any(True for _ in _calls_in(resolved.get("defaultValue"))))
        )
    )


def made_anew(template: JsonObject, given: JsonObject) -> JsonObject:
    """The defaults that apply and are others each time (`newGuid`, `utcNow`), by parameter in lower case."""
    are_given = _are_given(given)
    defaults = {
        name.lower(): definition["defaultValue"]
        for name, definition in (template.get("parameters") or {}).items()
        if isinstance(definition, dict) and "defaultValue" in definition and name.lower() not in are_given
    }
    found: JsonObject = {}
    for _ in defaults:  # one may be made of another
        more = {name: default for name, default in defaults.items() if is_anew(default, found)}
        if more.keys() == found.keys():
            break
        found = more
    return found


def is_anew(value: Value, known: Mapping[str, Value]) -> bool:
    """Whether a value, as a template writes it, is another each time; `known`: parameters that are."""
    for call in _calls_in(value):
        if call.name.lower() in {"newguid", "utcnow"}:
            return True
        named = call.arguments[0] if call.name.lower() == "parameters" and call.arguments else None
        if isinstance(named, Text) and named.value.lower() in known:
            return True
    return False


def _are_given(given: JsonObject) -> set[str]:
    return {name.lower() for name, item in given.items() if isinstance(item, dict) and item.get("value") is not None}


def _calls_in(value: Value) -> Iterator[Call]:
    """The function calls of every expression in a value."""
    if isinstance(value, str) and is_expression(value):
        yield from calls(parse(value, "parameters"))
    elif isinstance(value, list):
        for item in value:
            yield from _calls_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _calls_in(key)
            yield from _calls_in(item)


def shown_parameters(template: JsonObject, values: Mapping[str, Value]) -> JsonObject:
    """Parameters as a deployment's GET returns them: secure ones without a value."""
    types = Types.of(template)
    shown: JsonObject = {}
    for name, definition in (template.get("parameters") or {}).items():
        resolved = types.resolve(definition, f"parameters.{name}")
        written: JsonObject = {"type": _written_type(resolved["type"])}
        value = values.get(name.lower())
        if not is_secure(resolved) and value is not None and not isinstance(value, Unknown):
            written["value"] = value
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
    if item.get("reference") is not None:
        raise ArmError(
            "NotImplementedByLocalCloud",
            f"The local cloud has no key vaults: give the parameter '{name}' a value.",
            status=501,
            target=name,
        )
    return item.get("value")
