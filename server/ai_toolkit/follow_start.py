"""Follows a replica from its start to the proof of what it loaded."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ai_toolkit.endpoint import Endpoint, Readiness
from ai_toolkit.errors import EndpointNotReady, ReplicaFailed
from ai_toolkit.loaded import loaded_is
from ai_toolkit.manifest import Manifest
from ai_toolkit.ui import Ui

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApp, ContainerApps, Replica

START_LIMIT: Final = timedelta(minutes=30)
_LOOK_AGAIN_SECONDS: Final = 0.5
_FAILED_STATES: Final = frozenset({"Failed", "Degraded"})


@dataclass(frozen=True)
class Start:
    """A start to follow: the replicas of before do not count, and the manifest says what must be loaded."""

    app: "ContainerApp"
    replicas_before: Collection[str]
    manifest: Manifest


async def follow_start(apps: "ContainerApps", endpoint: Endpoint, start: Start, ui: Ui) -> None:
    """Returns when a replica that is new answers with what the manifest names.

    Raises ReplicaFailed with the replica's last log lines, or EndpointNotReady after half an hour.
    """
    began = time.monotonic()
    said = ""
    while True:
        replica = await _new_replica(apps, start)
        readiness = await endpoint.readiness() if replica is not None else Readiness(False, "starting the replica")
        if replica is not None:
            await _raise_if_failed(apps, start, replica, readiness)
        stage = _in_words(readiness)
        if stage != said:
            ui.report(stage)
            said = stage
        if readiness.ready and loaded_is(await endpoint.version(), start.manifest):
            return
        if time.monotonic() - began > START_LIMIT.total_seconds():
            raise EndpointNotReady(start.app.name, readiness.stage, START_LIMIT)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _new_replica(apps: "ContainerApps", start: Start) -> "Replica | None":
    replicas = await apps.replicas(start.app.name, start.app.active_revision)
    return next((replica for replica in replicas if replica.name not in start.replicas_before), None)


async def _raise_if_failed(apps: "ContainerApps", start: Start, replica: "Replica", readiness: Readiness) -> None:
    reason = ""
    if readiness.failed:
        reason = readiness.reason or readiness.detail or "the app gave no reason."
    elif replica.restarts > 0 and not readiness.ready:
        reason = replica.reason or "its process ended."
    elif readiness.stage == "starting the replica":
        state, error = await apps.revision(start.app.name, start.app.active_revision)
        if state in _FAILED_STATES:
            reason = error or replica.reason or f"the revision is {state}."
    if reason:
        raise ReplicaFailed(reason, await apps.log_tail(start.app, replica))


def _in_words(readiness: Readiness) -> str:
    counted = f" {readiness.done} of {readiness.total}" if readiness.total else ""
    detail = f": {readiness.detail}" if readiness.detail and readiness.detail != readiness.stage else ""
    return f"{readiness.stage}{counted}{detail}"
