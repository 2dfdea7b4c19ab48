"""What others added to the app, and a PUT would take away: written into the template that is sent.

The template is not evaluated for it: to a list that stands there items are added, to an expression a function that
joins. What lies deeper behind an expression stays as the template has it, which is told.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.endpoint.comparison import Addition, is_expression
from ai_toolkit.endpoint.desired import apps_of

SECRETS: Final = "aitkCarriedOver"
"""The secure parameter of the sent template that holds the values of the secrets that are kept."""


@dataclass(frozen=True)
class CarriedOver:
    """A template with what is kept, and what could not be written into it."""

    content: Mapping[str, Any]
    lost: tuple[Addition, ...]


def carry_over(content: Mapping[str, Any], added: Iterable[Addition]) -> CarriedOver:
    """The template with the additions in its container app. Their secrets' values are those of the parameter `SECRETS`.

    A template with several apps, or with one in a loop, is left as it is, and everything is lost.
    """
    changed = copy.deepcopy(dict(content))
    apps = list(apps_of(changed))
    app = apps[0] if len(apps) == 1 and not apps[0].repeated and _may_be_given(apps[0].modules) else None
    lost = [one for one in added if app is None or not _add(app.resource, one)]
    if app is not None and any(one.kind == "secret" for one in added if one not in lost):
        _hand_down(changed, app.modules)
    return CarriedOver(changed, tuple(lost))


def _may_be_given(modules: Iterable[dict[str, Any]]) -> bool:
    """Whether the modules' parameters are listed, and no expression."""
    return all(isinstance(one["properties"].get("parameters") or {}, dict) for one in modules)


def _hand_down(content: dict[str, Any], modules: Iterable[dict[str, Any]]) -> None:
    """Declares the parameter `SECRETS`, and gives it to the modules around the app."""
    declared = {SECRETS: {"type": "secureObject"}}
    content["parameters"] = {**(content.get("parameters") or {}), **declared}
    for module in modules:
        properties = module["properties"]
        if str((properties.get("expressionEvaluationOptions") or {}).get("scope")).lower() != "inner":
            continue  # what is in it is evaluated out here
        given = {SECRETS: {"value": f"[parameters('{SECRETS}')]"}}
        properties["parameters"] = {**(properties.get("parameters") or {}), **given}
        inner = properties["template"]
        inner["parameters"] = {**(inner.get("parameters") or {}), **declared}


def _add(app: dict[str, Any], one: Addition) -> bool:
    """Whether the addition is in the resource now."""
    at: Any = app
    *above, key = one.place
    for step in above:
        at = _step(at, step)
    if not isinstance(at, dict):
        return False  # an expression, or what it is in is not there
    if any(isinstance(loop, Mapping) and loop.get("name") == key for loop in _loops(at)):
        return False  # made by a loop
    value = _literal(one)
    if key == "tags":
        at[key] = _joined(at.get(key), {one.item: value})
    elif one.item:
        at[key] = _joined(at.get(key), [value])
    else:
        at[key] = value
    return True


def _step(at: Any, step: str) -> Any:  # noqa: ANN401  (any JSON)
    """What is below: a key, or the item of a list that has the name, or is its only one."""
    if isinstance(at, dict):
        return at.setdefault(step, {}) if at.get(step) is None else at[step]
    if not isinstance(at, list) or not all(isinstance(one, dict) for one in at):
        return None
    named = [one for one in at if one.get("name") == step]
    unknown = [one for one in at if is_expression(one.get("name"))]
    if len(named) == 1:
        return named[0]
    return unknown[0] if len(unknown) == 1 and not named else None


def _loops(at: Mapping[str, Any]) -> Iterable[Any]:
    found = at.get("copy")
    return found if isinstance(found, list) else ()


def _joined(now: Any, more: Any) -> Any:  # noqa: ANN401  (any JSON)
    """What is there and what is added; where that is an expression, an expression that joins them."""
    if now is None:
        return more
    if isinstance(now, list) and isinstance(more, list):
        return [*now, *more]
    if isinstance(now, dict) and isinstance(more, dict):
        return {**more, **now}
    function = "concat" if isinstance(more, list) else "union"
    parts = [_as_expression(more), str(now)[1:-1]]
    return f"[{function}({', '.join(reversed(parts) if isinstance(more, list) else parts)})]"


def _as_expression(value: Any) -> str:  # noqa: ANN401, PLR0911  (any JSON, one for each type)
    """The value in the template language: text as text, what is an expression as that."""
    if isinstance(value, str):
        if is_expression(value):
            return value[1:-1]
        text = value[1:] if value.startswith("[[") else value
        return "'" + text.replace("'", "''") + "'"
    if isinstance(value, list):
        return f"createArray({', '.join(map(_as_expression, value))})"
    if isinstance(value, dict):
        parts = [_as_expression(part) for pair in value.items() for part in pair]
        return f"createObject({', '.join(parts)})"
    if value is None:
        return "null()"
    if isinstance(value, bool):
        return "true()" if value else "false()"
    return json.dumps(value) if isinstance(value, int) else f"json('{json.dumps(value)}')"


def _literal(one: Addition) -> Any:  # noqa: ANN401  (any JSON)
    """The added value as a template has it: no text of it is an expression, a secret's value is the parameter's."""
    value = one.value
    if one.kind == "identity":
        named: dict[str, Any] = {name: {} for name in value.get("userAssignedIdentities") or {}}
        return {"type": value.get("type"), **({"userAssignedIdentities": named} if named else {})}
    if one.kind == "secret" and not value.get("keyVaultUrl"):
        return {"name": value["name"], "value": f"[parameters('{SECRETS}')['{value['name']}']]"}
    return _escaped(value)


def _escaped(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    if isinstance(value, str):
        return f"[{value}" if value.startswith("[") else value
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _escaped(one) for key, one in value.items() if one is not None}
    return value
