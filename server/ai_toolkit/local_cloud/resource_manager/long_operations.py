"""What Azure does not do at once: how long it takes, how its answers say so, and where it is polled.

Everything here was seen in recorded answers unless it says otherwise. Times are Azure's; `Pace` turns them into ours.
"""

import math
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, Flag, auto
from typing import Final

TICKS_OF_1970: Final = 621_355_968_000_000_000  # of 100 ns, from the year 1 on, as the `t` of a polling URL counts
OPAQUE_BYTES: Final = {"c": 2025, "s": 256, "h": 32}  # a polling URL has about 3,500 characters


class Polled(Flag):
    """What the first answer names: the operation's status (`Azure-AsyncOperation`) or its result (`Location`)."""

    STATUS = auto()
    RESULT = auto()
    ITSELF = auto()  # the resource, whose provisioningState tells


class When(Enum):
    """For which writes Azure takes its time; the others are done when they are answered."""

    ALWAYS = auto()
    CHANGED = auto()
    NEW = auto()


@dataclass(frozen=True)
class LongOperation:
    """One kind of write: Azure's time, the first answer's status and form, and what it names to be polled."""

    takes: timedelta
    polled: Polled
    status: int = 202
    has_body: bool = False
    when: When = When.ALWAYS
    asked_by: str = ""  # the query parameter without which it is done at once


@dataclass(frozen=True)
class LongOperations:
    """The long writes of a type; `statuses` and `results` are words in the path of the URLs that are polled."""

    statuses: str
    results: str
    again_after: timedelta = timedelta(seconds=15)
    put: LongOperation | None = None
    patch: LongOperation | None = None
    delete: LongOperation | None = None


@dataclass(frozen=True)
class Pace:
    """How many of our seconds stand for a minute of Azure's: 60 is its own time."""

    minute_seconds: float = 1.0

    def seconds(self, azures: timedelta) -> float:
        """Our time for Azure's."""
        return azures / timedelta(minutes=1) * self.minute_seconds

    def again_after(self, azures: timedelta) -> dict[str, str]:
        """The header that says when to ask again: Azure's `Retry-After`, in thousandths where no whole second is left.

        `Retry-After: 0` counts as absent, and makes the SDKs wait for half a minute.
        """
        seconds = self.seconds(azures)
        if seconds >= 1:
            return {"Retry-After": str(math.ceil(seconds))}
        return {"x-ms-retry-after-ms": str(max(1, round(seconds * 1000)))}


def polling_query(api_version: str, more: str = "") -> str:
    """The query of a polling URL as long as Azure's, which is signed; ours is not looked at."""
    ticks = TICKS_OF_1970 + time.time_ns() // 100
    opaque = "".join(f"&{name}={secrets.token_urlsafe(size)}" for name, size in OPAQUE_BYTES.items())
    return f"api-version={api_version}{more}&t={ticks}{opaque}"
