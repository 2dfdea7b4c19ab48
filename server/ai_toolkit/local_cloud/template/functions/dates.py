"""Date functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-date
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final

from ai_toolkit.local_cloud.template.functions.date_format import written
from ai_toolkit.local_cloud.template.functions.values import NOT_GIVEN, FunctionError, Group, Value, integer, text

DAYS_OF_A_YEAR: Final = 365  # in a duration, as XML Schema is read by .NET
DAYS_OF_A_MONTH: Final = 30
SECONDS_ONLY: Final = "yyyy-MM-ddTHH:mm:ssZ"
# XML Schema's duration, which has no weeks: isodate and its like read more than Azure does.
_DURATION: Final = re.compile(
    r"\s*(?P<sign>-?)P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d*)?)S)?)?\s*",
    re.ASCII,
)
_MOMENT: Final = re.compile(
    r"\s*(?P<year>\d{4})-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?"
    r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,9}))?)?)?"
    r"\s*(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?)?\s*",
    re.IGNORECASE | re.ASCII,
)
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(Z?)", re.ASCII)
_SLASHES_YEAR_FIRST: Final = re.compile(
    r"\s*(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})(?P<time>\s.*)?", re.ASCII
)
_SLASHES: Final = re.compile(r"\s*(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?P<time>\s.*)?", re.ASCII)


def utc_now(form: Value = "yyyyMMddTHHmmssZ") -> str:
    """The time now in one of .NET's formats."""
    return written(datetime.now(UTC), text(form, "utcNow"), "utcNow")


def add(base: Value, duration: Value, form: Value = NOT_GIVEN) -> str:
    """A moment moved by an ISO 8601 duration, in ISO 8601 or one of .NET's formats."""
    moment, moved_by = _read(text(base, "dateTimeAdd"), "dateTimeAdd"), text(duration, "dateTimeAdd", 2)
    found = _DURATION.fullmatch(moved_by)
    if found is None or not any(value for name, value in found.groupdict().items() if name != "sign"):
        raise FunctionError(f"The function 'dateTimeAdd' cannot read the ISO 8601 duration '{moved_by}'.")
    number = {name: float(value or 0) for name, value in found.groupdict().items() if name != "sign"}
    try:
        by = timedelta(
            days=number["years"] * DAYS_OF_A_YEAR + number["months"] * DAYS_OF_A_MONTH + number["days"],
            hours=number["hours"],
            minutes=number["minutes"],
            seconds=number["seconds"],
        )
        moved = moment - by if found["sign"] else moment + by
    except OverflowError as error:
        raise FunctionError("The function 'dateTimeAdd' leaves the calendar.") from error
    return written(moved, SECONDS_ONLY if form is NOT_GIVEN else text(form, "dateTimeAdd", 3), "dateTimeAdd")


def from_epoch(seconds: Value) -> str:
    """ISO 8601 of so many seconds since 1970."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=integer(seconds, "dateTimeFromEpoch"))
    except OverflowError as error:
        raise FunctionError(f"The function 'dateTimeFromEpoch' leaves the calendar with {seconds}.") from error
    return written(moment, SECONDS_ONLY, "dateTimeFromEpoch")


def to_epoch(value: Value) -> int:
    """Whole seconds since 1970 of a moment."""
    moment = _read(text(value, "dateTimeToEpoch"), "dateTimeToEpoch")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def _read(value: str, function: str) -> datetime:
    """The moment in UTC; FunctionError for text that .NET reads as none."""
    try:
        if (compact := _COMPACT.fullmatch(value)) is not None:
            return datetime(*(int(part) for part in compact.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type,misc]
        if (slashes := _SLASHES.fullmatch(value) or _SLASHES_YEAR_FIRST.fullmatch(value)) is not None:
            year, month, day = (int(slashes[name]) for name in ("year", "month", "day"))
            value = f"{year:04d}-{month:02d}-{day:02d}{slashes['time'] or ''}"
        if (found := _MOMENT.fullmatch(value)) is not None:
            return _moment(found)
        return parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FunctionError(f"The function '{function}' cannot read '{value}' as an ISO 8601 date.") from error


def _moment(found: re.Match[str]) -> datetime:
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    return datetime(
        int(found["year"]),
        int(found["month"]),
        int(found["day"] or 1),
        int(found["hour"] or 0),
        int(found["minute"] or 0),
        int(found["second"] or 0),
        int((found["fraction"] or "0").ljust(6, "0")[:6]),
        tzinfo=timezone(-offset if found["sign"] == "-" else offset),
    ).astimezone(UTC)


DATE_FUNCTIONS: Group = {
    "datetimeadd": (add, 2, 3),
    "datetimefromepoch": (from_epoch, 1, 1),
    "datetimetoepoch": (to_epoch, 1, 1),
}
