"""JSON as .NET writes and reads it: what `string()` and `format()` show, and what `json()` finds in text."""

import re
from decimal import Decimal
from typing import Final

from ai_toolkit.local_cloud.core.relaxed_json import read_first
from ai_toolkit.local_cloud.template.functions.values import FunctionError, Value, text

_ESCAPES: Final = {
    "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r",
    "\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029",
}  # fmt: skip
_SPECIAL: Final = re.compile("[\\\\\x00-\x1f\u0085\u2028\u2029\"']")
_LONGEST_PLAIN: Final = 15  # digits before the point that are written out; more are written with an exponent
_SMALLEST_PLAIN: Final = -3


def written(value: Value, quote: str = '"') -> str:  # noqa: PLR0911  # one for each type
    """Compact JSON, with strings in these quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote + _SPECIAL.sub(lambda match: _escaped(match[0], quote), value) + quote
    if isinstance(value, list):
        return f"[{','.join(written(item, quote) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(key, quote)}:{written(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        plain = number_text(value)
        return plain if re.search("[.E]", plain) else f"{plain}.0"
    return str(value)


def _escaped(character: str, quote: str) -> str:
    if character in "\"'":
        return f"\\{character}" if character == quote else character
    return _ESCAPES.get(character, f"\\u{ord(character):04x}")


def number_text(value: float) -> str:
    """A number with a fraction in .NET's shortest form: 1.5, 1E+16, 1E-05."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        return {"F": "∞", "n": "NaN"}[exponent] if not sign else "-∞"
    significant = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent if significant != "0" else 1  # digits before the decimal point
    minus = "-" if sign else ""
    if not _SMALLEST_PLAIN <= point <= _LONGEST_PLAIN:
        fraction = f".{significant[1:]}" if len(significant) > 1 else ""
        return f"{minus}{significant[0]}{fraction}E{'+' if point > 0 else '-'}{abs(point - 1):02d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{significant}"
    before, after = significant[:point].ljust(point, "0"), significant[point:]
    return f"{minus}{before}.{after}" if after else f"{minus}{before}"


def shown(value: Value, quote: str = '"') -> str:
    """What a value looks like inside text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    return number_text(value) if isinstance(value, float) else written(value, quote)


def parse_json(value: Value, function: str = "json") -> Value:
    """`json()`."""
    try:
        return read_first(text(value, function))
    except ValueError as error:
        raise FunctionError(f"The function '{function}' was given text that is no JSON: {error}.") from error
