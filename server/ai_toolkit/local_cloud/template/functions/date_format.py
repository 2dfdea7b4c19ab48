"""Moments in .NET's standard and custom formats, without a language: `o`, `R`, `yyyy-MM-dd HH:mm:ss`.

Source: https://learn.microsoft.com/dotnet/standard/base-types/custom-date-and-time-format-strings
No library on the package index reads them.
"""

import re
from datetime import datetime
from typing import Final

from ai_toolkit.local_cloud.template.functions.values import FunctionError

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAY: Final = "dddd, dd MMMM yyyy"
_RFC1123: Final = "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'"
_ROUND_TRIP: Final = "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffzzz"
STANDARD: Final = {
    "d": "MM/dd/yyyy", "D": _DAY, "f": f"{_DAY} HH:mm", "F": f"{_DAY} HH:mm:ss", "g": "MM/dd/yyyy HH:mm",
    "G": "MM/dd/yyyy HH:mm:ss", "m": "MMMM dd", "M": "MMMM dd", "o": _ROUND_TRIP, "O": _ROUND_TRIP, "r": _RFC1123,
    "R": _RFC1123, "s": "yyyy'-'MM'-'dd'T'HH':'mm':'ss", "t": "HH:mm", "T": "HH:mm:ss",
    "u": "yyyy'-'MM'-'dd HH':'mm':'ss'Z'", "y": "yyyy MMMM", "Y": "yyyy MMMM",
}  # fmt: skip
_PART: Final = re.compile(
    r"""(?P<quoted>'[^']*'|"[^"]*")|\\(?P<escaped>.)|%(?P<single>[dfFgHhKmMstyz:/])"""
    r"""|(?P<part>d+|f+|F+|g+|H+|h+|K|m+|M+|s+|t+|y+|z+)|(?P<wrong>['"\\%])|(?P<other>.)""",
    re.DOTALL,
)
_MOST_FRACTION_DIGITS: Final = 7


def written(moment: datetime, form: str, function: str) -> str:
    """The moment (in UTC) in that format; FunctionError for one that .NET does not know."""
    if not form:
        form = STANDARD["G"] + " zzz"
    if len(form) == 1:
        if form not in STANDARD:
            raise FunctionError(f"The function '{function}' has no date format '{form}'.")
        form = STANDARD[form]

    def replace(match: re.Match[str]) -> str:
        if match["quoted"]:
            return match["quoted"][1:-1]
        if match["escaped"]:
            return match["escaped"]
        if match["wrong"]:
            raise FunctionError(f"The function '{function}' cannot read the date format '{form}'.")
        part = match["single"] or match["part"]
        return _part(moment, part, form, function) if part else match["other"]

    found = _PART.sub(replace, form)
    # A point before F's that leave nothing goes with them.
    return found.replace(".\0", "").replace("\0", "")


def _part(moment: datetime, part: str, form: str, function: str) -> str:  # noqa: PLR0911  # one for each letter
    count = len(part)
    match part[0]:
        case "d" if count > 2:  # noqa: PLR2004  # the day's name
            name = DAYS[moment.weekday()]
            return name[:3] if count == 3 else name  # noqa: PLR2004
        case "M" if count > 2:  # noqa: PLR2004  # the month's name
            name = MONTHS[moment.month - 1]
            return name[:3] if count == 3 else name  # noqa: PLR2004
        case "y":
            return f"{moment.year % 100:0{count}d}" if count < 3 else f"{moment.year:0{count}d}"  # noqa: PLR2004
        case "f" | "F":
            if count > _MOST_FRACTION_DIGITS:
                raise FunctionError(f"The function '{function}' cannot read the date format '{form}'.")
            digits = f"{moment.microsecond:06d}0"[:count]
            return digits if part[0] == "f" else digits.rstrip("0") or "\0"
        case "t":
            return ("AM" if moment.hour < 12 else "PM")[:count]  # noqa: PLR2004  # noon
        case "z":
            return {1: "+0", 2: "+00"}.get(count, "+00:00")
        case "K":
            return "+00:00"
        case "g":
            return "A.D."
    number = {
        "d": moment.day, "M": moment.month, "H": moment.hour, "h": moment.hour % 12 or 12, "m": moment.minute,
        "s": moment.second,
    }.get(part[0])  # fmt: skip
    return part if number is None else f"{number:0{min(count, 2)}d}"
