"""What somebody changed of the app, or added to it, since a deployment: shown, and asked about before it is undone."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ai_toolkit.azure.container_apps import KEY_SECRET
from ai_toolkit.azure.deployments import PropertyChange
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.comparison import Addition, Comparison, compare, in_words
from ai_toolkit.endpoint.desired import is_app, wanted_app
from ai_toolkit.errors import Dismissed, UsageError
from ai_toolkit.provision.carry_over import carry_over
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.preview import Preview
from ai_toolkit.provision.request import Site
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.template import Template

_KEY: Final = "AITK_API_KEY"
_NOTHING: Final = Comparison((), ())


@dataclass(frozen=True)
class Kept:
    """The template that is sent, with what is kept of what others added; `secrets` are the names of those among it."""

    template: Template
    secrets: tuple[str, ...]


async def compare_app(site: Site, plan: Plan, template: Template, preview: Preview) -> Comparison:
    """The app as it is against the template, where the deployment would put it and it exists.

    Of several apps it is the one that the parameters name; of another make's template, its only one.
    """
    apps = [one for one in (*preview.modify, *preview.no_change) if is_app(one) and one.before and one.after]
    named = plan.settings.names["acaAppName"].lower()
    ours = [one for one in apps if one.id.rpartition("/")[2].lower() == named] or apps
    if len(ours) != 1:
        return _NOTHING
    name = ours[0].id.rpartition("/")[2]
    wanted = await wanted_app(site.deployments, plan.name, template.content, plan.values, name)
    return compare(ours[0].before, wanted if isinstance(wanted, Mapping) else ours[0].after)


async def offer_to_put_back(ui: Ui, changed: Iterable[PropertyChange], *, agreed: bool) -> bool:
    """Whether to put back what somebody changed since the last deployment; shows it property by property.

    Where nobody can be asked, it stays as it is. Raises Dismissed.
    """
    ui.announce("Somebody changed the app since it was provisioned (the template's value comes last):")
    for one in changed:
        ui.announce(f"    {in_words(one)}")
    if agreed:
        return True
    items = (
        Choice("leave", "Leave it as it is", "until something else is provisioned"),
        Choice("put back", "Put it back", "as the template says; a replica that runs starts anew"),
        Choice("cancel", "Cancel"),
    )
    try:
        chosen = await ui.pick(Pick(Title.PROVISION, "Somebody changed the app", items, option="--put-back"))
    except UsageError:
        ui.announce(f"It was left as it is; {to(Do.PROVISION_PUTTING_BACK)} puts it back.")
        return False
    if chosen == "cancel":
        raise Dismissed
    return chosen == "put back"


def tell_additions(ui: Ui, added: tuple[Addition, ...]) -> None:
    """What a Provision would ask about, where nothing is asked."""
    if others := [one for one in added if not _is_ours(one, added)]:
        ui.announce(f"The app has what the template does not: {_listed(others)}. Provision asks whether to keep it.")


async def keep_additions(ui: Ui, template: Template, added: tuple[Addition, ...], *, remove: bool) -> Kept:
    """The template with what others added. What our own commands added is kept unasked. Raises Dismissed.

    With `--yes` everything is kept; what cannot be kept is asked about all the same, and raises UsageError where nobody
    can be asked. `remove` is the answer that was given already: what our commands did not add goes.
    """
    ours = tuple(one for one in added if _is_ours(one, added))
    others = tuple(one for one in added if one not in ours)
    carried = carry_over(template.content, added)
    lost = carried.lost
    keepable = tuple(one for one in others if one not in lost)
    if lost and not remove:
        await _agree_to_lose(ui, lost)
    if keepable and (remove or not await _keep(ui, keepable)):
        added = tuple(one for one in ours if one not in lost)
        carried = carry_over(template.content, added)
    if remove and others:
        ui.announce(f"Removed from the app, as the template has it: {_listed(others)}.")
    kept = [one for one in added if one not in lost]
    if not kept:
        return Kept(template, ())
    ui.announce(f"Kept, although the template does not have it: {_listed(kept)}.")
    secrets = tuple(one.item for one in kept if one.kind == "secret" and not one.value.get("keyVaultUrl"))
    return Kept(replace(template, content=carried.content), secrets)


async def _keep(ui: Ui, added: Iterable[Addition]) -> bool:
    told = f"The app has what the template does not: {_listed(added)}."
    ui.announce(told)
    items = (
        Choice("keep", "Keep it", "it is written into what is sent"),
        Choice("remove", "Remove it", "as the template has it"),
        Choice("cancel", "Cancel"),
    )
    chosen = await ui.pick(Pick(Title.PROVISION, told, items, option="--yes"))
    if chosen == "cancel":
        raise Dismissed
    return chosen == "keep"


async def _agree_to_lose(ui: Ui, lost: Iterable[Addition]) -> None:
    told = (
        f"The deployment removes from the app: {_listed(lost)}. It cannot be kept, because the template makes the app "
        "in a loop, beside another, or of an expression; take it into the template to keep it."
    )
    ui.announce(told)
    items = (Choice("cancel", "Cancel"), Choice("remove", "Remove it"))
    if await ui.pick(Pick(Title.PROVISION, told, items, option="--remove-additions")) != "remove":
        raise Dismissed


def _is_ours(one: Addition, added: Iterable[Addition]) -> bool:
    """Whether our own command added it: a secret, and the variable of that name that holds it."""
    pairs = {
        str(each.value["secretRef"])
        for each in added
        if each.kind == "environment variable" and each.value.get("secretRef") in _secrets_of(each.item)
    }
    secrets = {each.item for each in added if each.kind == "secret"}
    if one.kind == "secret":
        return one.item in pairs
    return one.kind == "environment variable" and one.value.get("secretRef") in pairs & secrets


def _secrets_of(variable: str) -> tuple[str, ...]:
    """The secrets that our commands make for a variable: HF_TOKEN is hf-token."""
    return (re.sub(r"[^a-z0-9]+", "-", variable.lower()).strip("-"), *((KEY_SECRET,) if variable == _KEY else ()))


def _listed(added: Iterable[Addition]) -> str:
    return ", ".join(one.in_words() for one in added)
