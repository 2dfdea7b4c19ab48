"""What of a template's values is known before its deployment runs: all that can be is evaluated, the rest stays text.

So a what-if shows bodies, as Azure's own engine does: what only the running deployment knows (`reference`, `list…`)
stays an expression with its arguments evaluated, a secure parameter that is given stays `[parameters('…')]`, and a
default that is another each time stays the expression that makes it (`[newGuid()]`).
"""

from dataclasses import replace

from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.evaluation import (
    EXTRACTORS,
    evaluate,
    evaluate_expression,
    expand_copy,
    is_property_copy,
    parse,
)
from ai_toolkit.local_cloud.template.functions.collections import try_get
from ai_toolkit.local_cloud.template.functions.values import is_number
from ai_toolkit.local_cloud.template.scope import LoopVariable, NotYetKnownError, Scope, Unknown, Value
from ai_toolkit.local_cloud.template.syntax import Call, Element, Expression, Member, Number, Text


def known_body(value: Value, scope: Scope, place: str) -> Value:
    """The value as a preview shows it: as far as it is known, without secrets and what is made anew each time."""
    return _known(value, replace(scope, is_preview=True), place)


def known_value(value: Value, scope: Scope, place: str) -> Value:
    """The value as far as it is known; Unknown where it is an expression that cannot be evaluated yet."""
    if isinstance(value, str) and syntax.is_expression(value):
        return _rest(parse(value, place), scope, place)
    return _known(value, scope, place)


def as_text(value: Value) -> Value:
    """An unknown value as the template would have it, part by part where it has parts; others as they are."""
    if isinstance(value, Unknown):
        return f"[{syntax.write(value.expression)}]" if value.parts is None else as_text(value.parts)
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return value


def _known(value: Value, scope: Scope, place: str) -> Value:
    if isinstance(value, str):
        return (
            as_text(_rest(parse(value, place), scope, place))
            if syntax.is_expression(value)
            else evaluate(value, scope, place)
        )
    if isinstance(value, list):
        return [_known(item, scope, f"{place}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        if key == "copy" and is_property_copy(item):
            for number, loop in enumerate(item):
                found[loop["name"]] = _known_copy(loop, scope, f"{place}.copy[{number}]")
            continue
        name = _known(key, scope, f"{place}.{key}") if syntax.is_expression(key) else syntax.unescape(key)
        found[str(name)] = _known(item, scope, f"{place}.{key}")
    return found


def _known_copy(loop: Value, scope: Scope, place: str) -> Value:
    """The loop's items as far as they are known."""
    try:
        return expand_copy(loop, scope, place, _known)
    except NotYetKnownError:
        return []


def _rest(expression: Expression, scope: Scope, place: str) -> Value:
    """The expression's value, or what is left of it when all that is known was put in."""
    try:
        return evaluate_expression(expression, scope, place)
    except NotYetKnownError:
        pass
    match expression:
        case Call(name, arguments):
            return _rest_of_call(name, arguments, scope, place)
        case Member(of, name, safe):
            whole = _rest(of, scope, place)
            found = _part_of(whole, name)
            return found if found is not None else Unknown(Member(_literal(whole), name, safe))
        case Element(of, index, safe):
            whole, at = _rest(of, scope, place), _rest(index, scope, place)
            found = _part_of(whole, at)
            return found if found is not None else Unknown(Element(_literal(whole), _literal(at), safe))
    return Unknown(expression)


def _part_of(whole: Value, step: Value) -> Value:
    """The part of that name or place of a value that is known in part; None where there is none."""
    return try_get(whole.parts if isinstance(whole, Unknown) else whole, step)


def _rest_of_call(name: str, arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    lowered = name.lower()
    if lowered == "parameters" and isinstance(arguments[0], Text):
        key = arguments[0].value.lower()
        if scope.is_preview and key in scope.made_anew:
            inner = replace(scope, in_parameter_default=True)
            return _rest_of_raw(scope.made_anew[key], inner, f"parameters.{key}.defaultValue")
        value = None if scope.is_preview and key in scope.secure else scope.parameters.get(key)
        return value if isinstance(value, Unknown) else Unknown(Call(name, arguments))
    if lowered == "variables" and isinstance(arguments[0], Text):
        return _rest_of_variable(name, arguments[0].value, scope)
    if lowered == "if":
        condition = _rest(arguments[0], scope, place)
        if isinstance(condition, bool):
            return _rest(arguments[1 if condition else 2], scope, place)
    if lowered == "lambda" or any(isinstance(one, Call) and one.name.lower() == "lambda" for one in arguments):
        parts = [one if _is_lambda(one) else _literal(_rest(one, scope, place)) for one in arguments]
        return Unknown(Call(name, tuple(parts)))
    parts = [_literal(_rest(argument, scope, place)) for argument in arguments]
    if (lowered in EXTRACTORS or lowered.startswith("list")) and parts and isinstance(parts[0], Text):
        parts = _with_id(parts, scope, lowered)
    return Unknown(Call(name, tuple(parts)))


def _is_lambda(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.name.lower() == "lambda"


def _with_id(parts: list[Expression], scope: Scope, function: str) -> list[Expression]:
    """The arguments of `reference` and `list…` with the id that a symbolic name stands for."""
    first = parts[0]
    if not isinstance(first, Text):
        return parts
    identifier = scope.surroundings.resource_id_of(first.value)
    if identifier is None:
        return parts
    version = scope.surroundings.api_version_of(first.value)
    versions: list[Expression] = [Text(version)] if version and len(parts) == 1 and function == "reference" else []
    return [Text(identifier), *versions, *parts[1:]]


def _rest_of_variable(function: str, name: str, scope: Scope) -> Value:
    raw = scope.variables.get(name.lower())
    if raw is None or isinstance(raw, LoopVariable):
        return Unknown(Call(function, (Text(name),)))
    inner = replace(scope, depth=scope.depth + 1, copy_indexes={}, current_copy=None, lambda_variables={})
    return _rest_of_raw(raw, inner, f"variables.{name}")


def _rest_of_raw(raw: Value, scope: Scope, place: str) -> Value:
    """What is left of a value as a template writes it, when all that is known was put in."""
    if isinstance(raw, str):
        return _rest(parse(raw, place), scope, place)
    parts = known_parts(raw, scope, place)
    return Unknown(_literal(parts), parts)


def known_parts(value: Value, scope: Scope, place: str) -> Value:
    """The value with each part of it known, or Unknown; unlike `known_value`, which writes unknown parts as text."""
    if isinstance(value, dict):
        return {key: known_parts(item, scope, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [known_parts(item, scope, f"{place}[{index}]") for index, item in enumerate(value)]
    return known_value(value, scope, place)


def _literal(value: Value) -> Expression:  # noqa: PLR0911  # one for each type
    """An expression for a value that is known."""
    if isinstance(value, Unknown):
        return value.expression
    if value is None:
        return Call("null", ())
    if isinstance(value, bool):
        return Call("true" if value else "false", ())
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, list):
        return Call("createArray", tuple(_literal(item) for item in value))
    if isinstance(value, dict):
        return Call("createObject", tuple(part for key, item in value.items() for part in (Text(key), _literal(item))))
    return Number(value) if is_number(value) and isinstance(value, int) else Call("json", (Text(repr(value)),))
