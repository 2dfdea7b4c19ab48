"""Functions that do not evaluate all their arguments, or evaluate them with names of their own."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ai_toolkit.local_cloud.template.functions.values import FunctionError, array_of, boolean, kind, object_of, upper
from ai_toolkit.local_cloud.template.scope import Scope, Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, Expression, Text

Evaluate = Callable[[Expression, Scope, str], Value]
Arguments = tuple[Expression, ...]


def _if(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    condition = boolean(evaluate(arguments[0], scope, place), "if")
    return evaluate(arguments[1 if condition else 2], scope, place)


def _and(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    return all(boolean(evaluate(one, scope, place), "and", number) for number, one in enumerate(arguments, 1))


def _or(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    return any(boolean(evaluate(one, scope, place), "or", number) for number, one in enumerate(arguments, 1))


def _coalesce(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    for argument in arguments:
        value = evaluate(argument, scope, place)
        if value is not None:
            return value
    return None


@dataclass(frozen=True)
class _Lambda:
    """A lambda of a template, as a function."""

    caller: str  # the function that it is an argument of
    names: tuple[str, ...]
    result: Callable[[Mapping[str, Value]], Value]

    def __call__(self, *values: Value) -> Value:
        return self.result(dict(zip(self.names, values, strict=False)))

    def boolean(self, position: int, *values: Value) -> bool:
        """Its result for the item at that place, which must be true or false."""
        found = self(*values)
        if not isinstance(found, bool):
            raise FunctionError(
                f"The lambda of '{self.caller}' must return a boolean; for item {position} it returned {kind(found)}."
            )
        return found

    def key(self, position: int, value: Value) -> str:
        """Its result for the item at that place, which must be a string."""
        found = self(value)
        if not isinstance(found, str):
            raise FunctionError(
                f"The lambda of '{self.caller}' must return a string; for item {position} it returned {kind(found)}."
            )
        return found


def _lambda(evaluate: Evaluate, function: Expression, scope: Scope, place: str, takes: tuple[str, int, int]) -> _Lambda:
    """A lambda argument; `takes` names its caller, and how many variables it gives, from the fewest to the most."""
    caller, fewest, most = takes
    if not isinstance(function, Call) or function.name.lower() != "lambda":
        raise FunctionError(f"The function '{caller}' expects a lambda.")
    variables = function.arguments[:-1]
    if not fewest <= len(variables) <= most:
        wanted = str(most) if fewest == most else f"{fewest} or {most}"
        raise FunctionError(f"The lambda of '{caller}' has {len(variables)} variables but takes {wanted}.")
    names = []
    for argument in variables:
        if not isinstance(argument, Text):
            raise invalid_template("A lambda's variables are named by strings", place)
        names.append(argument.value.lower())

    def result(bound: Mapping[str, Value]) -> Value:
        inner = replace(scope, lambda_variables={**scope.lambda_variables, **bound}, depth=scope.depth + 1)
        return evaluate(function.arguments[-1], inner, place)

    return _Lambda(caller, tuple(names), result)


def _map(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _lambda(evaluate, arguments[1], scope, place, ("map", 1, 2))
    return [function(item, index) for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "map"))]


def _filter(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _lambda(evaluate, arguments[1], scope, place, ("filter", 1, 2))
    items = array_of(evaluate(arguments[0], scope, place), "filter")
    return [item for index, item in enumerate(items) if function.boolean(index, item, index)]


def _reduce(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _lambda(evaluate, arguments[2], scope, place, ("reduce", 2, 3))
    result = evaluate(arguments[1], scope, place)
    for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "reduce")):
        result = function(result, item, index)
    return result


def _sort(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    before = _lambda(evaluate, arguments[1], scope, place, ("sort", 2, 2))
    items = array_of(evaluate(arguments[0], scope, place), "sort")

    def order(one: tuple[int, Value], other: tuple[int, Value]) -> int:
        if before.boolean(one[0], one[1], other[1]):
            return -1
        return 1 if before.boolean(other[0], other[1], one[1]) else 0

    return [
        item for _, item in sorted(enumerate(items), key=functools.cmp_to_key(order))
    ]  # equal ones keep their order


def _to_object(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    key = _lambda(evaluate, arguments[1], scope, place, ("toObject", 1, 1))
    value = _lambda(evaluate, arguments[2], scope, place, ("toObject", 1, 1)) if len(arguments) > 2 else None  # noqa: PLR2004
    found: dict[str, Value] = {}
    known: set[str] = set()
    for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "toObject")):
        name = key.key(index, item)
        if upper(name) in known:
            raise FunctionError(f"The lambda of 'toObject' returned the key '{name}' twice; case does not matter.")
        known.add(upper(name))
        found[name] = value(item) if value else item
    return found


def _group_by(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    key = _lambda(evaluate, arguments[1], scope, place, ("groupBy", 1, 1))
    groups: dict[str, list[Value]] = {}
    names: dict[str, str] = {}
    for index, item in enumerate(array_of(evaluate(arguments[0], scope, place), "groupBy")):
        name = key.key(index, item)
        groups.setdefault(names.setdefault(upper(name), name), []).append(item)
    return groups


def _map_values(evaluate: Evaluate, arguments: Arguments, scope: Scope, place: str) -> Value:
    function = _lambda(evaluate, arguments[1], scope, place, ("mapValues", 1, 1))
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
