"""Since when this replica runs, and about what that came to, for the person at the chat page.

A deploy leaves what an hour costs on the share, with the revision that it is for: a price of another size of replica
would be a guess. Where it left none (no price is known, or this computer), only the time is told.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRICE = ".aitk/price.json"
STARTED = "AITK_STARTED"
"""When `start.py` began, in seconds since 1970: the container's first moment that the app can know."""


@dataclass(frozen=True)
class Price:
    """What an hour of a replica of one revision costs, by a list of that date."""

    hourly: float
    currency: str
    date: str


def running_cost(share: Path, environment: Mapping[str, str], now: datetime) -> str:
    """Since when this replica runs, and about what that came to, in a sentence; empty where its start is not known."""
    since = _started(environment)
    if since is None or since > now:
        return ""
    ran = now - since
    said = f"This replica has run since {since:%Y-%m-%d %H:%M} UTC ({_in_words(ran)})"
    price = _price(share, environment.get("CONTAINER_APP_REVISION") or "")
    if price is None:
        return f"{said}."
    about = _amount(ran / timedelta(hours=1) * price.hourly, price.currency)
    return f"{said}: about {about} ({_amount(price.hourly, price.currency)} an hour, list of {price.date})."


def _started(environment: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(environment[STARTED]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _price(share: Path, revision: str) -> Price | None:
    """The price of that revision's replicas; None where the share has none, or none that can be read."""
    try:
        told: dict[str, Any] = json.loads((share / PRICE).read_text("utf-8"))
        if not revision or told["revision"] != revision:
            return None
        price = Price(float(told["hourly"]), str(told["currency"]), str(told["listDate"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return price if 0 <= price.hourly < math.inf else None


def _amount(amount: float, currency: str) -> str:
    """Two decimals, or two digits that say something where it is less than a hundredth."""
    return f"{amount:.2f} {currency}" if amount >= 0.01 or not amount else f"{amount:.2g} {currency}"  # noqa: PLR2004 - see above


def _in_words(time: timedelta) -> str:
    minutes = int(time / timedelta(minutes=1))
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
