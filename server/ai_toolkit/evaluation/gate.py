"""Use-case: a deploy that ends with the old model serving where the new one answers worse.

An adapter is judged before anything of it is in its place: it is loaded from a folder of ours on the share, beside the
one that serves. Code and settings need a restart, so they are judged after it, and the deploy before is brought back.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.deployed import Deployed
from ai_toolkit.deploy.local_files import LocalFile, local_files
from ai_toolkit.deploy.run import deploy
from ai_toolkit.deploy.sync import waiting_place
from ai_toolkit.deploy.sync_plan import Plan, plan_sync
from ai_toolkit.endpoint.address import OwnApp, open_app
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import EndpointError, EndpointRefused, FileChanged, Interrupted, PreviousMissing
from ai_toolkit.evaluation.asking import Answers, ask_all
from ai_toolkit.evaluation.cases import Case, read_cases
from ai_toolkit.evaluation.errors import CannotEvaluate, GateClosed, NothingAnswers
from ai_toolkit.evaluation.keeping import keep
from ai_toolkit.evaluation.models import served_models
from ai_toolkit.evaluation.result import Evaluation, in_columns, table
from ai_toolkit.evaluation.run import Progress, awake, check_lengths
from ai_toolkit.evaluation.staging import Beside, candidate_name, loaded_beside, tidy
from ai_toolkit.two_faces import worded
from ai_toolkit.ui import CLOSING, Ui
from ai_toolkit.workspace.workspace import ADAPTERS, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_LIKELIHOOD_MAY_FALL: Final = 0.02
"""A token on average, where no case can pass or fail: less than batching and the numbers' type change."""
_CONFIG: Final = "adapter_config.json"
_LARGE_BYTES: Final = 4 * 1024 * 1024
_REFUSED: Final = "adapter_refused"
"""The app's code for an adapter that does not fit, or cannot be read."""
_AS_IT_WAS: Final = (
    "What served before serves on, and the share is as it was. If you want it all the same: {DEPLOY_UNJUDGED}."
)
_UNTOUCHED: Final = "Cancelled while the gate judged: what serves now serves on, and the share is as it was."
_UNJUDGED: Final = (
    "Cancelled before the gate had judged what was deployed: it serves. {BRING_BACK} brings back the code of before."
)
_THEIRS: Final = (
    "What serves now serves on as long as its replica runs. The files on the share are fine-tuning's, and a replica "
    "that starts anew loads them: put the ones of before back, or fine-tune again."
)


@dataclass(frozen=True)
class _Candidate:
    """An adapter that a deploy would bring: its folder on the share, and its files here by name."""

    folder: str
    files: Mapping[str, LocalFile]


@dataclass(frozen=True)
class _Changes:
    """What a deploy would change: `others` are code, settings and whatever else needs a restart."""

    is_first: bool
    is_asleep: bool
    candidates: tuple[_Candidate, ...]
    others: bool


async def deploy_gated(workspace: Workspace, ui: Ui, options: Options) -> Deployed:
    """What `deploy` does, where no case passes less often than it does now.

    Raises GateClosed, with what serves now still serving and the share as it was; CasesMissing and CasesBroken before
    anything is asked.
    """
    cases = await asyncio.to_thread(read_cases, workspace.folder)
    changes = await _changes(workspace, options, ui)
    if changes.is_first:
        ui.announce("The gate: this is the first deploy, so there is nothing that it could fall below.")
        return await deploy(workspace, ui, options)
    if changes.is_asleep and not changes.candidates and not changes.others:
        ui.announce("The gate: nothing changed here, so there is nothing to judge.")
        return await deploy(workspace, ui, options)
    gate = _Gate(workspace, cases, changes, ui)
    try:
        async with (
            _cancelled_with(_UNTOUCHED),
            awake(workspace, ui, f"{len(cases)} cases, twice,", Title.DEPLOY) as (own, endpoint),
        ):
            after_restart = await gate.judge_beside(own, endpoint)
            before = await gate.live(endpoint) if after_restart else None
    except NothingAnswers as error:
        ui.announce(f"The gate: {error.message} There is nothing that this deploy could fall below.")
        return await deploy(workspace, ui, options)
    await asyncio.to_thread(_check_unchanged, workspace, changes)
    if before is None:
        return await deploy(workspace, ui, options)
    return await gate.deploy_and_judge(before, options)


@asynccontextmanager
async def _cancelled_with(state: str) -> AsyncIterator[None]:
    """Turns a cancellation into Interrupted with a sentence that says what there is now."""
    try:
        yield
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(state) from reason


async def _changes(workspace: Workspace, options: Options, ui: Ui) -> _Changes:
    ui.report("comparing with the share", 1)
    files = await asyncio.to_thread(local_files, workspace.folder)
    async with open_app(workspace) as own, own.cloud.file_share(own.target) as share:
        plan = await plan_sync(share, files)
        runs = [await own.apps.has_replica(own.app.name, one) for one in own.app.serving]
    return _of(plan, is_asleep=not any(runs), keeps_conflicts=options.conflicts == "keep")


def _of(plan: Plan, *, is_asleep: bool, keeps_conflicts: bool) -> _Changes:
    touched = {*plan.uploads, *plan.removed, *(() if keeps_conflicts else plan.conflicting)}
    folders = {str(PurePosixPath(path).parent) for path in plan.files if path.endswith(f"/{_CONFIG}")}
    adapters = {folder for folder in folders if folder.startswith(f"{ADAPTERS}/")}
    changed = sorted({str(PurePosixPath(path).parent) for path in touched} & adapters)
    candidates = tuple(
        _Candidate(folder, {PurePosixPath(path).name: file for path, file in plan.files.items() if _in(path, folder)})
        for folder in changed
    )
    others = any(str(PurePosixPath(path).parent) not in adapters for path in touched)
    return _Changes(plan.before.origin is None, is_asleep, candidates, others)


def _in(path: str, folder: str) -> bool:
    return str(PurePosixPath(path).parent) == folder


def _check_unchanged(workspace: Workspace, changes: _Changes) -> None:
    """Raises FileChanged where an adapter is not any more what was judged."""
    now = local_files(workspace.folder)
    for candidate in changes.candidates:
        for name, file in candidate.files.items():
            found = now.get(f"{candidate.folder}/{name}")
            if found is None or found.entry != file.entry:
                raise FileChanged(file.source)


class _Gate:
    """One deploy's judgement."""

    def __init__(self, workspace: Workspace, cases: Sequence[Case], changes: _Changes, ui: Ui) -> None:
        self._workspace, self._cases, self._changes, self._ui = workspace, cases, changes, ui
        self._known: dict[str, Answers] = {}
        """The answers of what serves, by model: asked once."""

    async def judge_beside(self, own: OwnApp, endpoint: Endpoint) -> bool:
        """Judges what can be loaded beside what serves; returns whether something is left to judge after a restart.

        Raises GateClosed.
        """
        served = await served_models(endpoint)
        await check_lengths(endpoint, served.live, self._cases)
        version = await endpoint.version() or {}
        adapters = [dict(each) for each in version.get("adapters") or ()]
        if (why := await _why_not_beside(own, version, adapters)) and self._changes.candidates:
            self._ui.announce(f"The gate: {why}, so the new adapter is judged after a restart.")
            return True
        left = self._changes.others
        async with own.cloud.file_share(own.target) as share:
            await tidy(endpoint, share)
            for candidate in self._changes.candidates:
                old = _id_of(candidate.folder, adapters) or served.live
                left = not await self._judge(endpoint, share, candidate, old) or left
        trained = [each for each in adapters if each.get("changed") and not self._is_candidate(each)]
        for adapter in trained:
            await self._judge_trained_there(endpoint, adapter)
        return left

    async def live(self, endpoint: Endpoint) -> Answers:
        """The answers of what a request without a model's name gets now."""
        served = await served_models(endpoint)
        return await self._old(endpoint, served.live)

    async def deploy_and_judge(self, before: Answers, options: Options) -> Deployed:
        """Deploys, and brings back what was deployed before where that was better. Raises GateClosed."""
        try:
            deployed = await deploy(self._workspace, self._ui, options)
        except EndpointError as error:
            await self._bring_back(options, f"What was deployed did not start: {error.message}", error.details)
            raise
        asked = f"{len(self._cases)} cases"
        async with (
            _cancelled_with(worded(_UNJUDGED)),
            awake(self._workspace, self._ui, asked, Title.DEPLOY) as (_own, endpoint),
        ):
            served = await served_models(endpoint)
            new = await self._answers(endpoint, served.live, f"{served.live} (new)")
        try:
            self._compare(endpoint.url, before, new)
        except GateClosed as error:
            await self._bring_back(options, error.message, error.details)
            raise
        return deployed

    async def _bring_back(self, options: Options, why: str, details: Sequence[str]) -> None:
        """Raises GateClosed once the deploy before serves again."""
        self._ui.announce(f"The gate: {why} What was deployed before is brought back.")
        back = replace(options, previous=True, models_too=True)
        try:
            await deploy(self._workspace, self._ui, back)
        except PreviousMissing as error:
            raise GateClosed(
                f"{why} The share keeps no deploy before this one, so this one stays.",
                "Correct it and deploy again.",
                details,
            ) from error
        raise GateClosed(
            f"{why} What was deployed before serves again.",
            "Correct it and deploy again, or deploy without --gate.",
            details,
        )

    def _is_candidate(self, adapter: Mapping[str, Any]) -> bool:
        return any(each.folder == adapter.get("path") for each in self._changes.candidates)

    async def _judge(self, endpoint: Endpoint, share: "FileShare", candidate: _Candidate, old: str) -> bool:
        """Whether the candidate could be judged beside the old one. Raises GateClosed."""
        shown = candidate.folder.removeprefix(f"{ADAPTERS}/")
        self._ui.report(f"loading {shown} beside what serves", 5)
        try:
            async with loaded_beside(endpoint, share, shown, dict(candidate.files)) as beside:
                new = await self._answers(endpoint, beside.name, f"{shown} (new)")
                self._compare(endpoint.url, await self._old(endpoint, old), new)
                await _send_no_second_time(share, candidate, beside)
        except EndpointRefused as error:
            if error.reason_code == _REFUSED:
                raise GateClosed(f"The new {shown} cannot be loaded: {error.reason}", worded(_AS_IT_WAS)) from error
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            # An app of before loads adapters from models/ only.
            self._ui.announce(
                "The gate: the app that runs loads nothing beside what serves; it is judged after a restart."
            )
            return False
        return True

    async def _judge_trained_there(self, endpoint: Endpoint, adapter: Mapping[str, Any]) -> None:
        """Judges what fine-tuning left on the share in place of what a replica has loaded. Raises GateClosed."""
        name, folder = str(adapter.get("id")), str(adapter.get("path"))
        beside = candidate_name(name)
        try:
            await endpoint.load_adapter(beside, folder.removeprefix(f"{ADAPTERS}/"))
        except EndpointRefused as error:
            if error.reason_code == _REFUSED:
                raise GateClosed(f"The new {name} on the share cannot be loaded: {error.reason}", _THEIRS) from error
            raise
        try:
            new = await self._answers(endpoint, beside, f"{name} (new)")
        finally:
            with suppress(EndpointRefused):
                await endpoint.unload_adapter(beside)
        self._compare(endpoint.url, await self._old(endpoint, name), new, _THEIRS)

    async def _old(self, endpoint: Endpoint, name: str) -> Answers:
        if name not in self._known:
            self._known[name] = await self._answers(endpoint, name, name)
        return self._known[name]

    async def _answers(self, endpoint: Endpoint, name: str, shown: str) -> Answers:
        self._ui.announce(f"The gate asks {shown or 'the default model'} {len(self._cases)} cases.")
        progress = Progress(self._ui, len(self._cases))
        return await ask_all(endpoint, name, self._cases, progress.answered, name=shown)

    def _compare(self, url: str, old: Answers, new: Answers, advice: str = _AS_IT_WAS) -> None:
        """Tells how both answered. Raises GateClosed where the new one passes less."""
        found = Evaluation(url, datetime.now(UTC).isoformat(timespec="seconds"), (old, new), old.model)
        kept = keep(self._workspace.folder, found)
        self._ui.announce(table(found))
        self._ui.announce(f"The answers side by side: {kept.page}")
        why = _worse(old, new)
        if why:
            rows = [("case", "before", "now")]
            rows += [(other.case.id, "passed", " ".join(other.missed)) for _one, other in found.fell(new)]
            raise GateClosed(
                f"{new.model} {why}", advice, in_columns(rows, numbers=False).split("\n") if len(rows) > 1 else ()
            )


def _worse(old: Answers, new: Answers) -> str:
    """Why the new one is worse, as the end of a sentence; empty where it is not. Raises CannotEvaluate."""
    if new.judged:
        return (
            f"passes {new.passed} of {new.judged} cases, {old.model} passes {old.passed}."
            if new.passed < old.passed
            else ""
        )
    if old.log_likelihood is None or new.log_likelihood is None:
        raise CannotEvaluate(
            "No case says what must be true of an answer, so nothing can be judged.", "Add one that does."
        )
    fell = old.log_likelihood - new.log_likelihood
    if fell <= _LIKELIHOOD_MAY_FALL:
        return ""
    return f"finds the reference texts less probable than {old.model}, by {fell:.3f} a token."


async def _why_not_beside(own: OwnApp, version: Mapping[str, Any], adapters: Sequence[Mapping[str, Any]]) -> str:
    """Why no adapter can be loaded beside those that serve; empty where one can."""
    if not version:
        return "the app that runs is not one that loads adapters"
    replicas = [one for each in own.app.serving for one in await own.apps.replicas(own.app.name, each.name)]
    if len(replicas) > 1:
        return "several replicas run"
    if not all(each.get("replaceable", True) for each in adapters):
        return "the adapter that serves has become the base model (serve_base = false)"
    return ""


def _id_of(folder: str, adapters: Sequence[Mapping[str, Any]]) -> str | None:
    return next((str(each.get("id")) for each in adapters if each.get("path") == folder), None)


async def _send_no_second_time(share: "FileShare", candidate: _Candidate, beside: Beside) -> None:
    """Moves what is large to where the deploy that follows would send it, and finds it whole."""
    for name, file in candidate.files.items():
        if file.entry.size > _LARGE_BYTES:
            await share.rename(beside.folder / name, waiting_place(f"{candidate.folder}/{name}", file.entry.sha256))
