"""Functions that do not evaluate all their arguments, or evaluate them with names of their own."""

from collections.abc import Callable
from dataclasses import replace

from ai_toolkit.local_cloud.template.scope import Scope, Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, Expression, Text
from ai_toolkit.local_cloud.template.text_functions import text
from ai_toolkit.local_cloud.template.value_functions import array_of, boolean, object_of

Evaluate = Callable[[Expression, Scope, str], Value]
Arguments = tuple[Expression, ...]


def _if(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    condition = boolean(evaluate(arguments[0], scope, place), "if")
    return evaluate(arguments[1 if condition else 2], scope, place)


def _and(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    return all(boolean(evaluate(argument, scope, place), "and") for argument in arguments)


def _or(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    return any(boolean(evaluate(argument, scope, place), "or") for argument in arguments)


def _coalesce(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    for argument in arguments:
        value = evaluate(argument, scope, place)
        if value is not None:
            return value
    return None


def _apply(evaluate: Evaluate, function: Expression, scope: Scope, place: str) -> Callable[..., Value]:
    """A lambda as a Python function."""
    if not isinstance(function, Call) or function.name.lower() != "lambda" or not function.arguments:
        raise invalid_template("A lambda is expected as argument", place)
    names = []
    for argument in function.arguments[:-1]:
        if not isinstance(argument, Text):
            raise invalid_template("A lambda's variables are named by strings", place)
        names.append(argument.value.lower())

    def call(*values: Value) -> Value:
        bound = {**scope.lambda_variables, **dict(zip(names, values, strict=False))}
        inner = replace(scope, lambda_variables=bound, depth=scope.depth + 1)
        return evaluate(function.arguments[-1], inner, place)

    return call


def _map(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _apply(evaluate, arguments[1], scope, place)
    return [function(item, index) for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "map"))]


def _filter(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _apply(evaluate, arguments[1], scope, place)
    items = array_of(evaluate(arguments[0], scope, place), "filter")
    return [item for index, item in enumerate(items) if boolean(function(item, index), "filter")]


def _reduce(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _apply(evaluate, arguments[2], scope, place)
    result = evaluate(arguments[1], scope, place)
    for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "reduce")):
        result = function(result, item, index)
    return result


def _sort(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    before = _apply(evaluate, arguments[1], scope, place)
    ordered: list[Value] = []
    for item in array_of(evaluate(arguments[0], scope, place), "sort"):
        at = next((index for index, other in enumerate(ordered) if not before(other, item)), len(ordered))
        while at < len(ordered) and not before(item, ordered[at]):
            at += 1  # equal ones keep their order
        ordered.insert(at, item)
    return ordered


def _to_object(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    key = _apply(evaluate, arguments[1], scope, place)
    value = _apply(evaluate, arguments[2], scope, place) if len(arguments) > 2 else None  # noqa: PLR2004
    return {
        text(key(item), "toObject"): value(item) if value else item
        for item in array_of(evaluate(arguments[0], scope, place), "toObject")
    }


def _group_by(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    key = _apply(evaluate, arguments[1], scope, place)
    groups: dict[str, list[Value]] = {}
    for item in array_of(evaluate(arguments[0], scope, place), "groupBy"):
        groups.setdefault(text(key(item), "groupBy"), []).append(item)
    return groups


def _map_values(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _apply(evaluate, arguments[1], scope, place)
    found = object_of(evaluate(arguments[0], scope, place), "mapValues")
    return {key: function(item) for key, item in found.items()}


LazyFunction = Callable[[Evaluate, Arguments, Scope, str], Value]
LAZY_FUNCTIONS: dict[str, tuple[LazyFunction, int, int | None]] = {
    "if": (_if, 3, 3),
    "and": (_and, 2, None),
    "or": (_or, 2, None),
    "coalesce": (_coalesce, 1, None),
    "map": (_map, 2, 2),
    "filter": (_filter, 2, 2),
    "reduce": (_reduce, 3, 3),
    "sort": (_sort, 2, 2),
    "toobject": (_to_object, 2, 3),
    "groupby": (_group_by, 2, 2),
    "mapvalues": (_map_values, 2, 2),
}
