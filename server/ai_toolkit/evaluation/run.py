"""Use-case: AI Toolkit: Evaluate inference."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.endpoint.address import OwnApp, open_app
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.endpoint.open import awaited_endpoint, wake
from ai_toolkit.errors import Interrupted
from ai_toolkit.evaluation.asking import AT_A_TIME, Answer, Answers, ask_all, patiently, prompt_tokens
from ai_toolkit.evaluation.cases import Case, read_cases
from ai_toolkit.evaluation.data_set import cases_of_data
from ai_toolkit.evaluation.errors import BelowMinimum, CannotEvaluate, NothingAnswers
from ai_toolkit.evaluation.judging import Outcome
from ai_toolkit.evaluation.keeping import Kept, keep
from ai_toolkit.evaluation.models import PREVIOUS, ServedModels, served_models
from ai_toolkit.evaluation.result import Evaluation, table
from ai_toolkit.evaluation.staging import loaded_beside, previous_contents, tidy, why_not_beside
from ai_toolkit.prices.running_cost import running
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import CLOSING, Tone, Ui, confirm
from ai_toolkit.workspace.workspace import Workspace

FIRST: Final = 20
"""So many entries of a data set are asked where nothing is said."""


@dataclass(frozen=True)
class Wanted:
    """What to ask: models by name (none: all that is served), and which of them the others are compared with.

    `minimum` is a number of cases, or, where `minimum_is_percent`, a share of those that are judged. `data` is a file
    of fine-tuning's, whose `first` entries are asked in place of the workspace's cases.
    """

    models: tuple[str, ...] = ()
    against: str | None = None
    minimum: float | None = None
    minimum_is_percent: bool = False
    data: Path | None = None
    first: int = FIRST


async def evaluate(workspace: Workspace, ui: Ui, wanted: Wanted) -> tuple[Evaluation, Kept]:
    """The answers, judged, and where they are kept.

    Raises CasesBroken, CasesMissing, CannotEvaluate, BelowMinimum, Dismissed, and what an endpoint that cannot be asked
    raises.
    """
    cases = await asyncio.to_thread(_cases, workspace.folder, wanted)
    async with awake(workspace, ui, _question(cases)) as (own, endpoint):
        found = await _ask(own, endpoint, cases, wanted, ui)
    kept = await asyncio.to_thread(keep, workspace.folder, found)
    ui.announce(table(found), Tone.DETAIL)
    ui.announce(f"The answers side by side: {kept.page}", Tone.DETAIL)
    _raise_if_below(found, wanted, kept)
    return found, kept


def _cases(folder: Path, wanted: Wanted) -> tuple[Case, ...]:
    return read_cases(folder) if wanted.data is None else cases_of_data(wanted.data, wanted.first)


def _question(cases: Sequence[Case]) -> str:
    return f"{len(cases)} {'case' if len(cases) == 1 else 'cases'}"


@asynccontextmanager
async def awake(
    workspace: Workspace, ui: Ui, what: str, title: Title = Title.EVALUATE
) -> AsyncIterator[tuple[OwnApp, Endpoint]]:
    """The app and its endpoint, whose model is ready; before one is woken the person is asked.

    Raises Dismissed; NothingAnswers, or another EndpointError, where there is no model that answers.
    """
    await raise_if_stopped(workspace.named_target())
    async with open_app(workspace) as own:
        await _agree_to_wake(own, ui, what, title)
        url, key = await awaited_endpoint(workspace, ui)
        async with Endpoint.open(url, key) as endpoint:
            ui.report("waking the model, if it sleeps", 2)
            readiness = await wake(endpoint, ui)
            if not readiness.ready:
                reason = f": {readiness.reason}" if readiness.reason else ""
                raise NothingAnswers(
                    f"{url} has no model that answers ({readiness.said}{reason}).", f"See {to(Do.STATUS)}."
                )
            yield own, endpoint


async def _agree_to_wake(own: OwnApp, ui: Ui, what: str, title: Title) -> None:
    listed = [await own.apps.replicas(own.app.name, one.name) for one in own.app.serving]
    costs = await _costs(own)
    if any(listed) or any(one.runs for one in own.app.serving):
        ui.announce(f"Asking {what} of {own.app.name}, whose replica runs. {costs}")
        return
    question = f"No replica of {own.app.name} runs; evaluating {what} wakes one. {costs}"
    await confirm(ui, f"{title}: {question}", "Wake it and evaluate")


async def _costs(own: OwnApp) -> str:
    """What runs up cost meanwhile, in a sentence."""
    app = own.app
    if own.target.local:
        return "It runs on this computer, which costs nothing."
    profile = await own.apps.profile_type(app)
    known = running((), profile_type=profile, region=app.location, template=app.template, local=False)
    amount = f"what that costs is not in the list of prices ({to(Do.PRICES)})"
    if known.hourly is not None:
        amount = f"about {known.hourly.in_words()} (list of {known.hourly.date})"
    idle = f"{known.idle.total_seconds():.0f} s"
    return f"{profile or 'It'} is billed while it runs, and until {idle} after the last answer: {amount}."


async def _ask(own: OwnApp, endpoint: Endpoint, cases: Sequence[Case], wanted: Wanted, ui: Ui) -> Evaluation:
    served = await served_models(endpoint)
    given = [*wanted.models, *([wanted.against] if wanted.against else [])]
    names = list(dict.fromkeys(name if name == PREVIOUS else served.named(name) for name in given))
    if not wanted.models:
        names = list(dict.fromkeys([*served.usual, *names]))
    against = _against(wanted, served, names)
    await check_lengths(endpoint, served.live, cases)
    progress = Progress(ui, len(names) * len(cases))
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        answers = [
            await _previous(own, endpoint, served, cases, progress.answered)
            if name == PREVIOUS
            else await ask_all(endpoint, name, cases, progress.answered)
            for name in names
        ]
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(f"Cancelled after {progress.done} of {progress.total} answers: nothing is kept.") from reason
    return Evaluation(endpoint.url, begun, tuple(answers), against)


def _against(wanted: Wanted, served: ServedModels, names: Sequence[str]) -> str:
    if wanted.against:
        return PREVIOUS if wanted.against == PREVIOUS else served.named(wanted.against)
    if PREVIOUS in names:
        return PREVIOUS
    return served.base if served.base in names and served.base else names[0]


class Progress:
    """Counts the answers that came."""

    def __init__(self, ui: Ui, total: int) -> None:
        self._ui, self.total, self.done = ui, total, 0

    def answered(self, _answer: Answer) -> None:
        self.done += 1
        self._ui.report(f"{self.done} of {self.total} answers", 5 + 90 * self.done // max(self.total, 1))


async def check_lengths(endpoint: Endpoint, model: str, cases: Sequence[Case]) -> None:
    """Raises CannotEvaluate for a case that the model's context does not hold; asks for no answer."""
    places = asyncio.Semaphore(AT_A_TIME)

    async def check(case: Case) -> None:
        async with places:
            told = await prompt_tokens(endpoint, model, case)
        count, most = (told or {}).get("count"), (told or {}).get("max_model_len")
        if isinstance(count, int) and isinstance(most, int) and count >= most:
            raise CannotEvaluate(
                f"{case.id} has {count} tokens; the model takes {most} with its answer.",
                "Shorten the case, or take it out; nothing was asked.",
            )

    tasks = [asyncio.ensure_future(check(case)) for case in cases]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _previous(
    own: OwnApp, endpoint: Endpoint, served: ServedModels, cases: Sequence[Case], answered: Callable[[Answer], None]
) -> Answers:
    """The answers of what was live before the last deploy, which is loaded beside what is live now."""
    if why := await why_not_beside(own, await patiently(endpoint.version) or {}):
        raise CannotEvaluate(f"{PREVIOUS} is loaded beside what serves, and {why}.", "Leave out previous.")
    async with own.cloud.file_share(own.target) as share:
        await tidy(endpoint, share)
        folder = await adapter_folder(endpoint, served.live)
        manifest = Manifest.parse(await share.read(MANIFEST_PATH))
        contents = previous_contents(manifest, folder, await share.list_directory(PurePosixPath(folder)))
        async with loaded_beside(endpoint, share, served.live, contents) as beside:
            found = await ask_all(endpoint, beside.name, cases, answered)
    return replace(found, model=PREVIOUS)


async def adapter_folder(endpoint: Endpoint, name: str) -> str:
    """The adapter's folder on the share. Raises CannotEvaluate for a model that is none."""
    version = await patiently(endpoint.version) or {}
    for adapter in version.get("adapters") or ():
        if adapter.get("id") == name:
            return str(adapter.get("path"))
    raise CannotEvaluate(f"{name or 'What answers by default'} is no adapter, so there is none before it.")


def _raise_if_below(found: Evaluation, wanted: Wanted, kept: Kept) -> None:
    """`--min` is for what was evaluated: not for the model that it is compared with, unless it is the only one."""
    if wanted.minimum is None:
        return
    asked = [each for each in found.models if each.model != found.against] or list(found.models)
    for model in asked:
        least = wanted.minimum * model.judged / 100 if wanted.minimum_is_percent else wanted.minimum
        if model.passed < least:
            failed = [each for each in model.answers if each.outcome is Outcome.FAILED]
            shown = f"{wanted.minimum:g}{'%' if wanted.minimum_is_percent else ''}"
            raise BelowMinimum(
                f"{model.model} passes {model.passed} of {model.judged} cases; --min {shown} was wanted.",
                f"See {kept.page}.",
                [f"{each.case.id}: {' '.join(each.missed)}" for each in failed],
            )
