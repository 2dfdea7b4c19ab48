"""Outputs of a template: known in part before the deployment, evaluated and checked after it."""

from dataclasses import replace

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template.evaluation import evaluate, expand_copy
from ai_toolkit.local_cloud.template.functions.json_text import written
from ai_toolkit.local_cloud.template.partial import known_value
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Scope, Unknown, Value
from ai_toolkit.local_cloud.template.syntax import Call, Text
from ai_toolkit.local_cloud.template.types import Types, WrongValueError, is_secure


def known_outputs(template: JsonObject, scope: Scope) -> JsonObject:
    """The outputs as far as they are known before the deployment runs."""
    found: JsonObject = {}
    for name, definition in (template.get("outputs") or {}).items():
        place = f"outputs.{name}"
        if isinstance(definition.get("copy"), dict):
            value = _known_copies(name, definition, scope, place)
        else:
            value = known_value(definition.get("value"), scope, f"{place}.value")
        found[name] = {"type": definition.get("type"), "value": value}
    return found


def outputs(template: JsonObject, scope: Scope) -> JsonObject:
    """The outputs as a deployment's GET returns them: secure ones without a value."""
    types = Types.of(template)
    found: JsonObject = {}
    for name, definition in (template.get("outputs") or {}).items():
        place = f"outputs.{name}"
        if not evaluate(definition.get("condition", True), scope, place):
            continue
        resolved = types.resolve(definition, place)
        if isinstance(definition.get("copy"), dict):
            value = _copied(name, definition, scope, place)
        else:
            value = evaluate(definition.get("value"), scope, f"{place}.value")
        _check(name, value, resolved, types)
        found[name] = {"type": str(resolved["type"]).capitalize()}
        if not is_secure(resolved):
            found[name]["value"] = value
    return found


def _known_copies(name: str, definition: JsonObject, scope: Scope, place: str) -> Value:
    try:
        return _copied(name, definition, scope, place)
    except NotYetKnownError:
        return Unknown(Call("outputs", (Text(name),)))


def check_known_outputs(template: JsonObject, scope: Scope) -> None:
    """Raise ArmError for an output that is known to be wrong before the deployment runs."""
    types = Types.of(template)
    definitions = template.get("outputs") or {}
    for name, found in known_outputs(template, scope).items():
        place = f"outputs.{name}"
        condition = known_value(definitions[name].get("condition", True), scope, f"{place}.condition")
        if condition is True:
            _check(name, found["value"], types.resolve(definitions[name], place), types)


def _check(name: str, value: Value, definition: JsonObject, types: Types) -> None:
    try:
        types.check(value, definition, name, f"outputs.{name}")
    except WrongValueError as error:
        shown = "" if is_secure(definition) else f" It is {written(value)}."
        raise ArmError(
            "DeploymentOutputEvaluationFailed",
            f"Unable to evaluate template outputs: '{name}'. The output '{error.path}' is not valid. "
            f"{error.reason}{shown}",
            target=f"outputs.{name}",
        ) from error


def _copied(name: str, definition: JsonObject, scope: Scope, place: str) -> list[Value]:
    loop = {"name": name, **definition["copy"]}

    def make(value: Value, inner: Scope, where: str) -> Value:
        index = inner.copy_indexes[str(loop["name"]).lower()]
        return evaluate(value, replace(inner, current_copy=index), where)

    return expand_copy(loop, scope, place, make)
