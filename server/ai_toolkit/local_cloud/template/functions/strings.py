"""String functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from ai_toolkit.local_cloud.template.functions.json_text import parse_json, shown
from ai_toolkit.local_cloud.template.functions.number_format import format_number
from ai_toolkit.local_cloud.template.functions.unique_string import guid, unique_string
from ai_toolkit.local_cloud.template.functions.values import (
    NOT_GIVEN,
    FunctionError,
    Group,
    Value,
    array_of,
    integer,
    is_number,
    kind,
    lower,
    text,
    unexpected,
    units,
    upper,
    utf8,
    whole,
)

LONGEST_TEXT: Final = 131_072  # more than a parameter or a template's value may have on Azure
_PART: Final = re.compile(r"\{\{|\}\}|\{([0-9]{1,7}) *(?:, *(-?[0-9]{1,7}) *)?(?::([^{}]*))?\}|[{}]")
WIDEST_PADDING: Final = 16
WHITE_SPACE: Final = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def format_text(template: Value, *arguments: Value) -> str:
    """`format()`: .NET's composite format, with every placeholder replaced by its argument.

    Source: https://learn.microsoft.com/dotnet/standard/base-types/composite-formatting
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if match[1] is None:
            raise FunctionError(f"The function 'format' was given a brace that has no partner in '{template}'.")
        index, width = int(match[1]), int(match[2] or 0)
        if index >= len(arguments):
            raise FunctionError(f"The function 'format' has no argument for '{match[0]}'.")
        if abs(width) > LONGEST_TEXT:
            raise FunctionError(f"The function 'format' makes text of at most {LONGEST_TEXT} characters.")
        argument, form = arguments[index], match[3]
        found = units(format_number(argument, form) if form and is_number(argument) else shown(argument, "'"))
        return found.rjust(width) if width >= 0 else found.ljust(-width)

    return whole(_PART.sub(replace, text(template, "format")))


def to_string(value: Value) -> str:
    """`string()`."""
    if value is None or isinstance(value, float):
        raise unexpected("string", 1, "an integer, string, boolean, object or array", value)
    return shown(value)


def substring(value: Value, start: Value, length: Value = NOT_GIVEN) -> str:
    """Part of a string; outside of it is an error, as in .NET."""
    characters, first = units(text(value, "substring")), integer(start, "substring", 2)
    size = len(characters) - first if length is NOT_GIVEN else integer(length, "substring", 3)
    if first < 0 or first > len(characters) or size < 0 or first + size > len(characters):
        raise FunctionError(
            "The function 'substring' was asked for a part outside of the string "
            f"(start {first}, length {size}, of {len(characters)})."
        )
    return whole(characters[first : first + size])


def split(value: Value, separators: Value) -> list[str]:
    """Parts between any of the separators, of which the first that fits counts."""
    given = text(value, "split")
    found = [separators] if isinstance(separators, str) else array_of(separators, "split", 2)
    for item in found:
        if not isinstance(item, str):
            raise FunctionError(f"The function 'split' separates by strings, not by {kind(item)}.")
    if not found:
        return re.split(f"[{WHITE_SPACE}]", given)
    pattern = "|".join(re.escape(item) for item in found if item)
    return re.split(pattern, given) if pattern else [given]


def join(values: Value, separator: Value) -> str:
    """Strings, integers and booleans, one after the other."""
    items = array_of(values, "join")
    for index, item in enumerate(items):
        if not isinstance(item, str | int):
            raise FunctionError(
                f"The function 'join' joins strings, integers and booleans; item {index} is {kind(item)}."
            )
    return whole(text(separator, "join", 2).join(shown(item) for item in items))


def pad_left(value: Value, width: Value, fill: Value = " ") -> str:
    """A string or an integer, at least so wide."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise unexpected("padLeft", 1, "a string or an integer", value)
    total, filler = integer(width, "padLeft", 2), units(text(fill, "padLeft", 3))
    if not 0 < total <= WIDEST_PADDING:
        raise FunctionError(f"The function 'padLeft' makes text of 1 to {WIDEST_PADDING} characters, not {total}.")
    if len(filler) != 1:
        raise FunctionError(f"The function 'padLeft' fills with one character, not with '{fill}'.")
    return whole(units(str(value)).rjust(total, filler))


def replace(value: Value, old: Value, new: Value) -> str:
    """Text with every occurrence of another replaced, with regard to case."""
    within, wanted, instead = text(value, "replace"), text(old, "replace", 2), text(new, "replace", 3)
    if not wanted:
        raise FunctionError("The function 'replace' cannot replace an empty string.")
    return whole(within.replace(wanted, instead))


def decoded(data: str, function: str) -> bytes:
    """The bytes of base 64, white space in it left out."""
    try:
        return base64.b64decode(re.sub("[ \t\r\n]", "", data).encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise FunctionError(f"The function '{function}' was given something else than base 64.") from error


def base64_to_string(value: Value, function: str = "base64ToString") -> str:
    """Decoded text."""
    return decoded(text(value, function), function).decode(errors="replace")


def _ends(name: str, test: Callable[[str, str], bool]) -> Callable[[Value, Value], bool]:
    """Whether a string begins or ends with another, in any case."""
    return lambda value, part: test(upper(text(value, name)), upper(text(part, name, 2)))


def _of_texts(name: str, make: Callable[..., str]) -> Callable[..., str]:
    return lambda *parts: make(*(text(part, name, position) for position, part in enumerate(parts, 1)))


def _encoded(value: Value) -> str:
    return base64.b64encode(utf8(text(value, "base64"))).decode()


STRING_FUNCTIONS: Group = {
    "base64": (_encoded, 1, 1),
    "base64tojson": (lambda value: parse_json(base64_to_string(value, "base64ToJson"), "base64ToJson"), 1, 1),
    "base64tostring": (base64_to_string, 1, 1),
    "endswith": (_ends("endsWith", str.endswith), 2, 2),
    "format": (format_text, 1, None),
    "guid": (_of_texts("guid", guid), 1, None),
    "join": (join, 2, 2),
    "json": (parse_json, 1, 1),
    "padleft": (pad_left, 2, 3),
    "replace": (replace, 3, 3),
    "split": (split, 2, 2),
    "startswith": (_ends("startsWith", str.startswith), 2, 2),
    "string": (to_string, 1, 1),
    "substring": (substring, 2, 3),
    "tolower": (lambda value: lower(text(value, "toLower")), 1, 1),
    "toupper": (lambda value: upper(text(value, "toUpper")), 1, 1),
    "trim": (lambda value: text(value, "trim").strip(WHITE_SPACE), 1, 1),
    "uniquestring": (_of_texts("uniqueString", unique_string), 1, None),
}
