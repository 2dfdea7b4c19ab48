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
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.deployed import Deployed
from ai_toolkit.deploy.run import deploy
from ai_toolkit.deploy.sync import waiting_place
from ai_toolkit.endpoint.address import OwnApp, open_app
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import EndpointError, EndpointRefused, Interrupted, PreviousMissing
from ai_toolkit.evaluation.asking import Answers, ask_all, patiently
from ai_toolkit.evaluation.cases import Case, read_cases
from ai_toolkit.evaluation.changes import Candidate, Changes, check_unchanged, find_changes
from ai_toolkit.evaluation.errors import CannotEvaluate, GateClosed, NothingAnswers
from ai_toolkit.evaluation.judged import Judgement, Stamps, Unjudged, digest, note_judged, stamps
from ai_toolkit.evaluation.keeping import keep
from ai_toolkit.evaluation.models import ServedModels, served_models
from ai_toolkit.evaluation.result import Evaluation, in_columns, table
from ai_toolkit.evaluation.run import Progress, awake, check_lengths
from ai_toolkit.evaluation.staging import (
    NOT_LOADED,
    Beside,
    candidate_name,
    loaded_beside,
    tidy,
    why_not_beside,
)
from ai_toolkit.two_faces import Do, to, worded
from ai_toolkit.ui import CLOSING, Ui
from ai_toolkit.workspace.workspace import ADAPTERS, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_LIKELIHOOD_MAY_FALL: Final = 0.02
"""A token on average, where no case can pass or fail: less than batching and the numbers' type change."""
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
_LOADED: Final = (
    "No replica ran when it was written to the share, so whichever starts loads it, and it serves while one runs. Put "
    "the files of before back, or fine-tune again. If you want it all the same: {DEPLOY_UNJUDGED}."
)


async def deploy_gated(workspace: Workspace, ui: Ui, options: Options) -> Deployed:
    """What `deploy` does, where no case passes less often than it does now.

    Raises GateClosed, with what serves now still serving and the share as it was; CasesMissing and CasesBroken before
    anything is asked.
    """
    cases = await asyncio.to_thread(read_cases, workspace.folder)
    changes, options = await find_changes(workspace, options, ui)
    if changes.is_first:
        ui.announce("The gate: this is the first deploy, so there is nothing that it could fall below.")
        return await deploy(workspace, ui, options)
    if changes.is_asleep and changes.nothing:
        ui.announce("The gate: nothing changed here, so there is nothing to judge.")
        return await deploy(workspace, ui, options)
    for one in changes.unjudged:
        ui.announce(f"The gate: {one.folder} on the share was changed by no deploy, and no gate has judged it.")
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
    await asyncio.to_thread(check_unchanged, workspace, changes)
    if before is None:
        deployed = await deploy(workspace, ui, options)
    else:
        deployed = await gate.deploy_and_judge(before, options)
    await gate.note()
    return deployed


@asynccontextmanager
async def _cancelled_with(state: str) -> AsyncIterator[None]:
    """Turns a cancellation into Interrupted with a sentence that says what there is now."""
    try:
        yield
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(state) from reason


@dataclass(frozen=True)
class _Awake:
    """The app that was woken: what it serves, and why nothing can be loaded beside that (empty where something can)."""

    endpoint: Endpoint
    share: "FileShare"
    served: ServedModels
    alone: str


class _Gate:
    """One deploy's judgement."""

    def __init__(self, workspace: Workspace, cases: Sequence[Case], changes: Changes, ui: Ui) -> None:
        self._workspace, self._cases, self._changes, self._ui = workspace, cases, changes, ui
        self._known: dict[str, Answers] = {}
        """The answers of what serves, by model: asked once."""
        self._passed: dict[str, tuple[Answers, Stamps | None]] = {}
        """What was let pass, by folder; the files as they were judged, None where a deploy puts them there."""

    async def judge_beside(self, own: OwnApp, endpoint: Endpoint) -> bool:
        """Judges what can be loaded beside what serves; returns whether something is left to judge after a restart.

        Raises GateClosed.
        """
        served = await served_models(endpoint)
        await check_lengths(endpoint, served.live, self._cases)
        version = await patiently(endpoint.version) or {}
        adapters = [dict(each) for each in version.get("adapters") or ()]
        why = await why_not_beside(own, version)
        trained = [each for each in adapters if each.get("changed") and not self._is_candidate(each)]
        async with own.cloud.file_share(own.target) as share:
            for one in self._changes.unjudged:
                if name := _id_of(one.folder, adapters):
                    await self._judge_loaded(_Awake(endpoint, share, served, why), one, name)
            if why and trained:
                raise GateClosed(
                    f"Fine-tuning wrote a new {trained[0].get('id')} to the share, and {why}: it cannot be judged "
                    "before replicas load it.",
                    f"Let one replica of an app that can load it run, or use {to(Do.DEPLOY_UNJUDGED)}. {_THEIRS}",
                )
            if why and self._changes.candidates:
                self._ui.announce(f"The gate: {why}, so the new adapter is judged after a restart.")
                return True
            left = self._changes.others
            await tidy(endpoint, share)
            for candidate in self._changes.candidates:
                old = _id_of(candidate.folder, adapters) or served.live
                left = not await self._judge(endpoint, share, candidate, old) or left
            for adapter in trained:
                await self._judge_trained_there(endpoint, share, adapter)
        return left

    async def note(self) -> None:
        """Leaves on the share what was let pass: it tells while no replica runs."""
        if not self._passed:
            return
        async with open_app(self._workspace) as own, own.cloud.file_share(own.target) as share:
            judged = {}
            for folder, (answers, files) in self._passed.items():
                found = await stamps(share, folder) if files is None else files
                judged[folder] = Judgement.of(found, answers)
            await note_judged(share, judged)

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
            f"Correct it and deploy again. If you want it all the same: {to(Do.DEPLOY_UNJUDGED)}.",
            details,
        )

    def _is_candidate(self, adapter: Mapping[str, Any]) -> bool:
        return any(each.folder == adapter.get("path") for each in self._changes.candidates)

    async def _judge(self, endpoint: Endpoint, share: "FileShare", candidate: Candidate, old: str) -> bool:
        """Whether the candidate could be judged beside the old one. Raises GateClosed."""
        shown = candidate.folder.removeprefix(f"{ADAPTERS}/")
        self._ui.report(f"loading {shown} beside what serves", 5)
        try:
            async with loaded_beside(endpoint, share, shown, dict(candidate.files)) as beside:
                new = await self._answers(endpoint, beside.name, f"{shown} (new)")
                self._compare(endpoint.url, await self._old(endpoint, old), new)
                self._passed[candidate.folder] = new, None
                await _send_no_second_time(share, candidate, beside)
        except EndpointRefused as error:
            if error.reason_code == _REFUSED:
                raise GateClosed(f"The new {shown} cannot be loaded: {error.reason}", worded(_AS_IT_WAS)) from error
            if error.reason_code == NOT_LOADED:
                self._ui.announce("The gate: another replica has started meanwhile; it is judged after a restart.")
                return False
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            # An app of before loads adapters from models/ only.
            self._ui.announce(
                "The gate: the app that runs loads nothing beside what serves; it is judged after a restart."
            )
            return False
        return True

    async def _judge_trained_there(self, endpoint: Endpoint, share: "FileShare", adapter: Mapping[str, Any]) -> None:
        """Judges what fine-tuning left on the share in place of what a replica has loaded. Raises GateClosed."""
        name, folder = str(adapter.get("id")), str(adapter.get("path"))
        beside, files = candidate_name(name), await stamps(share, folder)
        try:
            await endpoint.load_adapter(beside, folder.removeprefix(f"{ADAPTERS}/"))
        except EndpointRefused as error:
            if error.reason_code == _REFUSED:
                raise GateClosed(f"The new {name} on the share cannot be loaded: {error.reason}", _THEIRS) from error
            raise
        try:
            new = await self._answers(endpoint, beside, f"{name} (new)")
        except EndpointRefused as error:
            if error.reason_code != NOT_LOADED:
                raise
            raise GateClosed(
                f"Another replica has started meanwhile, so the new {name} cannot be judged.", _THEIRS
            ) from error
        finally:
            with suppress(EndpointRefused):
                await endpoint.unload_adapter(beside)
        self._compare(endpoint.url, await self._old(endpoint, name), new, _THEIRS)
        self._passed[folder] = new, files

    async def _judge_loaded(self, app: _Awake, one: Unjudged, name: str) -> None:
        """Judges what was written to the share of a sleeping app, and was loaded because the gate woke it.

        It is held against what a gate found of the one before, or against that one itself where it is here, or, where
        there was none, against the base model. Raises GateClosed.
        """
        endpoint, base = app.endpoint, app.served.base
        new = await self._answers(endpoint, name, f"{name} (new)")
        self._known[name] = replace(new, model=name)
        deployed = self._changes.deployed_in(one.folder)
        if one.before is not None and one.before.cases_digest == digest(self._cases):
            self._compare_with_note(endpoint.url, one.before, new)
        elif deployed and not app.alone:
            async with loaded_beside(endpoint, app.share, name, deployed) as beside:
                old = await self._answers(endpoint, beside.name, f"{name} (deployed)")
            self._compare(endpoint.url, old, new, _LOADED)
        elif base is not None and one.before is None and not one.was_deployed:
            self._ui.announce(f"The gate: no {name} is known from before, so it is held against the base model.")
            self._compare(endpoint.url, await self._old(endpoint, base), new, _LOADED)
        else:
            lacks = app.alone if deployed else "the one before it is neither here nor there"
            raise GateClosed(f"The {name} on the share cannot be judged: {lacks}.", worded(_LOADED))
        self._passed[one.folder] = new, one.files

    async def _old(self, endpoint: Endpoint, name: str) -> Answers:
        if name not in self._known:
            self._known[name] = await self._answers(endpoint, name, name)
        return self._known[name]

    async def _answers(self, endpoint: Endpoint, name: str, shown: str) -> Answers:
        self._ui.announce(f"The gate asks {shown or 'the default model'} {len(self._cases)} cases.")
        progress = Progress(self._ui, len(self._cases))
        return await ask_all(endpoint, name, self._cases, progress.answered, name=shown)

    def _compare_with_note(self, url: str, before: Judgement, new: Answers) -> None:
        """Raises GateClosed where fewer cases pass than a gate found of the one before."""
        self._tell(Evaluation(url, datetime.now(UTC).isoformat(timespec="seconds"), (new,), new.model))
        if not new.judged and (before.log_likelihood or 0) - (new.log_likelihood or 0) > _LIKELIHOOD_MAY_FALL:
            raise GateClosed(
                f"{new.model} finds the reference texts less probable than the one before.", worded(_LOADED)
            )
        if new.judged and new.passed < len(before.passed):
            rows = [("case", "before", "now")]
            rows += [
                (each.case.id, "passed", " ".join(each.missed))
                for each in new.answers
                if each.case.id in before.passed and each.missed
            ]
            raise GateClosed(
                f"{new.model} passes {new.passed} of {new.judged} cases, the one before passed {len(before.passed)}.",
                worded(_LOADED),
                in_columns(rows, numbers=False).split("\n"),
            )

    def _tell(self, found: Evaluation) -> None:
        kept = keep(self._workspace.folder, found)
        self._ui.announce(table(found))
        self._ui.announce(f"The answers side by side: {kept.page}")

    def _compare(self, url: str, old: Answers, new: Answers, advice: str = _AS_IT_WAS) -> None:
        """Tells how both answered. Raises GateClosed where the new one passes less."""
        found = Evaluation(url, datetime.now(UTC).isoformat(timespec="seconds"), (old, new), old.model)
        self._tell(found)
        why = _worse(old, new)
        if why:
            rows = [("case", "before", "now")]
            rows += [(other.case.id, "passed", " ".join(other.missed)) for _one, other in found.fell(new)]
            raise GateClosed(
                f"{new.model} {why}",
                worded(advice),
                in_columns(rows, numbers=False).split("\n") if len(rows) > 1 else (),
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


def _id_of(folder: str, adapters: Sequence[Mapping[str, Any]]) -> str | None:
    return next((str(each.get("id")) for each in adapters if each.get("path") == folder), None)


async def _send_no_second_time(share: "FileShare", candidate: Candidate, beside: Beside) -> None:
    """Moves what is large to where the deploy that follows would send it, and finds it whole."""
    for name, file in candidate.files.items():
        if file.entry.size > _LARGE_BYTES:
            await share.rename(beside.folder / name, waiting_place(f"{candidate.folder}/{name}", file.entry.sha256))
