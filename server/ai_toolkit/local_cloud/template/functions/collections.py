"""Array and object functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-array
"""

from collections.abc import Callable

from ai_toolkit.local_cloud.template.functions.collation import ordered
from ai_toolkit.local_cloud.template.functions.json_text import shown
from ai_toolkit.local_cloud.template.functions.values import (
    FunctionError,
    Group,
    Value,
    array_of,
    equals,
    integer,
    key_of,
    kind,
    object_of,
    text,
    unexpected,
    units,
    upper,
    whole,
    without_repetition,
)


def contains(container: Value, item: Value) -> bool:
    """Whether an array holds an item, an object a key (in any case), a string a part."""
    if isinstance(container, list):
        return any(equals(item, element) for element in container)
    if isinstance(container, dict) and isinstance(item, str):
        return key_of(container, item) is not None
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    raise FunctionError(
        "The function 'contains' looks for any value in an array, a string in an object or a string; it cannot look "
        f"for {kind(item)} in {kind(container)}."
    )


def empty(value: Value) -> bool:
    """Whether a string, array or object has nothing in it, or there is none."""
    if value is not None and not isinstance(value, str | list | dict):
        raise unexpected("empty", 1, "a string, array or object", value)
    return not value


def length(value: Value) -> int:
    """How many items, properties or units of UTF-16."""
    if not isinstance(value, str | list | dict):
        raise unexpected("length", 1, "a string, array or object", value)
    return len(units(value)) if isinstance(value, str) else len(value)


def concat(*values: Value) -> Value:
    """Arrays joined, or text."""
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if any(isinstance(value, list | dict) for value in values):
        raise FunctionError("The function 'concat' joins arrays only, or text only.")
    return whole("".join(shown(value) for value in values))


def union(*values: Value) -> Value:
    """Each item once; of objects all properties, the later ones winning, objects within merged."""
    _same_kind("union", values)
    if isinstance(values[0], list):
        return without_repetition([item for value in values for item in value])
    merged: dict[str, Value] = {}
    for value in values:
        _merge_into(merged, value)
    return merged


def _merge_into(target: dict[str, Value], source: dict[str, Value]) -> None:
    for key, item in source.items():
        before = key_of(target, key)
        earlier = target.pop(before) if before is not None else None
        if isinstance(earlier, dict) and isinstance(item, dict):
            inner = dict(earlier)
            _merge_into(inner, item)
            target[key] = inner
        else:
            target[key] = item


def _same_kind(function: str, values: tuple[Value, ...]) -> None:
    wanted = list if isinstance(values[0], list) else dict
    for position, value in enumerate(values, 1):
        if not isinstance(value, wanted):
            raise unexpected(
                function, position, "an array or an object" if position == 1 else f"{kind(values[0])}", value
            )


def intersection(*values: Value) -> Value:
    """What all of them hold, once."""
    _same_kind("intersection", values)
    first, *rest = values
    if isinstance(first, list):
        return [item for item in without_repetition(first) if all(contains(value, item) for value in rest)]
    return {
        key: item
        for key, item in first.items()
        if all((found := key_of(value, key)) is not None and equals(value[found], item) for value in rest)
    }


def _sequence(value: Value, function: str) -> str | list[Value]:
    if not isinstance(value, str | list):
        raise unexpected(function, 1, "a string or an array", value)
    return units(value) if isinstance(value, str) else value


def _part(value: str | list[Value]) -> Value:
    return whole(value) if isinstance(value, str) else value


def take(value: Value, count: Value) -> Value:
    """The first so many."""
    return _part(_sequence(value, "take")[: max(0, integer(count, "take", 2))])


def skip(value: Value, count: Value) -> Value:
    """All but the first so many."""
    return _part(_sequence(value, "skip")[max(0, integer(count, "skip", 2)) :])


def first(value: Value) -> Value:
    """The first item; nothing of nothing."""
    items = _sequence(value, "first")
    return items[0] if items else ("" if isinstance(value, str) else None)


def last(value: Value) -> Value:
    """The last item; nothing of nothing."""
    items = _sequence(value, "last")
    return items[-1] if items else ("" if isinstance(value, str) else None)


def flatten(value: Value) -> Value:
    """One array of the arrays in an array."""
    parts = array_of(value, "flatten")
    for index, part in enumerate(parts):
        if not isinstance(part, list):
            raise FunctionError(f"The function 'flatten' expects arrays in its array; item {index} is {kind(part)}.")
    return [item for part in parts for item in part]


def create_object(*pairs: Value) -> Value:
    """An object of keys and values in turn."""
    if len(pairs) % 2:
        raise FunctionError("The function 'createObject' expects keys and values in pairs.")
    for position in range(0, len(pairs), 2):
        text(pairs[position], "createObject", position + 1)
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _index(name: str, *, from_end: bool) -> Callable[..., int]:
    """Where a part is in a string, in any case, or an item in an array; -1 where it is not."""

    def index(value: Value, part: Value) -> int:
        if isinstance(value, list):
            places = [place for place, item in enumerate(value) if equals(item, part)]
            return (places[-1] if from_end else places[0]) if places else -1
        if not isinstance(value, str):
            raise unexpected(name, 1, "a string or an array", value)
        within, wanted = upper(units(value)), upper(units(text(part, name, 2)))
        if from_end and not wanted:
            return max(len(within) - 1, 0)
        return within.rfind(wanted) if from_end else within.find(wanted)

    return index


def _from_end(value: Value, position: Value) -> Value:
    """The item at that place, counted from 1 at the end."""
    items, back = array_of(value, "indexFromEnd"), integer(position, "indexFromEnd", 2)
    if 1 <= back <= len(items):
        return items[-back]
    raise FunctionError(f"The function 'indexFromEnd' was asked for item {back} from the end of {len(items)}.")


def _try_from_end(value: Value, position: Value, *path: Value) -> Value:
    """The item at that place, counted from 1 at the end, and what is found along a path in it; null without one."""
    back = integer(position, "tryIndexFromEnd", 2)
    if not isinstance(value, list) or not 1 <= back <= len(value):
        return None
    return _along(value[-back], path, "tryIndexFromEnd")


def try_get(value: Value, step: Value) -> Value:
    """The property or item of that name or place; null without one."""
    if isinstance(value, dict) and isinstance(step, str):
        found = key_of(value, step)
        return None if found is None else value[found]
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None


def _try_get(value: Value, step: Value, *path: Value) -> Value:
    """What is found along a path; null where its first step finds nothing, and then the rest is not looked for.

    As `value.?step.rest` means it. Source: https://github.com/Azure/bicep/pull/9368
    """
    if not isinstance(step, str | int) or isinstance(step, bool):
        raise unexpected("tryGet", 2, "a string or an integer", step)
    return _along(try_get(value, step), path, "tryGet")


def _along(value: Value, path: tuple[Value, ...], function: str) -> Value:
    """What each step of the path finds in what the one before found: nothing in null, FunctionError for what lacks."""
    if value is None:
        return None
    for position, given in enumerate(path, 3):
        step, is_from_end = given, False
        if isinstance(given, dict):  # Bicep writes [2] and [^2] of a chain so
            step, is_from_end = try_get(given, "value"), try_get(given, "fromEnd") is True
        if not isinstance(step, str | int) or isinstance(step, bool):
            raise unexpected(function, position, "a string or an integer", step)
        place = len(value) - step if is_from_end and isinstance(value, list) and isinstance(step, int) else step
        if isinstance(value, dict) and isinstance(place, str) and (key := key_of(value, place)) is not None:
            value = value[key]
        elif isinstance(value, list) and isinstance(place, int) and 0 <= place < len(value):
            value = value[place]
        else:
            raise FunctionError(f"The function '{function}' finds no '{step}' in {kind(value)}.")
    return value


def items(value: Value) -> list[Value]:
    """Keys and values in the order of the keys."""
    found = object_of(value, "items")
    return [{"key": key, "value": found[key]} for key in ordered(found)]


def shallow_merge(values: Value) -> Value:
    """All properties, the later ones winning whole."""
    merged: dict[str, Value] = {}
    for index, value in enumerate(array_of(values, "shallowMerge")):
        if not isinstance(value, dict):
            raise FunctionError(f"The function 'shallowMerge' merges objects; item {index} is {kind(value)}.")
        for key, item in value.items():
            merged[key_of(merged, key) or key] = item
    return merged


COLLECTION_FUNCTIONS: Group = {
    "array": (lambda value: value if isinstance(value, list) else [value], 1, 1),
    "concat": (concat, 1, None),
    "contains": (contains, 2, 2),
    "createarray": (lambda *values: list(values), 0, None),
    "createobject": (create_object, 0, None),
    "empty": (empty, 1, 1),
    "first": (first, 1, 1),
    "flatten": (flatten, 1, 1),
    "indexfromend": (_from_end, 2, 2),
    "indexof": (_index("indexOf", from_end=False), 2, 2),
    "intersection": (intersection, 2, None),
    "items": (items, 1, 1),
    "last": (last, 1, 1),
    "lastindexof": (_index("lastIndexOf", from_end=True), 2, 2),
    "length": (length, 1, 1),
    "objectkeys": (lambda value: ordered(object_of(value, "objectKeys")), 1, 1),
    "shallowmerge": (shallow_merge, 1, 1),
    "skip": (skip, 2, 2),
    "take": (take, 2, 2),
    "tryget": (_try_get, 2, None),
    "tryindexfromend": (_try_from_end, 2, None),
    "union": (union, 1, None),
}
