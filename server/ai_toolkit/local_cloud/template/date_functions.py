"""Date functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-date
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ai_toolkit.local_cloud.template.text_functions import FunctionError, integer, text

Value = Any  # a JSON value
MONTHS: Final = 12
DURATION: Final = re.compile(
    r"(?P<sign>-?)P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
COMPACT: Final = "%Y%m%dT%H%M%SZ"
UNIVERSAL: Final = "yyyy-MM-dd HH:mm:ssZ"
SECONDS_ONLY: Final = "yyyy-MM-ddTHH:mm:ssZ"
STANDARD: Final = {"d": "M/d/yyyy", "s": "yyyy-MM-ddTHH:mm:ss", "u": UNIVERSAL}
PARTS: Final = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S",
}  # fmt: skip


def utc_now(form: Value = "yyyyMMddTHHmmssZ") -> str:
    """The time now in one of .NET's formats."""
    return written(datetime.now(UTC), text(form, "utcNow"))


def add(base: Value, duration: Value, form: Value = None) -> str:
    """A moment moved by an ISO 8601 duration, written as the base was or in one of .NET's formats."""
    given = text(base, "dateTimeAdd")
    moment = _read(given, "dateTimeAdd")
    found = DURATION.fullmatch(text(duration, "dateTimeAdd"))
    if found is None or not any(found.groupdict()[name] for name in found.groupdict() if name != "sign"):
        raise FunctionError(f"The function 'dateTimeAdd' cannot read the duration '{duration}'.")
    number = {name: int(value or 0) for name, value in found.groupdict().items() if name != "sign"}
    sign = -1 if found["sign"] else 1
    moved = _months_later(moment, sign * (number["years"] * MONTHS + number["months"]))
    rest = timedelta(
        weeks=number["weeks"],
        days=number["days"],
        hours=number["hours"],
        minutes=number["minutes"],
        seconds=number["seconds"],
    )
    try:
        moved += sign * rest
    except OverflowError as error:
        raise FunctionError("The function 'dateTimeAdd' leaves the calendar.") from error
    return written(moved, text(form, "dateTimeAdd")) if form is not None else _as_given(moved, given)


def from_epoch(seconds: Value) -> str:
    """ISO 8601 of so many seconds since 1970."""
    try:
        moment = datetime.fromtimestamp(integer(seconds, "dateTimeFromEpoch"), UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise FunctionError("The function 'dateTimeFromEpoch' leaves the calendar.") from error
    return written(moment, SECONDS_ONLY)


def to_epoch(value: Value) -> int:
    """Seconds since 1970 of an ISO 8601 moment."""
    return int(_read(text(value, "dateTimeToEpoch"), "dateTimeToEpoch").timestamp())


def written(moment: datetime, form: str) -> str:
    """The moment in one of .NET's formats."""
    if form in {"o", "O"}:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    form = STANDARD.get(form, form)

    def replace(match: re.Match[str]) -> str:
        part = match[0]
        if part in PARTS:
            return moment.strftime(PARTS[part])
        singles = {"M": moment.month, "d": moment.day, "H": moment.hour, "m": moment.minute, "s": moment.second}
        return str(singles[part]) if part in singles else part

    return re.sub(r"yyyy|yy|MM|dd|HH|hh|mm|ss|[MdHms]", replace, form)


def _read(value: str, function: str) -> datetime:
    try:
        moment = (
            datetime.strptime(value, COMPACT).replace(tzinfo=UTC)
            if re.fullmatch(r"\d{8}T\d{6}Z", value)
            else datetime.fromisoformat(value)
        )
    except ValueError as error:
        raise FunctionError(f"The function '{function}' cannot read the date '{value}'.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _as_given(moment: datetime, given: str) -> str:
    if re.fullmatch(r"\d{8}T\d{6}Z", given):
        return moment.strftime(COMPACT)
    return written(moment, UNIVERSAL if " " in given else SECONDS_ONLY)


def _months_later(moment: datetime, months: int) -> datetime:
    """The same day of another month, or that month's last day."""
    year, month = divmod(moment.year * MONTHS + moment.month - 1 + months, MONTHS)
    for day in range(moment.day, 0, -1):
        try:
            return moment.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise FunctionError("The function 'dateTimeAdd' leaves the calendar.")


# name in lower case: (function, fewest arguments, most arguments or None)
DATE_FUNCTIONS: dict[str, tuple[Callable[..., Value], int, int | None]] = {
    "datetimeadd": (add, 2, 3),
    "datetimefromepoch": (from_epoch, 1, 1),
    "datetimetoepoch": (to_epoch, 1, 1),
}
