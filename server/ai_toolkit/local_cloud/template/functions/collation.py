"""The order of text: by culture as .NET has it, small letters before capitals as the last difference.

The weights are Unicode's own (UTS #10), as pyuca ships them; no table of ours.
"""

import functools
from collections.abc import Iterable
from typing import Any

from ai_toolkit.local_cloud.template.functions.values import FunctionError, Value, is_number, unexpected


@functools.cache
def _collator() -> Any:  # noqa: ANN401  # pyuca has no types
    import pyuca  # noqa: PLC0415  # reads 1.4 MB of weights, which few templates need

    return pyuca.Collator()


def compare(one: str, other: str) -> int:
    """Below, at or above zero, as the first string comes before, with or after the other."""
    if one == other:
        return 0
    first, second = _collator().sort_key(one), _collator().sort_key(other)
    return int(first > second) - int(first < second)


def ordered(names: Iterable[str]) -> list[str]:
    """Names in the order of text."""
    return sorted(names, key=functools.cmp_to_key(compare))


def difference(one: Value, other: Value, function: str) -> float:
    """Below, at or above zero for two strings or two numbers; FunctionError for others."""
    if isinstance(one, str) and isinstance(other, str):
        return compare(one, other)
    if is_number(one) and is_number(other):
        return int(one > other) - int(one < other)
    if isinstance(one, str) or is_number(one):
        raise unexpected(function, 2, "a string" if isinstance(one, str) else "a number", other)
    if isinstance(other, str) or is_number(other):
        raise unexpected(function, 1, "a string" if isinstance(other, str) else "a number", one)
    raise FunctionError(f"The function '{function}' compares two strings or two numbers.")
