"""Proposes the cheapest GPU that a model fits, with the reason, what the next cheaper one would take, and the quota.

The table of regions is dated data; what the subscription is told live wins.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Final

from ai_toolkit.azure.quota import Quota, gpu_quota
from ai_toolkit.prices.price_list import PriceList
from ai_toolkit.provision.gpu_need import REPLICA_SIZES, SERVERLESS, Need

REQUEST_PAGE: Final = (
    "https://portal.azure.com/#view/Microsoft_Azure_Support/NewSupportRequestV4Blade"
    "/callerName/Quota/summary/Quota%20request"
)


@dataclass(frozen=True)
class Gpu:
    """A serverless profile: where the table says it is offered, and its quotas' names, the subscription's first."""

    type: str
    regions: tuple[str, ...]
    quotas: tuple[str, ...]

    @property
    def memory_gb(self) -> int:
        return SERVERLESS[self.type]


@dataclass(frozen=True)
class Region:
    """What a region tells live: the profiles that it offers and its quotas; None where Azure does not tell."""

    name: str
    profile_types: frozenset[str] | None = None
    quotas: tuple[Quota, ...] | None = None

    def has_gpus(self) -> bool:
        """Whether it is told that the subscription may use a GPU there."""
        told = (gpu_quota(kind, self.quotas) for kind in SERVERLESS)
        return any(one is not None and one.limit > 0 for one in told)


@dataclass(frozen=True)
class Proposal:
    """What is proposed: a profile in a region, None where nothing can be; and in words why, and what else there is."""

    profile_type: str | None
    region: str
    reason: str
    cheaper: str = ""
    request: tuple[str, ...] = ()

    def in_words(self) -> list[str]:
        lines = ["GPU:", f"    {self.reason}", *([f"    {self.cheaper}"] if self.cheaper else [])]
        return [*lines, *(f"    {line}" for line in self.request)]

    def differs(self, profile_type: str, region: str) -> bool:
        """Whether it is something else than what is planned."""
        return self.profile_type is not None and (self.profile_type, self.region) != (profile_type, _plain(region))


def table() -> tuple[str, tuple[Gpu, ...]]:
    """The table's date, and its GPUs, the cheapest first."""
    text = resources.files("ai_toolkit.provision").joinpath("gpus.json").read_text(encoding="utf-8")
    document = json.loads(text)
    gpus = tuple(Gpu(one["type"], tuple(one["regions"]), tuple(one["quotas"])) for one in document["gpus"])
    return document["date"], gpus


def propose(  # noqa: PLR0913  (the model, where it may run, what the cloud tells)
    need: Need | None,
    regions: Iterable[Region],
    prices: PriceList,
    *,
    replicas: int = 1,
    wanted: str = "",
    gpus: tuple[Gpu, ...] | None = None,
) -> Proposal | None:
    """The cheapest GPU that fits and has quota, in the first of the regions that offers it.

    `regions`: the wanted one first. `wanted`: the profile to stay with where the model's size is not known. None where
    nothing can be said: neither a size nor a wanted profile.
    """
    offers = _by_price(gpus if gpus is not None else table()[1], list(regions), prices)
    places = list(regions)
    fitting = [gpu for gpu in offers if (need.fits(gpu.memory_gb) if need is not None else gpu.type == wanted)]
    if need is None and not fitting:
        return None
    short: list[tuple[Gpu, Region]] = []
    for gpu in fitting:
        for region in places:
            if not _offers(region, gpu):
                continue
            if _left(region, gpu) == 0:
                short.append((gpu, region))
                continue
            reason = _reason(need, gpu, region, prices)
            asked = _missing(short, need, replicas)
            return Proposal(gpu.type, _plain(region.name), reason, _cheaper(need, gpu, offers), asked)
    where = ", ".join(one.name for one in places)
    if not fitting and need is not None:
        reason = f"No GPU of Container Apps holds {need.name}: {need.in_words()}."
        return Proposal(None, "", reason, _largest(need, offers))
    why = "has no GPU quota left" if short else "offers no GPU that it fits"
    asked = _missing(short, need, replicas)
    return Proposal(None, "", f"{where} {why} ({fitting[0].type}).", _cheaper(need, fitting[0], offers), asked)


def _by_price(gpus: Iterable[Gpu], regions: list[Region], prices: PriceList) -> list[Gpu]:
    """The cheapest first where the list prices them all in the first region; else as the table has them."""
    found = list(gpus)
    if not regions:
        return found
    costs = {}
    for gpu in found:
        hourly = prices.hourly(gpu.type, regions[0].name, *REPLICA_SIZES[gpu.type])
        if hourly is None:
            return found
        costs[gpu.type] = hourly.amount
    return sorted(found, key=lambda one: costs[one.type])


def _offers(region: Region, gpu: Gpu) -> bool:
    """What is told live, else what the table says."""
    if region.profile_types is not None:
        return gpu.type in region.profile_types
    return _plain(region.name) in gpu.regions


def _left(region: Region, gpu: Gpu) -> int | None:
    """GPUs that may still be used there by the quota's limit; None where no quota is told, which is not zero."""
    quota = gpu_quota(gpu.type, region.quotas)
    return None if quota is None else quota.limit


def _reason(need: Need | None, gpu: Gpu, region: Region, prices: PriceList) -> str:
    hourly = prices.hourly(gpu.type, region.name, *REPLICA_SIZES[gpu.type])
    price = f", about {hourly.in_words()}" if hourly is not None else ""
    place = f"{gpu.type} in {_plain(region.name)}{price}"
    if need is None:
        return f"{place} is offered; how large the model is cannot be seen here."
    return f"{place}, is the cheapest that {need.name} fits: {need.in_words()}, {gpu.memory_gb} GB on the GPU."


def _cheaper(need: Need | None, chosen: Gpu, offers: list[Gpu]) -> str:
    """What would have to change for the next cheaper one; empty where there is none."""
    before = offers[: offers.index(chosen)]
    if need is None or not before:
        return ""
    return _change(need, before[-1])


def _largest(need: Need, offers: list[Gpu]) -> str:
    return _change(need, max(offers, key=lambda one: one.memory_gb)) if offers else ""


def _change(need: Need, gpu: Gpu) -> str:
    if need.fits(gpu.memory_gb):
        return f"{gpu.type} would fit too, and has no quota or is not offered there."
    changed = need.changed_for(gpu.memory_gb)
    if changed is None:
        return f"Nothing makes it fit {gpu.type} ({gpu.memory_gb} GB)."
    return f"For {gpu.type} ({gpu.memory_gb} GB): {changed.keys_from(need)}, which makes {changed.in_words()}."


def _missing(short: list[tuple[Gpu, Region]], need: Need | None, replicas: int) -> tuple[str, ...]:
    """Which quota to ask for, by its exact name, where, and with which words."""
    if not short:
        return ()
    gpu, region = short[0]
    quota = gpu_quota(gpu.type, region.quotas)
    name = quota.name if quota is not None else gpu.quotas[0]
    spoken = _spaced(name)
    model = f"{need.name} ({need.in_words()})" if need is not None else "a fine-tuned language model"
    text = (
        f"Please raise {spoken} ({name}) in {_plain(region.name)} to {replicas}. We serve {model} on Azure Container "
        f"Apps with serverless GPUs ({gpu.type}), at most {replicas} at a time, none while idle."
    )
    return (
        f"Missing quota: {name} in {_plain(region.name)}, {quota.limit if quota else 0} now, {replicas} needed.",
        f"Ask for it at {REQUEST_PAGE}",
        f'    issue type "Service and subscription limits (quotas)", quota type "Container Apps", then "{spoken}".',
        f"Text of the request: {text}",
    )


def _spaced(name: str) -> str:
    """The name as the portal writes it, such as `Managed Environment Consumption NCA100 Gpus`."""
    words: list[str] = []
    for before, letter in zip(" " + name, name, strict=False):
        if letter.isupper() and not before.isupper():
            words.append("")
        if not words:
            words.append("")
        words[-1] += letter
    return " ".join(words)


def _plain(region: str) -> str:
    return region.replace(" ", "").lower()
