"""Which revision gets a request: in single mode the latest that was ready, in multiple mode by weights.

Source: https://learn.microsoft.com/azure/container-apps/traffic-splitting
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject

WHOLE: Final = 100
_TARGET: Final = "properties.configuration.ingress.traffic"


@dataclass(frozen=True)
class TrafficShare:
    """A part of an app's requests; without a revision it is the latest's."""

    revision: str | None
    weight: int


def read_traffic(ingress: JsonObject) -> tuple[TrafficShare, ...]:
    """The shares of an ingress: all to the latest revision where it says nothing."""
    listed = ingress.get("traffic") or [{"latestRevision": True, "weight": WHOLE}]
    return tuple(
        TrafficShare(None if one.get("latestRevision") else one.get("revisionName"), one.get("weight") or 0)
        for one in listed
    )


def check_traffic(ingress: JsonObject) -> None:
    """Raise ArmError where weights do not make a whole, or a share names no revision."""
    listed = ingress.get("traffic") or []
    if any(not one.get("latestRevision") and not one.get("revisionName") for one in listed):
        raise ArmError(
            "ContainerAppTrafficRevisionNameMissing",
            "Each traffic weight needs a 'revisionName' or 'latestRevision'.",
            target=_TARGET,
        )
    total = sum(one.get("weight") or 0 for one in listed)
    if listed and total != WHOLE:
        raise ArmError(
            "ContainerAppInvalidTrafficWeight",
            f"The traffic weights sum up to {total}, not to {WHOLE}.",
            target=_TARGET,
        )


def weights_of(shares: Sequence[TrafficShare], latest: str | None, active: Sequence[str]) -> dict[str, int]:
    """The weight of each active revision that gets requests."""
    found: dict[str, int] = {}
    for share in shares:
        name = share.revision or latest
        if name is not None and name in active and share.weight:
            found[name] = found.get(name, 0) + share.weight
    return found


def choose(weights: Mapping[str, int]) -> str | None:
    """A revision, drawn by weight; None where none gets requests."""
    left = secrets.randbelow(sum(weights.values())) if weights else 0
    for name, weight in weights.items():
        if left < weight:
            return name
        left -= weight
    return None
