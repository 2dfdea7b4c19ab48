"""What the workspace's template and parameters ask of a revision, held against what is wanted of the app now.

Resource Manager evaluates the template. What it said is remembered, so that it is asked again only where the template,
the parameters or the app changed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ai_toolkit.azure.container_apps import KEY_SECRET
from ai_toolkit.azure.deployments import PropertyChange, Refusal
from ai_toolkit.azure.json_value import value_at
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import OwnApp
from ai_toolkit.endpoint.asked_template import app_as_wanted, files_for
from ai_toolkit.endpoint.comparison import compare, in_words, is_expression, is_unsaid, lay_over, name_of
from ai_toolkit.endpoint.remembered import Remembered
from ai_toolkit.errors import Dismissed, UsageError
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.workspace import Parameters, Workspace


@dataclass(frozen=True)
class ChangedTemplate:
    """The app's `template` as it is wanted, and what of it differs now."""

    template: Mapping[str, Any]
    changed: tuple[PropertyChange, ...]


async def changed_template(
    workspace: Workspace, own: OwnApp, ui: Ui, *, put_back: bool | None = None, only_looks: bool = False
) -> ChangedTemplate | None:
    """What is wanted of a revision that the app has not; None where it has that, and where that cannot be asked.

    Where the app had it and neither template nor parameters changed since, somebody changed the app: then `put_back`
    decides, or the person, whose answer is remembered; where nobody can be asked the app stays as it is. With
    `only_looks` nobody is asked and nothing is remembered. Raises Dismissed.

    It cannot be asked of an app that Provision did not make, of a folder with a hand-written config file only, of a
    changed template without the Bicep CLI, and of a template that makes the app in a linked one. Raises FileMalformed,
    ValueImpossible for files that Azure would refuse.
    """
    app = own.app
    files = await files_for(workspace, app, own.target)
    if files is None:
        return None
    template, given = files
    remembered = Remembered(workspace.folder, template.sha256, given.values)
    state = [app.name, app.latest_revision, dict(app.template)]
    if remembered.is_answered(state) and not put_back:
        return None
    wanted = await _evaluated(own, template, given, ui)
    if wanted is None:
        return None
    found = compare_template(app.template, wanted)
    is_ours = not remembered.was_so or found is None
    if is_ours and not only_looks:
        if found is None:
            remembered.is_so()
            remembered.answer(state)
        else:
            remembered.will_be_so()
    if is_ours or found is None or await _put_back(found, ui, put_back, only_looks=only_looks):
        return found
    if not only_looks:
        remembered.answer(state)
    return None


async def _evaluated(own: OwnApp, template: Template, given: Parameters, ui: Ui) -> Mapping[str, Any] | None:
    """The app's `template` as Resource Manager evaluates it; says why where it does not."""
    ui.report("asking what the template wants", 1)
    found = await app_as_wanted(own, template, given)
    wanted = None if isinstance(found, Refusal) else value_at(found or {}, "properties", "template")
    if not isinstance(wanted, Mapping):
        no_app = f"it makes no app {own.app.name} that Azure tells of"
        why = f"{found.message} ({found.code})" if isinstance(found, Refusal) else no_app
        ui.announce(f"The template is not compared with the app: {why}. {Title.PROVISION} sends it whole.")
        return None
    known, missing = without_missing_secrets(wanted, own.app.secrets)
    if missing := missing - {KEY_SECRET}:  # a key is offered
        names = ", ".join(sorted(missing))
        ui.announce(f"The template refers to secrets that the app has not ({names}): {Title.PROVISION} adds them.")
    for place in unknown_places(known):
        ui.announce(f"{place} is left as it is: only a deployment ({Title.PROVISION}) knows its value.")
    return dict(known)


async def _put_back(found: ChangedTemplate, ui: Ui, agreed: bool | None, *, only_looks: bool) -> bool:  # noqa: FBT001
    """Whether to undo what somebody changed of the app."""
    ui.announce("Somebody changed the app since it was deployed (the template's value comes last):")
    tell(found.changed, ui)
    if agreed is not None:
        return agreed
    left = f"It stays as it is; {to(Do.DEPLOY_PUTTING_BACK)} puts it back."
    if only_looks:
        ui.announce(left)
        return False
    items = (
        Choice("leave", "Leave it as it is", "until template, parameters or the app change again"),
        Choice("put back", "Put it back", "as the template says, in a new revision"),
        Choice("cancel", "Cancel"),
    )
    try:
        chosen = await ui.pick(Pick(Title.DEPLOY, "Somebody changed the app", items, option="--put-back"))
    except UsageError:
        ui.announce(left)
        return False
    if chosen == "cancel":
        raise Dismissed
    return chosen == "put back"


def compare_template(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> ChangedTemplate | None:
    """The live template with what is wanted laid over it; None where it has that already.

    What others added stays: it is for Provision to ask about. What is an expression in `wanted` stays as it is.
    """
    changed = compare({"template": live}, {"template": wanted}).changed
    if not changed:
        return None
    laid = {key: lay_over(live.get(key), value, key) for key, value in wanted.items() if not is_unsaid(value)}
    if laid.get("revisionSuffix") and laid["revisionSuffix"] == live.get("revisionSuffix"):
        del laid["revisionSuffix"]  # each names one revision, so the next gets another
    return ChangedTemplate(laid, changed)


def without_missing_secrets(wanted: Any, secrets: Collection[str]) -> tuple[Any, frozenset[str]]:  # noqa: ANN401
    """The evaluated template without the items that refer to other secrets than these, and which those are."""
    missing: set[str] = set()

    def kept(value: Any) -> Any:  # noqa: ANN401  (any JSON)
        if isinstance(value, Mapping):
            return {key: kept(item) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        lacking = [one for one in value if isinstance(one, Mapping) and one.get("secretRef", "") not in {"", *secrets}]
        missing.update(str(one["secretRef"]) for one in lacking)
        return [kept(one) for one in value if one not in lacking]

    return kept(wanted), frozenset(missing)


def unknown_places(wanted: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401  (any JSON)
    """Where the evaluated template still has an expression."""
    if is_expression(wanted):
        yield place
    elif isinstance(wanted, Mapping):
        for key, value in wanted.items():
            yield from unknown_places(value, f"{place}.{key}".lstrip("."))
    elif isinstance(wanted, list):
        for index, one in enumerate(wanted):
            name = name_of(one) if isinstance(one, Mapping) else ""
            yield from unknown_places(one, f"{place}.{name if name and not is_expression(name) else index}")


def tell(changed: Iterable[PropertyChange], ui: Ui) -> None:
    """What a new revision has that the app has not now, property by property."""
    for one in changed:
        ui.announce(f"    {in_words(one)}")
