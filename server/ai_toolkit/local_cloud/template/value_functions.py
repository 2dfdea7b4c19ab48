"""Array, object, comparison, logical and numeric functions of ARM templates."""

from collections.abc import Callable
from typing import Any

from ai_toolkit.local_cloud.template.text_functions import (
    FunctionError,
    integer,
    kind,
    parse_json,
    text,
    to_string,
)

Value = Any  # a JSON value
MOST_NUMBERS = 10_000  # Azure's own limit of range()


def equals(one: Value, other: Value) -> bool:
    """Equal JSON of equal type: 1 is not true."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equals(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equals, one, other))
    return bool(one == other)


def contains(container: Value, item: Value) -> bool:
    """Whether an array holds an item, an object a key (any case), a string a part."""
    if isinstance(container, list):
        return any(equals(item, element) for element in container)
    if isinstance(container, dict):
        return any(to_string(item).lower() == key.lower() for key in container)
    return to_string(item) in text(container, "contains")


def empty(value: Value) -> bool:
    """Whether a string, array or object has nothing in it, or there is none."""
    if value is not None and not isinstance(value, str | list | dict):
        raise FunctionError(f"The function 'empty' expects a string, array or object, not {kind(value)}.")
    return not value


def length(value: Value) -> int:
    """How many."""
    if not isinstance(value, str | list | dict):
        raise FunctionError(f"The function 'length' expects a string, array or object, not {kind(value)}.")
    return len(value)


def concat(*values: Value) -> Value:
    """Arrays joined if the first is one, else text."""
    if values and isinstance(values[0], list):
        return [item for value in values for item in (value if isinstance(value, list) else [value])]
    return "".join(to_string(value) for value in values)


def union(*values: Value) -> Value:
    """Each item once; of objects, all keys, the later ones winning, objects within merged."""
    if all(isinstance(value, dict) for value in values):
        merged: dict[str, Value] = {}
        for value in values:
            for key, item in value.items():
                both = isinstance(merged.get(key), dict) and isinstance(item, dict)
                merged[key] = union(merged[key], item) if both else item
        return merged
    if all(isinstance(value, list) for value in values):
        found: list[Value] = []
        for item in (item for value in values for item in value):
            if not contains(found, item):
                found.append(item)
        return found
    raise FunctionError("The function 'union' expects arrays only, or objects only.")


def intersection(*values: Value) -> Value:
    """What all of them hold."""
    first = values[0]
    if all(isinstance(value, dict) for value in values):
        return {
            key: item
            for key, item in first.items()
            if all(key in value and equals(value[key], item) for value in values)
        }
    if all(isinstance(value, list) for value in values):
        return [item for item in first if all(contains(value, item) for value in values)]
    raise FunctionError("The function 'intersection' expects arrays only, or objects only.")


def take(value: Value, count: Value) -> Value:
    """The first so many."""
    _sequence(value, "take")
    return value[: max(0, integer(count, "take"))]


def skip(value: Value, count: Value) -> Value:
    """All but the first so many."""
    _sequence(value, "skip")
    return value[max(0, integer(count, "skip")) :]


def _sequence(value: Value, function: str) -> None:
    if not isinstance(value, str | list):
        raise FunctionError(f"The function '{function}' expects a string or an array, not {kind(value)}.")


def first(value: Value) -> Value:
    """The first item; nothing of nothing."""
    _sequence(value, "first")
    return value[0] if value else ("" if isinstance(value, str) else None)


def last(value: Value) -> Value:
    """The last item; nothing of nothing."""
    _sequence(value, "last")
    return value[-1] if value else ("" if isinstance(value, str) else None)


def flatten(value: Value) -> Value:
    """One array of the arrays in an array."""
    return [item for part in array_of(value, "flatten") for item in array_of(part, "flatten")]


def array_of(value: Value, function: str) -> list[Value]:
    """The value if it is an array."""
    if not isinstance(value, list):
        raise FunctionError(f"The function '{function}' expects an array, not {kind(value)}.")
    return value


def object_of(value: Value, function: str) -> dict[str, Value]:
    """The value if it is an object."""
    if not isinstance(value, dict):
        raise FunctionError(f"The function '{function}' expects an object, not {kind(value)}.")
    return value


def create_object(*pairs: Value) -> Value:
    """An object of keys and values in turn."""
    if len(pairs) % 2:
        raise FunctionError("The function 'createObject' expects keys and values in pairs.")
    return {text(key, "createObject"): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


def number_range(start: Value, count: Value) -> list[int]:
    """So many integers from the first on."""
    how_many = integer(count, "range")
    if not 0 <= how_many <= MOST_NUMBERS:
        raise FunctionError(f"The function 'range' makes at most {MOST_NUMBERS} numbers.")
    begin = integer(start, "range")
    return list(range(begin, begin + how_many))


def _compare(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def compare(one: Value, other: Value) -> bool:
        if isinstance(one, str) and isinstance(other, str):
            return test(one, other)
        return test(integer(one, name), integer(other, name))

    return compare


def _extreme(name: str, choose: Callable[[list[int]], int]) -> Callable[..., int]:
    def extreme(*values: Value) -> int:
        numbers = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        if not numbers:
            raise FunctionError(f"The function '{name}' expects at least one number.")
        return choose([integer(number, name) for number in numbers])

    return extreme


def divide(one: Value, other: Value) -> int:
    """Towards zero, as in .NET."""
    divisor = integer(other, "div")
    if divisor == 0:
        raise FunctionError("The function 'div' cannot divide by zero.")
    quotient = abs(integer(one, "div")) // abs(divisor)
    return quotient if (one < 0) == (divisor < 0) else -quotient


def remainder(one: Value, other: Value) -> int:
    """What `div` leaves."""
    return integer(one, "mod") - divide(one, other) * integer(other, "mod")


def to_int(value: Value) -> int:
    """An integer from text or a number."""
    if isinstance(value, float):
        return int(value)
    try:
        return int(value) if isinstance(value, str) else integer(value, "int")
    except ValueError as error:
        raise FunctionError(f"The function 'int' cannot read '{value}'.") from error


def to_float(value: Value) -> float:
    """A number from text or a number."""
    found = parse_json(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise FunctionError(f"The function 'float' cannot read {kind(value)}.")
    try:
        return float(found)
    except OverflowError as error:
        raise FunctionError("The function 'float' cannot hold so large a number.") from error


def to_bool(value: Value) -> bool:
    """A boolean from text or a number."""
    if isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}:
        return value.lower() in {"true", "1"}
    if isinstance(value, int):
        return bool(value)
    raise FunctionError(f"The function 'bool' cannot read {kind(value)}.")


def boolean(value: Value, function: str) -> bool:
    """The value if it is a boolean."""
    if not isinstance(value, bool):
        raise FunctionError(f"The function '{function}' expects a boolean, not {kind(value)}.")
    return value


def _shallow_merge(values: Value) -> Value:
    merged: dict[str, Value] = {}
    for value in array_of(values, "shallowMerge"):
        merged.update(object_of(value, "shallowMerge"))
    return merged


def _index_from_end(value: Value, position: Value) -> Value:
    items, back = array_of(value, "indexFromEnd"), integer(position, "indexFromEnd")
    if not 1 <= back <= len(items):
        raise FunctionError("The function 'indexFromEnd' was asked for an item that is not there.")
    return items[-back]


def _try_index_from_end(value: Value, position: Value) -> Value:
    items, back = array_of(value, "tryIndexFromEnd"), integer(position, "tryIndexFromEnd")
    return items[-back] if 1 <= back <= len(items) else None


def try_get(value: Value, *path: Value) -> Value:
    """What is found along a path, or null where it ends early."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = next((item for key, item in value.items() if key.lower() == step.lower()), None)
        elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


# name in lower case: (function, fewest arguments, most arguments or None)
VALUE_FUNCTIONS: dict[str, tuple[Callable[..., Value], int, int | None]] = {
    "add": (lambda a, b: integer(a, "add") + integer(b, "add"), 2, 2),
    "array": (lambda v: v if isinstance(v, list) else [v], 1, 1),
    "bool": (to_bool, 1, 1),
    "concat": (concat, 1, None),
    "contains": (contains, 2, 2),
    "createarray": (lambda *values: list(values), 0, None),
    "createobject": (create_object, 0, None),
    "div": (divide, 2, 2),
    "empty": (empty, 1, 1),
    "equals": (equals, 2, 2),
    "false": (lambda: False, 0, 0),
    "first": (first, 1, 1),
    "flatten": (flatten, 1, 1),
    "float": (to_float, 1, 1),
    "greater": (_compare("greater", lambda a, b: bool(a > b)), 2, 2),
    "greaterorequals": (_compare("greaterOrEquals", lambda a, b: bool(a >= b)), 2, 2),
    "indexfromend": (_index_from_end, 2, 2),
    "int": (to_int, 1, 1),
    "intersection": (intersection, 2, None),
    "items": (lambda v: [{"key": k, "value": item} for k, item in sorted(object_of(v, "items").items())], 1, 1),
    "last": (last, 1, 1),
    "length": (length, 1, 1),
    "less": (_compare("less", lambda a, b: bool(a < b)), 2, 2),
    "lessorequals": (_compare("lessOrEquals", lambda a, b: bool(a <= b)), 2, 2),
    "max": (_extreme("max", max), 1, None),
    "min": (_extreme("min", min), 1, None),
    "mod": (remainder, 2, 2),
    "mul": (lambda a, b: integer(a, "mul") * integer(b, "mul"), 2, 2),
    "not": (lambda v: not boolean(v, "not"), 1, 1),
    "null": (lambda: None, 0, 0),
    "objectkeys": (lambda v: sorted(object_of(v, "objectKeys")), 1, 1),
    "range": (number_range, 2, 2),
    "shallowmerge": (_shallow_merge, 1, 1),
    "skip": (skip, 2, 2),
    "sub": (lambda a, b: integer(a, "sub") - integer(b, "sub"), 2, 2),
    "take": (take, 2, 2),
    "true": (lambda: True, 0, 0),
    "tryget": (try_get, 2, None),
    "tryindexfromend": (_try_index_from_end, 2, 2),
    "union": (union, 1, None),
}
