"""A new revision in the place of the one that serves, also where the GPU quota does not allow two."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.container_app import ContainerApp
from ai_toolkit.azure.container_apps import ContainerApps
from ai_toolkit.errors import DeploymentFailed, Interrupted, RevisionFailed
from ai_toolkit.polling import poll
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Ui

_LOOK_AGAIN: Final = timedelta(seconds=0.3)
_SERVES_LIMIT: Final = timedelta(minutes=30)
_CHANGE_LIMIT: Final = timedelta(minutes=15)
_BACK_LIMIT: Final = timedelta(minutes=1)
"""How long it is looked whether a revision that was activated again serves: it may have an image to pull first."""


@asynccontextmanager
async def new_revision(
    apps: ContainerApps, before: ContainerApp, properties: Mapping[str, Any], ui: Ui
) -> AsyncIterator[str]:
    """The name of the revision that has the changed properties, while it starts.

    Without properties it is the latest one, which is there already and does not serve yet. Where the quota does not
    allow a second replica, or is not known, the revision that holds the GPU is stopped first. When the block fails, the
    new revision is ended and what served before serves again; when it is cancelled, that serves again unless there is
    a new one, which goes on starting.
    """
    target = "" if properties or before.coming is None else before.coming.name
    is_there = False
    try:
        await _make_room(apps, before, target, ui)
        target = target or await _change(apps, before, properties, ui)
        is_there = True
        yield target
    except asyncio.CancelledError:
        if not is_there:
            await asyncio.shield(_bring_back_unless_new(apps, before, ui))
        raise
    except Exception:
        await _bring_back(apps, before, ui, target)
        raise


@asynccontextmanager
async def room_for_deployment(apps: ContainerApps, before: ContainerApp, ui: Ui) -> AsyncIterator[None]:
    """While a deployment makes a new revision, the one that holds the GPU is stopped as by `new_revision`.

    Where the deployment fails, or made no revision, what served before serves again; where what it wants is a revision
    that is there and inactive, that is activated; where the editor closes or the network is lost, the deployment goes
    on and keeps the room.
    """
    made_room = await _make_room(apps, before, "", ui)
    try:
        yield
    except DeploymentFailed:
        if made_room:
            await _bring_back(apps, before, ui)
        raise
    except Interrupted:
        if made_room:
            await _bring_back_unless_new(apps, before, ui)
        raise
    await _activate_wanted(apps, before, ui)


async def wait_until_it_serves(
    apps: ContainerApps, app: str, name: str, ui: Ui, limit: timedelta = _SERVES_LIMIT
) -> None:
    """Returns when the revision runs, or sleeps.

    Raises RevisionFailed, also for one that is inactive, and for one that has done neither within the limit.
    """

    async def look() -> bool | None:
        revision = await apps.revision(app, name)
        if revision.failed:
            raise RevisionFailed(revision.name, revision.state, revision.problem or "its replica ends")
        if not revision.active:
            raise RevisionFailed(revision.name, "deactivated", "somebody ended it while it started")
        if revision.serves:
            return True
        ui.report(f"revision {revision.name}: {revision.state.lower()}")
        return None

    try:
        await poll(look, every=_LOOK_AGAIN, limit=limit)
    except TimeoutError as error:
        waited = f"it has not started within {limit.total_seconds() / 60:.0f} minutes"
        raise RevisionFailed(name, "not running", waited) from error


async def _change(apps: ContainerApps, before: ContainerApp, properties: Mapping[str, Any], ui: Ui) -> str:
    """The revision that has the properties, as soon as it is there and active, which then starts.

    Raises RevisionFailed.
    """
    ui.report("making a new revision", 62)
    await asyncio.sleep(0)  # a cancellation that is due comes before anything is sent
    changing = asyncio.ensure_future(apps.update(before, properties))
    changing.add_done_callback(lambda task: task.cancelled() or task.exception())  # a failure is seen in the revision

    async def look() -> str | None:
        is_done = changing.done()
        now = await apps.app(before.name)
        if now.latest_revision != before.latest_revision:
            return now.latest_revision
        if not is_done:
            return None
        changing.result()
        # No other revision was made: the latest is what is wanted. It may have failed once and been ended; one that
        # runs takes a secret's new value when it starts again.
        await _run_again(apps, now)
        return now.latest_revision

    try:
        return await poll(look, every=_LOOK_AGAIN, limit=_CHANGE_LIMIT)
    except HttpResponseError as error:
        raise RevisionFailed(before.name, "as it was", str(error.message)) from error
    except TimeoutError as error:
        waited = f"Azure has made no new revision within {_CHANGE_LIMIT.total_seconds() / 60:.0f} minutes"
        raise RevisionFailed(before.name, "as it was", waited) from error
    finally:
        changing.cancel()


async def _run_again(apps: ContainerApps, app: ContainerApp) -> None:
    latest = app.revision(app.latest_revision)
    if latest is not None and latest.active:
        await apps.restart(app.name, latest.name)
    else:
        await apps.activate(app.name, app.latest_revision)


async def _make_room(apps: ContainerApps, before: ContainerApp, target: str, ui: Ui) -> bool:
    """Whether a revision was stopped for `target`: one that is new starts first, and would wait for the GPU for ever.

    `target` is empty while there is no such revision yet.
    """
    running = [one for one in before.active if await apps.has_replica(before.name, one)]
    if not running or target in {one.name for one in running}:
        return False
    left = await apps.gpus_left(before)
    if left is not None and left >= 1:
        return False
    coming = before.coming
    if coming is not None and coming.name != target:
        ui.announce(f"{coming.name}, which does not serve yet, is ended: the new revision takes its place.")
        await apps.deactivate(before.name, coming.name)
        if coming in running:
            return True
    serving = {one.name for one in before.serving}
    [held, *_] = sorted(running, key=lambda one: one.name not in serving)
    why = "is not known" if left is None else "allows no second replica"
    starts = f"{target}, which waits for it, can start" if target else "the new revision starts"
    ui.announce(f"The GPU quota {why}: {held.name} is stopped before {starts}.")
    await apps.deactivate(before.name, held.name)
    return True


async def _activate_wanted(apps: ContainerApps, before: ContainerApp, ui: Ui) -> None:
    """After a deployment: what it wants runs, or what served before where nothing else is wanted."""
    now = await apps.app(before.name)
    latest = now.revision(now.latest_revision)
    if latest is None or latest.active:
        return
    if latest.name in {one.name for one in before.serving}:
        await _bring_back(apps, before, ui)
        return
    ui.announce(f"What is wanted is {latest.name}, which was deactivated: it is activated again.")
    await apps.activate(now.name, latest.name)
    try:
        await wait_until_it_serves(apps, now.name, latest.name, ui)
    except RevisionFailed:
        await _bring_back(apps, before, ui, latest.name)
        raise


async def _bring_back_unless_new(apps: ContainerApps, before: ContainerApp, ui: Ui) -> None:
    if (await apps.app(before.name)).latest_revision == before.latest_revision:
        await _bring_back(apps, before, ui)


async def _bring_back(apps: ContainerApps, before: ContainerApp, ui: Ui, target: str = "") -> None:
    """Ends `target`, or what was made since, and lets those serve that did; says so after looking."""
    names = [one.name for one in before.serving]
    if not names:
        return  # nothing served before, so nothing is to be brought back
    now = await apps.app(before.name)
    made = now.latest_revision if now.latest_revision != before.latest_revision else ""
    failed = now.revision(target or made)
    if failed is not None and failed.active and failed.name not in names:
        await apps.deactivate(before.name, failed.name)
        ui.announce(f"{failed.name} failed and was ended.")
    for name in names:
        found = now.revision(name)
        if found is None or not found.active:
            await apps.activate(before.name, name)

    async def look() -> ContainerApp | None:
        app = await apps.app(before.name)
        back = [one for one in app.serving if one.name in names]
        is_failed = any((one := app.revision(name)) is not None and one.failed for name in names)
        return app if is_failed or (len(back) == len(names) and all(one.serves for one in back)) else None

    try:
        now = await poll(look, every=_LOOK_AGAIN, limit=_BACK_LIMIT)
    except TimeoutError:
        now = await apps.app(before.name)
    for name in names:
        ui.announce(_as_it_is(now, name))


def _as_it_is(app: ContainerApp, name: str) -> str:
    found = app.revision(name)
    if found is None or not found.active:
        return f"{name} could not be activated again: nothing serves. See {to(Do.STATUS)}."
    if found.failed:
        return f"{name} was activated again and is {found.state.lower()}: {found.problem or 'its replica ends'}"
    if found.serves and name in {one.name for one in app.serving}:
        return f"{name} serves again."
    return f"{name} was activated again and is {found.state.lower()}; see {to(Do.STATUS)}."
