"""Bodies spelled as Azure spells them: a request may write names and words in any case, an answer has Azure's.

Recorded: `Name` of a workload profile, `activeRevisionsMode` `single`, and counts written as text.
"""

from collections.abc import Mapping
from typing import Final

from ai_toolkit.local_cloud.core.shapes import Integer, InVersions, ListOf, MapOf, OneOf, Shape, Value, folded

_DIGITS: Final = 18  # of a number that fits into Azure's 64 bits


def spelled(shape: Shape, value: Value) -> Value:
    """The value with the names, words and whole numbers that its shape knows; what it does not know stays.

    What only answers hold is left out: Azure ignores it in a request.
    """
    if isinstance(shape, InVersions):
        return spelled(shape.inner, value)
    if isinstance(value, dict):
        return _object_spelled(shape, value)
    if isinstance(value, list):
        return [spelled(shape.item, item) for item in value] if isinstance(shape, ListOf) else value
    if isinstance(value, str) and isinstance(shape, OneOf) and not shape.is_echoed:
        return next((word for word in shape.words if folded(word) == folded(value)), value)
    if isinstance(value, str) and isinstance(shape, Integer) and _is_number(value):
        return int(value)
    return value


def _object_spelled(shape: Shape, value: dict[str, Value]) -> Value:
    if isinstance(shape, MapOf):
        return {name: spelled(shape.item, item) for name, item in value.items()}
    if not isinstance(shape, Mapping):
        return value
    known = {written.rstrip("*=").lower(): (written, inner) for written, inner in shape.items()}
    found: dict[str, Value] = {}
    for name, item in value.items():
        written, inner = known.get(name.lower(), (name, None))
        if inner is None:
            found[name] = item
        elif not written.endswith("="):
            found[written.rstrip("*")] = spelled(inner, item)
    return found


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) <= _DIGITS
