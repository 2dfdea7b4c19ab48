"""What a deployment would do, shown as a tree and agreed to before it is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

from ai_toolkit.azure.deployments import Change
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.comparison import in_words
from ai_toolkit.errors import Dismissed
from ai_toolkit.prices.price_list import Hourly
from ai_toolkit.provision.gpu_proposal import Proposal
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Line, Pick, Tone, Ui

PRICES: Final = "https://azure.microsoft.com/pricing/calculator/"
_DETAILS: Final = "details"


class Basis(Enum):
    """What a preview rests on; the value is its heading."""

    AZURE = "Preview (what Azure foresees; it may name changes that will not be):"
    TEMPLATE = "Preview (what the template makes in the new resource group; Azure cannot be asked before it exists):"
    NOTHING = "No preview: Azure does not say what would change"


class Answer(StrEnum):
    """What a person says to a preview."""

    PROVISION = "provision"
    ONLY_MY_ADDRESS = "only-my-address"
    PROPOSED_GPU = "proposed-gpu"


@dataclass(frozen=True)
class Preview:
    """The resources that would be created, changed, left as they are, and those that are not of the template."""

    create: tuple[Change, ...]
    modify: tuple[Change, ...]
    no_change: tuple[Change, ...]
    ignore: tuple[Change, ...]
    basis: Basis
    problem: str = ""
    """Why Azure does not tell, where the preview rests on nothing."""

    @property
    def unknown(self) -> bool:
        """Whether nobody could tell what would change."""
        return self.basis is Basis.NOTHING

    @property
    def heading(self) -> str:
        return f"{self.basis.value}: {self.problem}." if self.unknown else self.basis.value

    def may_change(self, resource: str) -> bool:
        """Whether the existing resource (`type/name`) is foreseen to change, or nobody could tell."""
        return self.unknown or any(one.id.lower().endswith(f"/{resource.lower()}") for one in self.modify)

    @classmethod
    def of(cls, changes: Iterable[Change], basis: Basis, problem: str = "") -> "Preview":
        """Sorted by what happens; what Azure cannot foresee (Deploy, Unsupported) counts as a change."""
        found = sorted(changes, key=lambda one: one.id.lower())

        def kind(*kinds: str) -> tuple[Change, ...]:
            return tuple(one for one in found if one.kind in kinds)

        return cls(
            create=kind("Create"),
            modify=tuple(one for one in found if one.kind not in {"Create", "NoChange", "NoEffect", "Ignore"}),
            no_change=kind("NoChange", "NoEffect"),
            ignore=kind("Ignore"),
            basis=basis,
            problem=problem,
        )

    def as_json(self) -> dict[str, Any]:
        """Resource ids by what would happen, in the shape of a Provision's result."""
        kinds = {"created": self.create, "updated": self.modify, "unchanged": self.no_change, "ignored": self.ignore}
        ids = {kind: [one.id for one in changes] for kind, changes in kinds.items()}
        return {"whatIf": True, "endpoint": None, **ids}

    def tree(self, *, details: bool) -> list[Line]:
        """Lines: what happens, its resources, and with `details` the properties that change."""
        lines = [Line(self.heading, Tone.PLAIN if self.create or self.modify or self.unknown else Tone.DETAIL)]
        for sign, word, changes, tone in (
            ("+", "create", self.create, Tone.GOOD),
            ("~", "change", self.modify, Tone.WARNING),
            ("=", "no change", self.no_change, Tone.DETAIL),
            ("*", "ignored, not of this template", self.ignore, Tone.DETAIL),
        ):
            if not changes:
                continue
            lines.append(Line(f"  {sign} {word}", tone))
            shown: list[str] = []
            for one in changes:
                above = next((each for each in reversed(shown) if one.id.lower().startswith(f"{each.lower()}/")), "")
                indent = " " * (10 if above else 6)
                lines.append(Line(f"{indent}{one.id[len(above) + 1 :] if above else _short(one.id)}", tone))
                shown.append(one.id)
                if details:
                    lines += [Line(f"{indent}    {in_words(each)}", tone) for each in one.properties]
        return lines


def what_is_billed(values: Mapping[str, Any], *, new_account: bool, hourly: Hourly | None = None) -> list[str]:
    """What costs money and when, in words; `hourly` is a replica's price, None where no list has it."""
    least, most = values.get("minimumInstanceCount"), values.get("maximumInstanceCount")
    replicas = f"at most {most} at a time" if isinstance(most, int) else "as many as the template allows"
    gpu = str(values.get("workloadProfileType") or "the template's GPU profile")
    if isinstance(least, int) and least == 0:
        seconds = values.get("cooldownSeconds", 300)
        idle = f"none runs while idle (after {seconds} s without a request), and then no GPU is billed"
    elif isinstance(least, int):
        idle = f"{least} of them run all the time, also while idle"
    else:
        idle = "how many run while idle is decided by the template"
    price = f"    A replica's price there is not in the list of prices here: {to(Do.PRICES)} fetches it from Azure."
    if hourly is not None:
        rest = "nothing while idle" if least == 0 else f"also while idle for {least} of them"
        if not isinstance(least, int):
            rest = "before what the subscription has for free"
        price = f"    That is about {hourly.in_words()} while a replica runs (list of {hourly.date}); {rest}."
    storage = "a storage account and its files" if new_account else "the files on the existing storage account"
    return [
        "What is billed:",
        f"    GPU replicas ({gpu}): per second while one runs, {replicas}; {idle}.",
        price,
        f"    {storage[0].upper()}{storage[1:]}: by what is stored and moved. Logs: by what is written.",
        f"    Prices change and differ by region: {PRICES}",
    ]


async def agree(ui: Ui, preview: Preview, *, offer_only_me: bool, proposed: Proposal | None = None) -> Answer:
    """What the person answers; shows the details as often as it is asked for. Raises Dismissed."""
    items = [Choice(Answer.PROVISION, "Provision", _summary(preview)), Choice(_DETAILS, "Show details")]
    if proposed is not None:
        label = f"Use {proposed.profile_type} in {proposed.region}…"
        items.append(Choice(Answer.PROPOSED_GPU, label, "the cheapest that fits; it is written to the parameters file"))
    if offer_only_me:
        note = "otherwise every address may reach the endpoint, with the key"
        items.append(Choice(Answer.ONLY_MY_ADDRESS, "Allow only my address…", note))
    items.append(Choice("cancel", "Cancel"))
    question = Pick(Title.PROVISION, "Provision as the preview in the output says?", tuple(items), option="--yes")
    while (answer := await ui.pick(question)) == _DETAILS:
        for line in preview.tree(details=True):
            ui.announce(line.text, line.tone)
    if answer == "cancel":
        raise Dismissed
    return Answer(answer)


def _summary(preview: Preview) -> str:
    if preview.unknown:
        return "what changes is not known"
    return f"{len(preview.create)} to create, {len(preview.modify)} to change"


def _short(resource_id: str) -> str:
    """Type and name, without what every id of the group begins with."""
    return resource_id.rpartition("/providers/")[2] or resource_id
