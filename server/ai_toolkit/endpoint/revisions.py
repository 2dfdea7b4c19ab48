"""A new revision in the place of the one that serves, also where the GPU quota does not allow two."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.container_apps import ContainerApp, ContainerApps
from ai_toolkit.errors import DeploymentFailed, Interrupted, RevisionFailed
from ai_toolkit.polling import poll
from ai_toolkit.ui import Ui

_LOOK_AGAIN: Final = timedelta(seconds=0.3)


@asynccontextmanager
async def new_revision(
    apps: ContainerApps, before: ContainerApp, properties: Mapping[str, Any], ui: Ui
) -> AsyncIterator[ContainerApp]:
    """The app with a revision that has the changed properties, while it starts.

    Where the quota does not allow a second replica, or is not known, the old revision is stopped first. When the block
    fails, the new revision is ended and the old one serves again; when it is cancelled, the old one serves again unless
    there is a new one, which goes on starting.
    """
    try:
        await _stop_for_room(apps, before, ui)
        yield await _change(apps, before, properties, ui)
    except asyncio.CancelledError:
        await asyncio.shield(_bring_back_unless_new(apps, before, ui))
        raise
    except Exception:
        await _bring_back(apps, before, ui)
        raise


@asynccontextmanager
async def room_for_deployment(apps: ContainerApps, before: ContainerApp, ui: Ui) -> AsyncIterator[None]:
    """While a deployment makes a new revision, the old one is stopped as by `new_revision`.

    Where the deployment fails, or made no revision, the old one serves again; where the editor closes or the network
    is lost, the deployment goes on and keeps the room.
    """
    if not await _stop_for_room(apps, before, ui):
        yield
        return
    try:
        yield
    except DeploymentFailed:
        await _bring_back(apps, before, ui)
        raise
    except Interrupted:
        await _bring_back_unless_new(apps, before, ui)
        raise
    await _bring_back_unless_new(apps, before, ui)


async def wait_until_it_serves(apps: ContainerApps, app: ContainerApp, ui: Ui) -> None:
    """Returns when the app's active revision runs, or sleeps. Raises RevisionFailed."""

    async def look() -> bool | None:
        revision = await apps.revision(app.name, app.active_revision)
        if revision.failed:
            raise RevisionFailed(revision.name, revision.state, revision.problem or "its replica ends")
        if revision.serves:
            return True
        ui.report(f"revision {revision.name}: {revision.state.lower()}")
        return None

    await poll(look, every=_LOOK_AGAIN)


async def _change(apps: ContainerApps, before: ContainerApp, properties: Mapping[str, Any], ui: Ui) -> ContainerApp:
    """The app as soon as it names another revision, which then starts. Raises RevisionFailed."""
    ui.report("making a new revision", 62)
    changing = asyncio.ensure_future(apps.update(before, properties))
    changing.add_done_callback(lambda task: task.cancelled() or task.exception())  # a failure is seen in the revision

    async def look() -> ContainerApp | None:
        is_done = changing.done()
        now = await apps.app(before.name)
        if now.active_revision != before.active_revision:
            return now
        if is_done:
            changing.result()
            # The same as the latest, which had failed and was ended: it is tried again.
            await apps.activate(now.name, now.latest_revision)
            return replace(now, active_revision=now.latest_revision)
        return None

    try:
        return await poll(look, every=_LOOK_AGAIN)
    except HttpResponseError as error:
        raise RevisionFailed(before.name, "as it was", str(error.message)) from error
    finally:
        changing.cancel()


async def _stop_for_room(apps: ContainerApps, before: ContainerApp, ui: Ui) -> bool:
    """Whether the old revision was stopped: a new one starts first, and would wait for the GPU for ever."""
    if not await apps.replicas(before.name, before.active_revision):
        return False
    left = await apps.gpus_left(before)
    if left is not None and left >= 1:
        return False
    why = "is not known" if left is None else "allows no second replica"
    ui.announce(f"The GPU quota {why}: {before.active_revision} is stopped before the new revision starts.")
    await apps.deactivate(before.name, before.active_revision)
    return True


async def _bring_back_unless_new(apps: ContainerApps, before: ContainerApp, ui: Ui) -> None:
    if (await apps.app(before.name)).latest_revision == before.latest_revision:
        await _bring_back(apps, before, ui)


async def _bring_back(apps: ContainerApps, before: ContainerApp, ui: Ui) -> None:
    now = (await apps.app(before.name)).active_revision
    if now != before.active_revision:
        await apps.deactivate(before.name, now)
        ui.announce(f"{now} failed and was ended.")
    await apps.activate(before.name, before.active_revision)
    ui.announce(f"{before.active_revision} serves again.")
