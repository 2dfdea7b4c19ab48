"""Follows a replica from its start to the proof of what it loaded."""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ai_toolkit.deploy.action import loaded_is
from ai_toolkit.deploy.manifest import Manifest
from ai_toolkit.endpoint.client import NO_ANSWER, Endpoint, Readiness, Stage
from ai_toolkit.endpoint.stalled_start import phase_of_start, wait_or_stop
from ai_toolkit.endpoint.start_phase import Phase, StartPhase, Verdict
from ai_toolkit.errors import EndpointNotReady, EndpointRefused, NetworkProblem, ReplicaFailed
from ai_toolkit.polling import poll
from ai_toolkit.ui import Ui

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.container_apps import ContainerApps, Replica

LOADED_LIMIT: Final = timedelta(minutes=30)
_LOOK_AGAIN: Final = timedelta(seconds=0.5)
_ASK_PLATFORM_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Start:
    """A start to follow: of which revisions, the replicas of before do not count, the manifest says what must load."""

    app: "ContainerApp"
    revisions: tuple[str, ...]
    replicas_before: Collection[str]
    manifest: Manifest


async def follow_start(apps: "ContainerApps", endpoint: Endpoint, start: Start, ui: Ui) -> None:
    """Returns when every replica that runs has answered with what the manifest names.

    An app that is not ours cannot be asked what it loaded, which is said. Raises ReplicaFailed with the replica's last
    log lines, StartStalled where the platform does not go on, EndpointRefused for a key that is not the app's, or
    EndpointNotReady after half an hour.
    """
    said, readiness = "", NO_ANSWER
    proven: set[str] = set()
    platform = _Platform(apps, start)

    async def look() -> bool | None:
        nonlocal readiness, said
        replicas = await _new_replicas(apps, start)
        # Azure's list may be empty while the app serves.
        readiness = await endpoint.readiness() if replicas or await platform.runs() else NO_ANSWER
        for replica in replicas:
            await _raise_if_failed(apps, start, replica, readiness)
        if readiness is NO_ANSWER:
            readiness = replace(readiness, detail=await platform.detail(replicas))
        stage = readiness.in_words()
        if stage != said:
            ui.report(stage)
            said = stage
        if readiness.stage is Stage.NO_ANSWER:
            await platform.wait_or_stop(ui)
        running = {replica.name for replica in replicas}
        if not readiness.ready or not await _serves(apps, start):
            return None  # while another revision serves, it is that one which answered
        return await _is_proven(endpoint, start, proven, running, ui) or None

    try:
        await poll(look, every=_LOOK_AGAIN, limit=LOADED_LIMIT)
    except TimeoutError as error:
        raise EndpointNotReady(start.app.name, readiness.said, LOADED_LIMIT) from error
    for warning in readiness.warnings:
        ui.announce(f"Warning: {warning}")


class _Platform:
    """What the management plane knows while the app does not answer; asked a few times per minute."""

    def __init__(self, apps: "ContainerApps", start: Start) -> None:
        self._apps = apps
        self._start = start
        self._asked = -_ASK_PLATFORM_SECONDS
        self._detail = ""
        self._phase: StartPhase | None = None
        self._waited: set[Verdict | None] = set()
        self._runs = False
        self._asked_runs = -_ASK_PLATFORM_SECONDS

    async def runs(self) -> bool:
        """Whether a revision of the start has a replica, listed or not."""
        now = time.monotonic()
        if now - self._asked_runs >= _ASK_PLATFORM_SECONDS:
            self._asked_runs = now
            app = await self._apps.app(self._start.app.name)
            self._runs = any(one.runs for one in app.active if one.name in self._start.revisions)
        return self._runs

    async def detail(self, replicas: "list[Replica]") -> str:
        """The revision's state, until there is a replica; then the last line of the replica's log."""
        now = time.monotonic()
        if now - self._asked >= _ASK_PLATFORM_SECONDS:
            self._asked = now
            self._phase = await phase_of_start(self._apps, self._start.app, self._start.revisions)
            if self._phase is not None and self._phase.phase is not Phase.STARTED:
                self._detail = self._phase.in_words()
            elif replicas:
                lines = await _last_lines(self._apps, self._start, replicas[0], 1)
                self._detail = lines[-1].strip() if lines else replicas[0].reason
            else:
                revision = await self._apps.revision(self._start.app.name, self._start.revisions[0])
                self._detail = f"revision {revision.name} is {revision.state.lower()}"
        return self._detail

    async def wait_or_stop(self, ui: Ui) -> None:
        """Asks once about each reason why the start does not go on. Raises StartStalled."""
        found = self._phase
        if found is not None and found.verdict not in self._waited:
            self._waited.add(found.verdict)
            await wait_or_stop(self._apps, self._start.app, found, ui)


async def _is_proven(endpoint: Endpoint, start: Start, proven: set[str], running: set[str], ui: Ui) -> bool:
    """Asks once; whichever replica answered joins `proven` when it loaded what the manifest names."""
    try:
        version = await endpoint.version()
    except EndpointRefused as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return False  # another replica than the one that was ready, and not ready itself
    if version is None:
        ui.announce(f"{start.app.name} has no page /version, so what it loaded could not be proved.")
        return True
    if not loaded_is(version, start.manifest):
        return False
    if version.get("replica") in start.replicas_before:
        return False
    proven.add(str(version.get("replica")))
    if running <= proven or version.get("replica") is None:
        return True
    ui.report(f"{len(running & proven)} of {len(running)} replicas have loaded it")
    return False


async def _serves(apps: "ContainerApps", start: Start) -> bool:
    """Whether the requests go to the revisions of the start, all of them."""
    serving = (await apps.app(start.app.name)).serving
    return bool(serving) and all(one.name in start.revisions for one in serving)


async def _new_replicas(apps: "ContainerApps", start: Start) -> "list[Replica]":
    listed = [await apps.replicas(start.app.name, revision) for revision in start.revisions]
    return [replica for some in listed for replica in some if replica.name not in start.replicas_before]


async def _raise_if_failed(apps: "ContainerApps", start: Start, replica: "Replica", readiness: Readiness) -> None:
    reason = ""
    if readiness.failed:
        reason = readiness.reason or readiness.detail or "the app gave no reason."
    elif replica.restarts > 0 and not readiness.ready:
        reason = replica.reason or "its process ended."
    elif readiness.stage is Stage.NO_ANSWER:
        for name in start.revisions:
            revision = await apps.revision(start.app.name, name)
            if revision.failed:
                reason = revision.problem or replica.reason or f"the revision is {revision.state}."
    if reason:
        raise ReplicaFailed(reason, await _last_lines(apps, start, replica, 20))


async def _last_lines(apps: "ContainerApps", start: Start, replica: "Replica", lines: int) -> list[str]:
    """The end of the replica's log, or why it cannot be had: a start is not given up for want of its log."""
    try:
        return await apps.log_tail(start.app, replica, lines)
    except NetworkProblem as error:
        return [f"(its log: {error.message})"]
