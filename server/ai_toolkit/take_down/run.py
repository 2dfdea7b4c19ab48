"""Use-case: AI Toolkit: Take down inference."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final

from ai_toolkit.azure.connect import open_cloud, raise_if_stopped
from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.fine_tuning_job import fine_tuning_job
from ai_toolkit.azure.neighbours import Neighbours
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.remembered import remembered_place
from ai_toolkit.errors import CloudError, Interrupted, UsageError, WorkspaceError
from ai_toolkit.provision.plan import settings_of
from ai_toolkit.provision.request import NamedPlace, Place, read_workspace
from ai_toolkit.take_down.look import API_VERSIONS, Ground, Names, look
from ai_toolkit.take_down.parts import Found, Kept, Kind, Part, TakingDown, decide
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import CLOSING, Input, Silent, Tone, Ui, confirm
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Target, Workspace

_TELL_EVERY: Final = timedelta(seconds=5)
_STALE: Final = timedelta(minutes=1)
"""How long Azure's lists may show what is removed."""
_LOOK_AGAIN: Final = timedelta(seconds=2)
_USUAL: Final = {
    Kind.APP: "about a minute",
    Kind.ENVIRONMENT: "about 16 minutes",
    Kind.GROUP: "a minute or two",
}
"""How long it takes on Azure, where that was seen."""


@dataclass(frozen=True)
class Answers:
    """What the caller knows already: where (None: what the workspace names), and the share to remove, by its name.

    With `ask_models` a person is asked for that name.
    """

    subscription: str | None = None
    resource_group: str | None = None
    models: str | None = None
    ask_models: bool = False


@dataclass(frozen=True)
class TakenDown:
    """What was removed and what stays, in words; in a dry run, what would be.

    `can_be_made` again: the config file names nothing any more.
    """

    removed: tuple[str, ...]
    stays: tuple[str, ...]
    dry_run: bool = False
    can_be_made: bool = False

    def as_json(self) -> dict[str, bool | list[str]]:
        return {"dryRun": self.dry_run, "removed": list(self.removed), "stays": list(self.stays)}


@dataclass
class _Progress:
    """What was done so far: ids in lower case, and words."""

    agreed: tuple[Part, ...] = ()
    removed: list[Part] = field(default_factory=list)
    now: Part | None = None

    @property
    def gone(self) -> frozenset[str]:
        return frozenset(one.id.lower() for one in self.removed)

    def state(self) -> str:
        """What there is now, in a sentence or three."""
        done = ", ".join(one.in_words() for one in self.removed) or "nothing"
        left = [one for one in self.agreed if one not in self.removed and one != self.now]
        being = f" Being removed: {self.now.in_words()}." if self.now is not None else ""
        rest = f" Not removed: {', '.join(one.in_words() for one in left)}." if left else ""
        return f"Removed: {done}.{being}{rest}"


async def take_down(workspace: Workspace, ui: Ui, answers: Answers) -> TakenDown:
    """Removes what a Provision of this workspace made and nobody else uses, after showing it and asking.

    The share with the models stays unless `answers.models` is its name. Cancelled, it raises Interrupted with what was
    removed, is being removed and is left; a second run goes on. Raises Dismissed, UsageError, and CloudError where
    Azure refuses to remove something.
    """
    progress = _Progress()
    try:
        async with _open(workspace, ui, answers) as (ground, names):
            _check_models(names, answers)
            found = await _settled(ground, names, ui)
            models = answers.models is not None or (answers.ask_models and await _models_too(found, ui))
            plan = decide(found, models=models)
            _tell(ui, plan)
            if plan.removes:
                await _agree(ui, ground, plan)
                progress.agreed = plan.removes
                await _remove_all(ground, names, progress, ui, models=models)
                plan = await _prove(ground, names, progress, models=models)
            return _done(workspace, plan, progress, app_is_gone=_is_gone(found, progress))
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        state = progress.state() if progress.agreed else "Nothing was removed."
        raise Interrupted(f"Cancelled. {state}") from reason


async def what_if(workspace: Workspace, ui: Ui, answers: Answers) -> TakenDown:
    """What `take_down` would do; changes nothing and asks nothing."""
    async with _open(workspace, Silent(ui), answers) as (ground, names):
        _check_models(names, answers)
        found, _active = await look(ground, names)
        plan = decide(found, models=answers.models is not None)
        return TakenDown(_words(plan.removes), _words(plan.stays), dry_run=True)


@asynccontextmanager
async def _open(workspace: Workspace, ui: Ui, answers: Answers) -> AsyncIterator[tuple[Ground, Names]]:
    """Where it is looked, and what the workspace calls the parts. Raises UsageError where nothing names the place."""
    target = workspace.target_or_none()
    subscription, group = _place(workspace, target, answers)
    if target is not None and target.local and subscription == LOCAL_SUBSCRIPTION:
        await raise_if_stopped(target)
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(open_cloud(subscription))
        manager = await stack.enter_async_context(cloud.resource_manager(subscription))
        neighbours = await stack.enter_async_context(Neighbours.open(cloud.connection, subscription))
        ui.report("looking at what is there", 2)
        here = target is not None and (target.subscription, target.resource_group.lower()) == (
            subscription,
            group.lower(),
        )
        ground = Ground(cloud, manager, neighbours, subscription, group)
        yield ground, await _names(workspace, ui, ground, target if here else None)


def _place(workspace: Workspace, target: Target | None, answers: Answers) -> tuple[str, str]:
    """What is answered, else what the config file names, else where the last Provision began."""
    if answers.subscription is None and target is not None:
        return target.subscription, answers.resource_group or target.resource_group
    if answers.subscription is None:
        known = remembered_place(workspace.folder)
        if known is None:
            raise UsageError(
                "Nothing here names what was provisioned: infra/inference.config.json has no target.",
                f"To name the place: {to(Do.TAKE_DOWN_ELSEWHERE)}.",
            )
        return known[0], answers.resource_group or known[1]
    if answers.resource_group is not None:
        return answers.subscription.lower(), answers.resource_group
    if answers.subscription == LOCAL_SUBSCRIPTION:
        return LOCAL_SUBSCRIPTION, _local_group(workspace, target)
    if target is not None and target.subscription == answers.subscription.lower():
        return target.subscription, target.resource_group
    raise UsageError("A subscription alone is no place.", "Name the resource group too: --resource-group.")


def _local_group(workspace: Workspace, target: Target | None) -> str:
    """The workspace's group on this computer: that of the config file, of the last Provision, or its own."""
    if target is not None and target.local:
        return target.resource_group
    known = remembered_place(workspace.folder)
    if known is not None and known[0] == LOCAL_SUBSCRIPTION:
        return known[1]
    return NamedPlace(None, None, "", workspace.folder).own_group


async def _names(workspace: Workspace, ui: Ui, ground: Ground, target: Target | None) -> Names:
    """What Provision would call the parts; what the config file names wins.

    Files that cannot be read are no obstacle where the config file names the app: that leads to the rest.
    """
    try:
        wanted = await read_workspace(workspace, _Mute(ui), offer=False)
        place = Place(ground.subscription, ground.group, "", new=False)
        job = wanted.fine_tuning.job or ""
        elsewhere = wanted.fine_tuning.elsewhere(place.subscription, place.resource_group)
        live = (
            await fine_tuning_job(ground.cloud.connection, place.subscription, place.resource_group, job)
            if job and not elsewhere
            else None
        )
        settings = settings_of(wanted, place, (job, live))
        found = settings.names
        # An id in place of a name is of another resource group: that was there before.
        by_parameter = {name: "" if "/" in value else value for name, value in found.items()}
        names = Names(
            by_parameter["acaAppName"],
            by_parameter["acaEnvironmentStorageName"],
            by_parameter["acaEnvironmentName"],
            by_parameter["acaLogAnalyticsName"],
            by_parameter["fileShareName"],
            by_parameter["storageAccountName"],
            wanted.template.ours,
            found["acaEnvironmentName"] if "/" in found["acaEnvironmentName"] else "",
            settings.located("storageAccountName", place.subscription, place.resource_group).name,
        )
    except WorkspaceError:
        if target is None:
            raise
        names = Names()
    if target is None:
        return names
    return replace(names, app=target.app, share=target.file_share, account=target.storage_account)


class _Mute(Silent):
    """What the files are warned of when something is made of them is of no concern here."""

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        """Says nothing."""


def _check_models(names: Names, answers: Answers) -> None:
    if answers.models is not None and answers.models != names.share:
        raise UsageError(
            f"{answers.models} is not the name of the file share, which is {names.share or 'not known'}.",
            "Type its name after --models to remove it with all models that are on it.",
        )


async def _models_too(found: Found, ui: Ui) -> bool:
    """Whether the share goes too: a person types its name. Where it could not go nothing is asked."""
    share = found.share
    if share is None or share not in decide(found, models=True).removes:
        return False
    prompt = f"Type {share.name} to remove the file share with the models too; leave it empty to keep them"
    hint = f"empty, or {share.name}"
    answer = await ui.input(
        Input(Title.TAKE_DOWN, prompt, pattern=f"(|{re.escape(share.name)})", hint=hint, option="--models")
    )
    return bool(answer)


async def _settled(ground: Ground, names: Names, ui: Ui) -> Found:
    """What is there once no deployment of ours runs any more: one that still does is cancelled, after asking."""
    found, active = await look(ground, names)
    if not active:
        return found
    running = ", ".join(one.name for one in active)
    await confirm(ui, f"The deployment {running} still runs.", "Cancel it, and take down what it made")
    for one in active:
        ui.report(f"cancelling the deployment {one.name}", 4)
        ended = await ground.manager.deployments_of(ground.group).cancel(one.name)
        _raise_if_active(ended)
    return (await look(ground, names))[0]


def _raise_if_active(ended: Deployment | None) -> None:
    if ended is not None and ended.active:
        raise CloudError(
            f"Azure was asked to cancel the deployment {ended.name} and has not ended it yet. Nothing was removed.",
            "Run it again in a few minutes.",
        )


async def _agree(ui: Ui, ground: Ground, plan: TakingDown) -> None:
    where = "on this computer" if ground.subscription == LOCAL_SUBSCRIPTION else f"in {ground.group}"
    number = len(plan.removes)
    question = f"{Title.TAKE_DOWN}: remove what the output lists {where}? It cannot be brought back."
    await confirm(ui, question, f"Remove {number} resource{'s' if number != 1 else ''}")


async def _remove_all(ground: Ground, names: Names, progress: _Progress, ui: Ui, *, models: bool) -> None:
    """One after the other. Before each it is looked again: what somebody uses meanwhile stays."""
    agreed = {one.id.lower() for one in progress.agreed}
    while True:
        found = (await look(ground, names))[0].without(progress.gone)
        left = [one for one in decide(found, models=models).removes if one.id.lower() in agreed]
        if not left:
            return
        part = progress.now = left[0]
        done = 100 * len(progress.removed) // max(1, len(progress.agreed))
        try:
            await _while_telling(ground, part, ui, 5 + done * 9 // 10)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            told = for_people(error)
            progress.now = None
            raise CloudError(
                f"The {part.in_words()} could not be removed. {told.message} {progress.state()}",
                told.advice or "Run it again to go on.",
            ) from error
        progress.removed.append(part)
        progress.now = None
        ui.announce(f"    removed  {part.in_words()}")


async def _while_telling(ground: Ground, part: Part, ui: Ui, percentage: int) -> None:
    """Removes the part; says every few seconds how long it has taken."""
    began = monotonic()
    local = ground.subscription == LOCAL_SUBSCRIPTION
    usual = "" if local or part.kind not in _USUAL else f", usually {_USUAL[part.kind]}"
    work = asyncio.ensure_future(_remove(ground, part))
    try:
        while not work.done():
            seconds = int(monotonic() - began)
            spent = f" for {seconds // 60} min {seconds % 60} s" if seconds else ""
            ui.report(f"removing {part.in_words()}{spent}{usual}", percentage)
            await asyncio.wait([work], timeout=_TELL_EVERY.total_seconds())
    finally:
        work.cancel()
    work.result()


async def _remove(ground: Ground, part: Part) -> None:
    if part.kind is Kind.GROUP:
        await ground.manager.delete_group(part.name)
    else:
        await ground.manager.delete(part.id, API_VERSIONS[part.kind])


async def _prove(ground: Ground, names: Names, progress: _Progress, *, models: bool) -> TakingDown:
    """What is there now. Raises CloudError where something that was agreed to is still there and could go."""
    deadline = monotonic() + _STALE.total_seconds()
    agreed = {one.id.lower() for one in progress.agreed}
    while True:
        plan = decide((await look(ground, names))[0], models=models)
        left = [one.in_words() for one in plan.removes if one.id.lower() in agreed]
        if not left:
            return plan
        if monotonic() > deadline:
            raise CloudError(
                f"Azure still lists what it has removed: {', '.join(left)}.",
                "Run it again in a few minutes, which looks again.",
            )
        await asyncio.sleep(_LOOK_AGAIN.total_seconds())


def _is_gone(found: Found, progress: _Progress) -> bool:
    """Whether the app that the workspace names is not there, or was removed."""
    return found.app is None or found.app.id.lower() in progress.gone


def _done(workspace: Workspace, plan: TakingDown, progress: _Progress, *, app_is_gone: bool) -> TakenDown:
    """The result; the config file names nothing any more where the app is gone."""
    if app_is_gone:
        workspace.forget_target()
    return TakenDown(_words(progress.removed), _words(plan.stays), can_be_made=app_is_gone)


def _words(parts: Iterable[Part | Kept]) -> tuple[str, ...]:
    return tuple(one.in_words() for one in parts)


def _tell(ui: Ui, plan: TakingDown) -> None:
    for line in plan.in_words():
        ui.announce(line)
