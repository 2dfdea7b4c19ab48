"""Values of template expressions."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.functions.addresses import ADDRESS_FUNCTIONS
from ai_toolkit.local_cloud.template.functions.collections import COLLECTION_FUNCTIONS, try_get
from ai_toolkit.local_cloud.template.functions.dates import DATE_FUNCTIONS
from ai_toolkit.local_cloud.template.functions.numbers import NUMBER_FUNCTIONS
from ai_toolkit.local_cloud.template.functions.strings import STRING_FUNCTIONS
from ai_toolkit.local_cloud.template.functions.uris import URI_FUNCTIONS
from ai_toolkit.local_cloud.template.functions.values import FunctionError, has_half, key_of, kind, text
from ai_toolkit.local_cloud.template.lazy_functions import LAZY_FUNCTIONS
from ai_toolkit.local_cloud.template.scope import (
    LoopVariable,
    NotYetKnownError,
    Scope,
    Unknown,
    Value,
    check_count,
    invalid_template,
)
from ai_toolkit.local_cloud.template.scope_functions import SCOPE_FUNCTIONS
from ai_toolkit.local_cloud.template.syntax import Call, Element, Expression, Member, Number, Text

PLAIN_FUNCTIONS: Final = {
    **STRING_FUNCTIONS,
    **COLLECTION_FUNCTIONS,
    **NUMBER_FUNCTIONS,
    **DATE_FUNCTIONS,
    **ADDRESS_FUNCTIONS,
    **URI_FUNCTIONS,
}
EXTRACTORS: Final = frozenset({"reference", "references"})  # besides every `list…`
DEEPEST_EVALUATION: Final = 200  # evaluations within evaluations: variables that need each other


def evaluate(value: Value, scope: Scope, place: str) -> Value:
    """A JSON value of a template with every expression in it evaluated, property copies included.

    Raises ArmError `InvalidTemplate` with the place, or NotYetKnownError.
    """
    if isinstance(value, str):
        if not syntax.is_expression(value):
            return syntax.unescape(value)
        found = evaluate_expression(parse(value, place), scope, place)
        _check_characters(found, place)
        return found
    if isinstance(value, list):
        return [evaluate(item, scope, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _evaluate_object(value, scope, place)
    return value


def _check_characters(value: Value, place: str) -> None:
    """Raise ArmError for half a character, which JSON cannot say."""
    if isinstance(value, str):
        if has_half(value):
            raise invalid_template("The expression leaves half of a character (UTF-16)", place)
    elif isinstance(value, list):
        for item in value:
            _check_characters(item, place)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_characters(key, place)
            _check_characters(item, place)


def _evaluate_object(value: JsonObject, scope: Scope, place: str) -> JsonObject:
    evaluated: JsonObject = {}
    for key, item in value.items():
        if key == "copy" and is_property_copy(item):
            for number, loop in enumerate(item):
                evaluated[loop["name"]] = expand_copy(loop, scope, f"{place}.copy[{number}]")
            continue
        name = evaluate(key, scope, f"{place}.{key}") if syntax.is_expression(key) else syntax.unescape(key)
        evaluated[text(name, "property name")] = evaluate(item, scope, f"{place}.{key}")
    return evaluated


def is_property_copy(value: Value) -> bool:
    """Whether a `copy` property is a loop and not a property that happens to be called so."""
    return isinstance(value, list) and all(
        isinstance(item, dict) and {"name", "count", "input"} <= item.keys() for item in value
    )


def expand_copy(
    loop: JsonObject, scope: Scope, place: str, make: Callable[[Value, Scope, str], Value] | None = None
) -> list[Value]:
    """The array that a loop of a variable, property or output makes."""
    make = make or evaluate
    count = evaluate(loop["count"], scope, f"{place}.count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 800:  # noqa: PLR2004
        raise invalid_template("The copy count must be an integer from 0 to 800", place)
    return [
        make(
            loop["input"],
            replace(scope, copy_indexes={**scope.copy_indexes, str(loop["name"]).lower(): index}),
            f"{place}.input",
        )
        for index in range(count)
    ]


def parse(value: str, place: str) -> Expression:
    """The expression in a JSON string; ArmError naming the place and the position for bad syntax."""
    try:
        return syntax.parse(value)
    except syntax.ExpressionSyntaxError as error:
        raise invalid_template(
            f"Unable to parse language expression '{error.text}': {error.message} at position {error.position}",
            place,
        ) from error


def evaluate_expression(expression: Expression, scope: Scope, place: str) -> Value:
    """The value of one expression."""
    if scope.depth > DEEPEST_EVALUATION:
        raise invalid_template("Circular or too deeply nested variables and functions", place)
    match expression:
        case Text(value) | Number(value):
            return value
        case Call(name, arguments):
            try:
                return _call(name, arguments, scope, place)
            except FunctionError as error:
                raise invalid_template(str(error).removesuffix("."), place) from error
        case Member(of, name, safe):
            return _member(evaluate_expression(of, scope, place), name, safe=safe, place=place)
        case Element(of, index, safe):
            found = evaluate_expression(of, scope, place)
            return _element(found, evaluate_expression(index, scope, place), safe=safe, place=place)


def _member(of: Value, name: str, *, safe: bool, place: str) -> Value:
    if safe and of is None:
        return None
    if isinstance(of, dict):
        if (key := key_of(of, name)) is not None:
            return _known(of[key])
        if safe:
            return None
        known = ", ".join(of) or "none"
        raise invalid_template(
            f"The language expression property '{name}' doesn't exist, available properties are '{known}'",
            place,
        )
    raise invalid_template(f"The property '{name}' cannot be selected of {kind(of)}", place)


def _known(value: Value) -> Value:
    """The value, unless only the running deployment knows it."""
    if isinstance(value, Unknown):
        raise NotYetKnownError(syntax.write(value.expression))
    return value


def _element(of: Value, index: Value, *, safe: bool, place: str) -> Value:
    if isinstance(index, str):
        return _member(of, index, safe=safe, place=place)
    if safe:
        return try_get(of, index)
    if isinstance(of, list) and isinstance(index, int) and not isinstance(index, bool):
        if 0 <= index < len(of):
            return _known(of[index])
        raise invalid_template(f"The array index '{index}' is out of bounds (the array has {len(of)})", place)
    raise invalid_template(f"{kind(index)} cannot select from {kind(of)}", place)


def _call(name: str, arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    lowered = name.lower()
    if lowered in LAZY_FUNCTIONS:
        function, fewest, most = LAZY_FUNCTIONS[lowered]
        check_count(name, len(arguments), fewest, most, place)
        return function(evaluate_expression, arguments, scope, place)
    if (custom := scope.functions.get(lowered)) is not None:
        return _call_custom(name, custom, arguments, scope, place)
    values = [evaluate_expression(argument, scope, place) for argument in arguments]
    if lowered == "variables":
        check_count(name, len(values), 1, 1, place)
        return _variable(text(values[0], name), scope, place)
    if lowered in SCOPE_FUNCTIONS:
        scoped, fewest, most = SCOPE_FUNCTIONS[lowered]
        check_count(name, len(values), fewest, most, place)
        return scoped(scope, values, place)
    plain = PLAIN_FUNCTIONS.get(lowered)
    if plain is not None:
        check_count(name, len(values), plain[1], plain[2], place)
        return plain[0](*values)
    if lowered.startswith("list") and values:
        version = values[1] if len(values) > 1 else ""
        body = values[2] if len(values) > 2 else {}  # noqa: PLR2004  # list*(resource, version, body)
        return scope.surroundings.list_secrets(name, text(values[0], name), str(version), body)
    raise invalid_template(f"The template function '{name}' is not valid", place)


def is_extractor(name: str) -> bool:
    """Whether a function looks at resources, which only a running deployment can."""
    lowered = name.lower()
    return lowered in EXTRACTORS or (lowered.startswith("list") and "." not in lowered)


def is_known_function(name: str, custom: Mapping[str, JsonObject]) -> bool:
    """Whether a template may call it."""
    lowered = name.lower()
    return (
        lowered in LAZY_FUNCTIONS
        or lowered in SCOPE_FUNCTIONS
        or lowered in {"variables", "lambda"}
        or lowered in PLAIN_FUNCTIONS
        or lowered in custom
        or is_extractor(name)
    )


def _call_custom(name: str, function: JsonObject, arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    parameters = function.get("parameters") or []
    check_count(name, len(arguments), len(parameters), len(parameters), place)
    values = {
        parameter["name"].lower(): evaluate_expression(argument, scope, place)
        for parameter, argument in zip(parameters, arguments, strict=True)
    }
    inner = replace(scope, parameters=values, variables={}, lambda_variables={}, depth=scope.depth + 1)
    return evaluate(function["output"]["value"], inner, place)


def _variable(name: str, scope: Scope, place: str) -> Value:
    if name.lower() not in scope.variables:
        raise invalid_template(f"The template variable '{name}' is not found", place)
    inner = replace(scope, depth=scope.depth + 1, copy_indexes={}, current_copy=None, lambda_variables={})
    raw = scope.variables[name.lower()]
    if isinstance(raw, LoopVariable):
        return expand_copy(raw.loop, inner, f"variables.{name}")
    return evaluate(raw, inner, f"variables.{name}")
