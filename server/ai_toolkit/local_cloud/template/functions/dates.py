"""Date functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-date
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from ai_toolkit.local_cloud.template.functions.date_format import DAYS, MONTHS, written
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
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(Z?)", re.ASCII)
# What .NET reads as a date without a language: year, or month, first; a month's name before or after the day.
_DATES: Final = tuple(
    re.compile(rf"\s*(?:(?P<weekday>[a-z]+),?\s+)?{form}", re.IGNORECASE | re.ASCII)
    for form in (
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?(?!\d)",
        r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4}|\d{2})(?!\d)",
        r"(?P<month>[a-z]{3,9})\s+(?P<day>\d{1,2})(?:,\s*|\s+)(?P<year>\d{4})",
        r"(?P<day>\d{1,2})[\s-]+(?P<month>[a-z]{3,9})[\s,-]+(?P<year>\d{4})",
    )
)
_TIME: Final = re.compile(
    r"(?:[T\s]\s*(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.(?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>AM|PM))?)?"
    r"\s*(?:(?P<utc>Z|GMT)|(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?)?\s*",
    re.IGNORECASE | re.ASCII,
)
_NEWEST_SHORT_YEAR: Final = 49  # two digits above it stand for a year of the last century
_HALF_A_DAY: Final = 12


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
        for form in _DATES:
            day = form.match(value)
            time = _TIME.fullmatch(value, day.end()) if day else None
            if day and time:
                return _moment(_day(day), time)
    except (ValueError, OverflowError) as error:
        raise FunctionError(f"The function '{function}' cannot read '{value}' as an ISO 8601 date.") from error
    raise FunctionError(f"The function '{function}' cannot read '{value}' as an ISO 8601 date.")


def _day(found: re.Match[str]) -> date:
    """The day that the match names. Raises ValueError for one that no calendar has, or on another day of the week."""
    year = int(found["year"])
    if len(found["year"]) == 2:  # noqa: PLR2004  # digits
        year += 2000 if year <= _NEWEST_SHORT_YEAR else 1900
    month = int(found["month"]) if found["month"].isdecimal() else _named(found["month"], MONTHS) + 1
    day = date(year, month, int(found["day"] or 1))
    if found["weekday"] and _named(found["weekday"], DAYS) != day.weekday():
        raise ValueError(found["weekday"])
    return day


def _named(given: str, names: Sequence[str]) -> int:
    """The place of a name, whole or its first three letters, in any case; ValueError for another."""
    wanted = given.lower()
    for place, name in enumerate(names):
        if wanted in {name.lower(), name[:3].lower()}:
            return place
    raise ValueError(given)


def _moment(day: date, found: re.Match[str]) -> datetime:
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    hour = int(found["hour"] or 0)
    if found["half"]:
        if not 1 <= hour <= _HALF_A_DAY:
            raise ValueError(found["hour"])
        hour = hour % _HALF_A_DAY + (_HALF_A_DAY if found["half"].upper() == "PM" else 0)
    return datetime(
        day.year,
        day.month,
        day.day,
        hour,
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
