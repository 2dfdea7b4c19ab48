"""What a template's values are: their types, their characters (UTF-16, as in .NET), and keys without case."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

Value = Any  # a JSON value
Function = Callable[..., Value]
Group = Mapping[str, tuple[Function, int, int | None]]  # by name in lower case: function, fewest, most arguments

NOT_GIVEN: Final = object()  # an argument that is left out: null is given
LEAST_INTEGER: Final = -(2**63)
GREATEST_INTEGER: Final = 2**63 - 1
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")
_HALF: Final = re.compile("[\ud800-\udfff]")
_KEEP_CASE: Final = frozenset("\u0130\u0131")  # the dotted capital and the dotless small I belong to Turkish alone
_KINDS: Final = {
    str: "a string", bool: "a boolean", int: "an integer", float: "a number with a fraction", list: "an array",
    dict: "an object",
}  # fmt: skip
Item = TypeVar("Item")


class FunctionError(Exception):
    """A template function was given what it cannot use."""


def kind(value: Value) -> str:
    """The value's type, in the words of templates."""
    return "null" if value is None else _KINDS.get(type(value), "a number")


def unexpected(function: str, position: int, wanted: str, value: Value) -> FunctionError:
    """That an argument (from 1) is of another type than the function takes."""
    which = _ORDINALS[position - 1] if position <= len(_ORDINALS) else f"{position}th"
    return FunctionError(f"The function '{function}' expects {wanted} as its {which} argument, not {kind(value)}.")


def text(value: Value, function: str, position: int = 1) -> str:
    """The value if it is a string."""
    if not isinstance(value, str):
        raise unexpected(function, position, "a string", value)
    return value


def integer(value: Value, function: str, position: int = 1) -> int:
    """The value if it is an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise unexpected(function, position, "an integer", value)
    return within_bounds(value, function)


def within_bounds(value: int, function: str) -> int:
    """The value if 64 bits hold it."""
    if not LEAST_INTEGER <= value <= GREATEST_INTEGER:
        raise FunctionError(f"The function '{function}' overflowed: an integer has 64 bits.")
    return value


def is_number(value: Value) -> bool:
    """Whether it is an integer or a number with a fraction."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def array_of(value: Value, function: str, position: int = 1) -> list[Value]:
    """The value if it is an array."""
    if not isinstance(value, list):
        raise unexpected(function, position, "an array", value)
    return value


def object_of(value: Value, function: str, position: int = 1) -> dict[str, Value]:
    """The value if it is an object."""
    if not isinstance(value, dict):
        raise unexpected(function, position, "an object", value)
    return value


def boolean(value: Value, function: str, position: int = 1) -> bool:
    """The value if it is a boolean."""
    if not isinstance(value, bool):
        raise unexpected(function, position, "a boolean", value)
    return value


def units(value: str) -> str:
    """The string with one character for each unit of UTF-16, which .NET counts and cuts by."""
    if value.isascii() or max(value) <= "\uffff":
        return value
    data = value.encode("utf-16-le", "surrogatepass")
    return "".join(chr(int.from_bytes(data[at : at + 2], "little")) for at in range(0, len(data), 2))


def whole(value: str) -> str:
    """The string with the halves of a character that stand side by side put together; one alone stays."""
    if value.isascii() or not _HALF.search(value):
        return value
    data = value.encode("utf-16-le", "surrogatepass")
    return data.decode("utf-16-le", "surrogatepass")


def has_half(value: str) -> bool:
    """Whether half a character stands alone in it, which no JSON can say."""
    return not value.isascii() and _HALF.search(value) is not None


def utf8(value: str) -> bytes:
    """The string in UTF-8, half a character as the replacement character, as .NET writes it."""
    return _HALF.sub("\ufffd", value).encode()


def upper(value: str) -> str:
    """In capitals, character by character, without regard to a language."""
    return "".join(_single(character, str.upper) for character in value)


def lower(value: str) -> str:
    """In small letters, character by character, without regard to a language."""
    return "".join(_single(character, str.lower) for character in value)


def _single(character: str, change: Callable[[str], str]) -> str:
    """One character for one, as .NET maps them: where Python makes several, the title form may be the one."""
    changed = change(character)
    if len(changed) > 1:
        changed = character.title()
    return changed if len(changed) == 1 and character not in _KEEP_CASE else character


def equals(one: Value, other: Value) -> bool:
    """Equal JSON of equal type: 1 is neither true nor 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equals(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equals, one, other))
    return bool(one == other)


def without_repetition(items: Sequence[Value]) -> list[Value]:
    """Each item once, where it stands first."""
    found: list[Value] = []
    for item in items:
        if not any(equals(item, one) for one in found):
            found.append(item)
    return found


def key_of(mapping: Mapping[str, Value], name: str) -> str | None:
    """The object's key of that name: the very same, else the first that differs in case."""
    if name in mapping:
        return name
    wanted = upper(name)
    return next((key for key in mapping if upper(key) == wanted), None)
