"""Quotas of Container Apps as Azure lists them, and which of them binds a workload profile's GPUs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_GPUS: Final = {"A100": ("A100",), "T4": ("T4",), "A10": ("A10", "NV6ADS")}
"""Word of a profile's type → what names of its quota have, longest first: A100 is not A10."""
_SERVERLESS: Final = "CONSUMPTION"
_GPUS_OF_A_NODE: Final = {"NC24-A100": 1, "NC48-A100": 2, "NC96-A100": 4}
"""Dedicated profiles: Azure lists them with so many GPUs (recorded)."""


@dataclass(frozen=True)
class Quota:
    """How many GPUs of a kind are used, and how many may be."""

    name: str
    used: int
    limit: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def read_usages(listed: Iterable[Mapping[str, Any]]) -> list[Quota] | None:
    """Of Azure's JSON; None for an empty list, which does not mean a quota of zero."""
    found = [
        Quota(str((one.get("name") or {}).get("value")), int(one.get("currentValue") or 0), int(one["limit"]))
        for one in listed
        if one.get("limit") is not None
    ]
    return found or None


def gpu_quota(profile_type: str, quotas: Iterable[Quota] | None) -> Quota | None:
    """The one of the profile's GPU with the least left; None where none is listed, or the profile has no GPU.

    Serverless and dedicated GPUs have quotas of their own: `SubscriptionConsumptionNCA100Gpus` is not
    `SubscriptionNCA100Gpus`.
    """
    gpu = next((gpu for gpu in _GPUS if gpu in profile_type.upper()), None)
    if gpu is None:
        return None
    is_serverless = _SERVERLESS in profile_type.upper()
    found = [one for one in quotas or () if _is_of(one.name.upper(), gpu) and is_serverless == _serverless(one.name)]
    return min(found, key=lambda one: one.left, default=None)


def is_dedicated_gpu(profile_type: str) -> bool:
    """Whether the profile has nodes with GPUs of its own."""
    return profile_type.upper() in _GPUS_OF_A_NODE


def node_quota(profile: str, profile_type: str, states: Iterable[Mapping[str, Any]]) -> Quota | None:
    """The GPUs of a dedicated profile's nodes, of the environment's `workloadProfileStates`.

    None for a serverless profile, which has no nodes, and where Azure does not count them. A node that runs counts as
    used: whether one of them is idle Azure does not tell.
    """
    gpus = _GPUS_OF_A_NODE.get(profile_type.upper())
    named = (one for one in states if str(one.get("name")).lower() == profile.lower())
    counts = next((one.get("properties") or {} for one in named), {})
    if gpus is None or counts.get("maximumCount") is None or counts.get("currentCount") is None:
        return None
    running, most = int(counts["currentCount"]), int(counts["maximumCount"])
    return Quota(f"nodes of the workload profile {profile}", running * gpus, most * gpus)


def least(*quotas: Quota | None) -> Quota | None:
    """The one that binds: with the least left; None where none is known."""
    return min((one for one in quotas if one is not None), key=lambda one: one.left, default=None)


def _is_of(name: str, gpu: str) -> bool:
    named = next((known for known, words in _GPUS.items() if any(word in name for word in words)), None)
    return named == gpu and "GPU" in name


def _serverless(name: str) -> bool:
    return _SERVERLESS in name.upper()
