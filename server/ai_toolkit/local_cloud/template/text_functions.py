"""String functions of ARM templates, on values that are already evaluated."""

import base64
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from ai_toolkit.local_cloud.template.unique_string import guid, unique_string

Value = Any  # a JSON value
LONGEST_TEXT = 131_072  # more than a parameter or a template's value may have on Azure


class FunctionError(Exception):
    """A template function was given what it cannot use."""


def text(value: Value, function: str) -> str:
    """The value if it is a string."""
    if not isinstance(value, str):
        raise FunctionError(f"The function '{function}' expects a string, not {kind(value)}.")
    return value


def integer(value: Value, function: str) -> int:
    """The value if it is an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FunctionError(f"The function '{function}' expects an integer, not {kind(value)}.")
    return value


def kind(value: Value) -> str:
    """The value's type, in the words of templates."""
    names = {str: "a string", bool: "a boolean", int: "an integer", list: "an array", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a number")


def to_string(value: Value) -> str:
    """`string()`: what a value looks like inside text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _width(width: int, function: str) -> int:
    if abs(width) > LONGEST_TEXT:
        raise FunctionError(f"The function '{function}' makes text of at most {LONGEST_TEXT} characters.")
    return width


_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\d+)(?:,(-?\d+))?(?::([^}]*))?\}")


def format_text(template: Value, *arguments: Value) -> str:
    """`format()`: .NET's composite format, with widths and D, N, X and 0 number formats."""

    def replace(match: re.Match[str]) -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        index = int(match[1])
        if index >= len(arguments):
            raise FunctionError(f"The function 'format' has no argument for '{match[0]}'.")
        shown = _formatted(arguments[index], match[3])
        width = _width(int(match[2] or 0), "format")
        return shown.rjust(width) if width >= 0 else shown.ljust(-width)

    return _PLACEHOLDER.sub(replace, text(template, "format"))


def _formatted(value: Value, form: str | None) -> str:
    if not form or not isinstance(value, int) or isinstance(value, bool):
        return to_string(value)
    code, digits = form[0].upper(), form[1:]
    if digits.isdigit():
        _width(int(digits), "format")
    if code == "D" and digits.isdigit():
        return f"{value:0{int(digits)}d}"
    if code == "X" and (digits.isdigit() or not digits):
        shown = f"{value:0{int(digits or 0)}x}"
        return shown if form[0] == "x" else shown.upper()
    if code == "N":
        return f"{value:,.{int(digits or 2)}f}"
    if set(form) == {"0"}:
        return f"{value:0{len(form)}d}"
    raise FunctionError(f"The local cloud does not know the format '{form}'.")


def substring(value: Value, start: Value, length: Value = None) -> str:
    """Part of a string; outside of it is an error, as in .NET."""
    whole, first = text(value, "substring"), integer(start, "substring")
    size = len(whole) - first if length is None else integer(length, "substring")
    if first < 0 or size < 0 or first + size > len(whole):
        raise FunctionError(
            "The function 'substring' was asked for a part outside of the string "
            f"(start {first}, length {size}, of {len(whole)})."
        )
    return whole[first : first + size]


def split(value: Value, separators: Value) -> list[str]:
    """Parts between any of the separators."""
    found = [separators] if isinstance(separators, str) else separators
    if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
        raise FunctionError("The function 'split' expects a string or an array of strings as separators.")
    return re.split("|".join(re.escape(item) for item in found), text(value, "split")) if found else [value]


def join(values: Value, separator: Value) -> str:
    """Strings, one after the other."""
    if not isinstance(values, list):
        raise FunctionError(f"The function 'join' expects an array, not {kind(values)}.")
    return text(separator, "join").join(to_string(value) for value in values)


def pad_left(value: Value, width: Value, fill: Value = " ") -> str:
    """A string at least so wide."""
    filler = text(fill, "padLeft")
    if len(filler) != 1:
        raise FunctionError("The function 'padLeft' fills with one character.")
    return to_string(value).rjust(_width(integer(width, "padLeft"), "padLeft"), filler)


def base64_to_string(value: Value) -> str:
    """Decoded text."""
    try:
        return base64.b64decode(text(value, "base64ToString"), validate=True).decode()
    except ValueError as error:
        raise FunctionError("The function 'base64ToString' was given something else than base 64.") from error


def parse_json(value: Value) -> Value:
    """`json()`."""
    try:
        return json.loads(text(value, "json"))
    except ValueError as error:
        raise FunctionError(f"The function 'json' was given invalid JSON: {error}.") from error


def data_uri_to_string(value: Value) -> str:
    """What a data URI holds, as text."""
    head, comma, data = text(value, "dataUriToString").partition(",")
    if not head.startswith("data:") or not comma:
        raise FunctionError("The function 'dataUriToString' expects a data URI.")
    try:
        return base64.b64decode(data).decode() if head.endswith(";base64") else urllib.parse.unquote(data)
    except ValueError as error:
        raise FunctionError("The function 'dataUriToString' was given something else than base 64.") from error


def _uri(base: Value, relative: Value) -> str:
    first = text(base, "uri")
    return urllib.parse.urljoin(first if first.endswith("/") else f"{first}/", text(relative, "uri"))


def _index(name: str, found: Callable[[str, str], int]) -> Callable[..., int]:
    """Where a part is in a string, in any case, or an item in an array; -1 where it is not."""

    def index(value: Value, part: Value) -> int:
        if isinstance(value, list):
            at = [place for place, item in enumerate(value) if type(item) is type(part) and item == part]
            return (at[0] if name == "indexOf" else at[-1]) if at else -1
        return found(text(value, name).lower(), text(part, name).lower())

    return index


# name in lower case: (function, fewest arguments, most arguments or None)
TEXT_FUNCTIONS: dict[str, tuple[Callable[..., Value], int, int | None]] = {
    "base64": (lambda v: base64.b64encode(text(v, "base64").encode()).decode(), 1, 1),
    "base64tojson": (lambda v: parse_json(base64_to_string(v)), 1, 1),
    "base64tostring": (base64_to_string, 1, 1),
    "datauri": (
        lambda v: "data:text/plain;charset=utf8;base64," + base64.b64encode(to_string(v).encode()).decode(), 1, 1,
    ),
    "datauritostring": (data_uri_to_string, 1, 1),
    "endswith": (lambda v, e: text(v, "endsWith").lower().endswith(text(e, "endsWith").lower()), 2, 2),
    "format": (format_text, 1, None),
    "guid": (lambda *parts: guid(*(to_string(part) for part in parts)), 1, None),
    "indexof": (_index("indexOf", str.find), 2, 2),
    "join": (join, 2, 2),
    "json": (parse_json, 1, 1),
    "lastindexof": (_index("lastIndexOf", str.rfind), 2, 2),
    "padleft": (pad_left, 2, 3),
    "replace": (lambda v, a, b: text(v, "replace").replace(text(a, "replace"), text(b, "replace")), 3, 3),
    "split": (split, 2, 2),
    "startswith": (lambda v, s: text(v, "startsWith").lower().startswith(text(s, "startsWith").lower()), 2, 2),
    "string": (to_string, 1, 1),
    "substring": (substring, 2, 3),
    "tolower": (lambda v: text(v, "toLower").lower(), 1, 1),
    "toupper": (lambda v: text(v, "toUpper").upper(), 1, 1),
    "trim": (lambda v: text(v, "trim").strip(), 1, 1),
    "uniquestring": (lambda *parts: unique_string(*(text(part, "uniqueString") for part in parts)), 1, None),
    "uri": (_uri, 2, 2),
    "uricomponent": (lambda v: urllib.parse.quote(text(v, "uriComponent"), safe="!'()*-._~"), 1, 1),
    "uricomponenttostring": (lambda v: urllib.parse.unquote(text(v, "uriComponentToString")), 1, 1),
}  # fmt: skip
