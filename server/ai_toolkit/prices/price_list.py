"""The list of prices: the one in this package, or a newer one in the user's data folder."""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Final

import platformdirs

from ai_toolkit.workspace.workspace import write_atomically

log = logging.getLogger(__name__)

VCPU: Final = "Standard vCPU Active Usage"
MEMORY: Final = "Standard Memory Active Usage"
GPU_METERS: Final[Mapping[str, str]] = {
    "Consumption-GPU-NC8as-T4": "Standard NC T4 v3 GPU Usage",
    "Consumption-GPU-NC24-A100": "Standard NC A100 v4 GPU Usage",
}
"""By workload profile type, the meter of its GPU; a replica's vCPUs and memory are billed beside it.

Source: https://azure.microsoft.com/pricing/details/container-apps (serverless GPUs are added to vCPU and memory).
"""
METERS: Final = frozenset({VCPU, MEMORY, *GPU_METERS.values()})
_SECONDS: Final = {"second": 1, "hour": 3600}
_UNIT: Final = re.compile(r"(\d+)\s+(?:GiB\s+)?(second|hour)s?", re.IGNORECASE)


class OtherForm(ValueError):
    """A list of prices that is not of the known form; says what is wrong with it."""


@dataclass(frozen=True)
class Hourly:
    """What a replica costs for an hour, and the date of the list that says so."""

    amount: float
    currency: str
    date: str

    def in_words(self) -> str:
        return f"{amount_in_words(self.amount, self.currency)} an hour"


@dataclass(frozen=True)
class Price:
    """A meter's price in a region, in the words of Azure's retail prices API."""

    region: str
    meter: str
    unit: str
    amount: float

    @property
    def an_hour(self) -> float:
        """The price of an hour, for one vCPU, GiB or GPU. Raises OtherForm for a unit that is no time."""
        found = _UNIT.fullmatch(self.unit.strip())
        if found is None or int(found[1]) == 0:
            raise OtherForm(f"{self.meter} is priced by {self.unit!r}, which is no time")
        return self.amount / int(found[1]) / _SECONDS[found[2].lower()] * 3600

    @classmethod
    def read(cls, row: object) -> "Price":
        """Of one row of JSON. Raises OtherForm."""
        if not isinstance(row, Mapping):
            raise OtherForm("a price is no object")
        region, meter, unit = (row.get(name) for name in ("armRegionName", "meterName", "unitOfMeasure"))
        amount = row.get("retailPrice")
        if not isinstance(region, str) or not isinstance(meter, str) or not isinstance(unit, str):
            raise OtherForm("a price has no armRegionName, meterName and unitOfMeasure")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
            raise OtherForm(f"the retailPrice of {meter} is no amount")
        price = cls(region, meter, unit, float(amount))
        _ = price.an_hour
        return price

    def as_json(self) -> dict[str, Any]:
        return {
            "armRegionName": self.region,
            "meterName": self.meter,
            "unitOfMeasure": self.unit,
            "retailPrice": self.amount,
        }


@dataclass(frozen=True)
class PriceList:
    """Prices of one day; `source` says where they were read. An empty one gives no price at all."""

    date: str
    source: str
    currency: str
    prices: tuple[Price, ...]

    def hourly(self, profile_type: str, region: str, vcpus: float, memory_gib: float) -> Hourly | None:
        """An hour of a replica of that size; None for what the list does not price, dedicated profiles among it."""
        gpu = GPU_METERS.get(profile_type)
        plain = region.replace(" ", "").lower()
        found = {one.meter: one.an_hour for one in self.prices if one.region == plain}
        if gpu not in found or VCPU not in found or MEMORY not in found:
            return None
        return Hourly(found[gpu] + vcpus * found[VCPU] + memory_gib * found[MEMORY], self.currency, self.date)

    def regions(self, profile_type: str) -> tuple[str, ...]:
        """Where the list prices the profile, in alphabetical order."""
        return tuple(sorted({one.region for one in self.prices if one.meter == GPU_METERS.get(profile_type)}))

    @classmethod
    def read(cls, text: str) -> "PriceList":
        """Of a file's text. Raises OtherForm."""
        try:
            document = json.loads(text)
            day = date.fromisoformat(document["date"]).isoformat()
            source, currency, rows = document["source"], document["currency"], document["prices"]
        except (ValueError, TypeError, LookupError) as error:
            raise OtherForm('{"date": …, "source": …, "currency": …, "prices": [ … ]} is expected') from error
        if not isinstance(source, str) or not isinstance(currency, str) or not isinstance(rows, list):
            raise OtherForm("source and currency are texts, prices is a list")
        return cls(day, source, currency, tuple(map(Price.read, rows)))

    def write(self) -> None:
        """Puts it into the user's data folder, in place of the one there. Raises OSError."""
        document = {
            "date": self.date,
            "source": self.source,
            "currency": self.currency,
            "prices": [one.as_json() for one in self.prices],
        }
        write_atomically(own_path(), json.dumps(document, indent=1) + "\n")


def own_path() -> Path:
    """The user's own list, which `aitk prices --refresh` writes."""
    return platformdirs.user_data_path("ai-toolkit") / "prices.json"


def price_list() -> PriceList:
    """The newer of the list in this package and the user's own; one that cannot be read counts for nothing."""
    found = [shipped()]
    try:
        found.append(PriceList.read(own_path().read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("%s is not read: %s", own_path(), error)
    return max(reversed(found), key=lambda one: one.date)


def shipped() -> PriceList:
    """The list in this package."""
    return PriceList.read(resources.files("ai_toolkit.prices").joinpath("prices.json").read_text(encoding="utf-8"))


def newest(rows: Iterable[tuple[Mapping[str, Any], Price]]) -> tuple[Price, ...]:
    """One price for each region and meter: the latest in force and, of its tiers, the one that a lasting use pays."""
    best: dict[tuple[str, str], tuple[tuple[str, float], Price]] = {}
    for row, price in rows:
        tier = row.get("tierMinimumUnits")
        rank = (str(row.get("effectiveStartDate") or ""), float(tier) if isinstance(tier, int | float) else 0.0)
        key = (price.region, price.meter)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, price)
    return tuple(price for _rank, price in best.values())


def amount_in_words(amount: float, currency: str) -> str:
    """Two decimals, or two digits that say something where it is less than a hundredth."""
    return f"{amount:.2f} {currency}" if amount >= 0.01 or not amount else f"{amount:.2g} {currency}"  # noqa: PLR2004
