"""Since when replicas run, about what that came to, and what to say where one is billed for nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ai_toolkit.prices.price_list import Hourly, amount_in_words, price_list
from ai_toolkit.two_faces import Do, to

_BY_FAR: Final = 12
"""How many times its idle time a replica runs before that is told."""
_AT_LEAST: Final = timedelta(hours=1)
_COOLDOWN_SECONDS: Final = 300
_SMALLEST_UNITS: Final = {"gi": 1.0, "mi": 1 / 1024, "g": 1.0, "": 1.0}


@dataclass(frozen=True)
class Running:
    """The replicas that run: when each began, what each costs an hour (None without a price), and when it would end.

    `always` is how many run although nobody asks. On this computer (`local`) nothing is billed.
    """

    started: tuple[datetime, ...] = ()
    hourly: Hourly | None = None
    always: int = 0
    idle: timedelta = timedelta(seconds=_COOLDOWN_SECONDS)
    local: bool = False

    def since(self) -> datetime | None:
        """When the first of them began."""
        return min(self.started, default=None)

    def amount(self, now: datetime) -> float | None:
        """About what they came to until now; None without a price."""
        if self.hourly is None or not self.started:
            return None
        hours = sum(max(timedelta(), now - one) / timedelta(hours=1) for one in self.started)
        return hours * self.hourly.amount

    def so_far(self, now: datetime) -> str:
        """About what they came to until now, in a few words."""
        amount = self.amount(now)
        if self.local:
            return "nothing on this computer"
        if amount is None or self.hourly is None:
            return "not in the list of prices"
        return f"about {amount_in_words(amount, self.hourly.currency)} until now, {self.hourly.in_words()} each"

    def in_words(self, now: datetime) -> str:
        """Since when, and about what that came to; empty where no replica is known to run."""
        since = self.since()
        if since is None:
            return ""
        who = "A replica has run" if len(self.started) == 1 else f"{len(self.started)} replicas run, the first"
        said = f"{who} since {since.astimezone().strftime('%Y-%m-%d %H:%M')} ({duration_in_words(now - since)})"
        amount = self.amount(now)
        if self.local:
            return f"{said}; on this computer nothing is billed."
        if amount is None or self.hourly is None:
            return f"{said}; what that costs is not in the list of prices ({to(Do.PRICES)})."
        about = amount_in_words(amount, self.hourly.currency)
        return f"{said}: about {about} ({self.hourly.in_words()} each, list of {self.hourly.date})."

    def warning(self, now: datetime) -> str:
        """One sentence about a replica that runs although nobody may be asking; empty where there is none."""
        since = self.since()
        if since is None:
            return ""
        if self.always:
            those = "a replica runs" if self.always == 1 else f"{self.always} replicas run"
            billed = "" if self.local else ", billed,"
            return f"minimumInstanceCount is {self.always}: {those}{billed} all the time, also while nobody asks."
        ran = now - since
        if ran < max(_AT_LEAST, _BY_FAR * self.idle):
            return ""
        idle = f"{self.idle.total_seconds():.0f} s"
        return (
            f"A replica has run for {duration_in_words(ran)} without a pause, although {idle} without a request "
            "would end it: something asks it all the time."
        )

    def as_json(self, now: datetime) -> dict[str, Any]:
        """What `--json` tells: the amount is null without a price."""
        since = self.since()
        return {
            "since": since.isoformat() if since else None,
            "amount": self.amount(now),
            "currency": self.hourly.currency if self.hourly else None,
            "hourly": self.hourly.amount if self.hourly else None,
            "listDate": self.hourly.date if self.hourly else None,
            "warning": self.warning(now),
        }


def hourly_of(profile_type: str, region: str, template: Mapping[str, Any]) -> Hourly | None:
    """What an hour of a replica costs by its containers' vCPUs and memory; None where no list says."""
    vcpus = memory = 0.0
    for container in template.get("containers") or ():
        given = container.get("resources") or {}
        vcpus += _number(given.get("cpu"))
        memory += _gib(given.get("memory"))
    return price_list().hourly(profile_type, region, vcpus, memory) if vcpus and memory else None


def running(
    started: tuple[datetime, ...], *, profile_type: str, region: str, template: Mapping[str, Any], local: bool
) -> Running:
    """Of an app's replicas, by when each began, its profile, and its template as Azure has it."""
    scale = template.get("scale") or {}
    cooldown = _number(scale.get("cooldownPeriod")) or _COOLDOWN_SECONDS
    hourly = None if local else hourly_of(profile_type, region, template)
    return Running(
        tuple(sorted(started)), hourly, int(_number(scale.get("minReplicas"))), timedelta(seconds=cooldown), local
    )


def duration_in_words(time: timedelta) -> str:
    """Days and hours, hours and minutes, or minutes."""
    minutes = max(0, int(time / timedelta(minutes=1)))
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _gib(value: object) -> float:
    text = str(value or "").strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return _number(digits) * _SMALLEST_UNITS.get(text[len(digits) :], 0.0)
