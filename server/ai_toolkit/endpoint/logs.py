"""Use-case: Show inference streaming logs: follows the log of the running replica, and of the one after it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ai_toolkit.endpoint.address import OwnApp, open_app
from ai_toolkit.endpoint.what_runs import says
from ai_toolkit.errors import EndpointRefused, NetworkProblem
from ai_toolkit.polling import poll
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.container_apps import ContainerApps, Replica

_LOOK_AGAIN: Final = timedelta(seconds=3)
_UNLISTED: Final = (
    "a replica runs which the platform does not list, and the app does not tell its name; its log is in the portal"
)


async def follow_logs(workspace: Workspace, write: Callable[[list[str]], None], pause: timedelta = _LOOK_AGAIN) -> None:
    """Writes lines until it is cancelled. Nothing is woken: while no replica runs, it waits for one to start."""
    async with open_app(workspace) as own:
        apps, name = own.apps, own.app.name
        last, waiting = "", False
        told: tuple[str, ...] = ()  # revisions that were asked for a replica: each question keeps the app awake

        async def another_replica() -> "tuple[ContainerApp, Replica] | None":
            nonlocal waiting, told
            app = await apps.app(name)
            replicas: list[Replica] | None = await _listed(apps, app)
            unlisted = () if replicas else tuple(one.name for one in app.serving if one.runs)
            if unlisted and unlisted != told:
                replicas = await _unlisted(own, app)
                told = unlisted if replicas is not None else ()
            found = next((one for one in replicas or () if one.name != last and one.log_stream), None)
            if found is None and not waiting:
                waiting = True
                none = "no other replica runs; the next request to the endpoint starts one"
                write([f"--- {name}: {says(app) or (_UNLISTED if unlisted else none)}"])
            return None if found is None else (app, found)

        while True:
            app, replica = await poll(another_replica, every=_LOOK_AGAIN)
            write([f"--- {replica.name}"])
            async for line in apps.follow_log(app, replica):
                write([line])
            last, waiting, told = replica.name, False, ()
            await asyncio.sleep(pause.total_seconds())  # two replicas whose logs end at once would follow each other


async def last_lines(workspace: Workspace, lines: int = 100) -> list[str]:
    """The last lines (at most 300) of the running replica's log; empty when none runs."""
    async with open_app(workspace) as own:
        for replica in await _listed(own.apps, own.app) or await _unlisted(own, own.app) or ():
            return await own.apps.log_tail(own.app, replica, lines)
        if any(one.runs for one in own.app.serving):
            return [f"--- {own.app.name}: {_UNLISTED}"]
    return []


async def _listed(apps: "ContainerApps", app: "ContainerApp") -> "list[Replica]":
    """The replicas of the newest revision that has any, then those of the one that serves: the start is what one reads.

    Where another revision waits or fails to start, its log tells why.
    """
    names = [one.name for one in ((app.coming,) if app.coming else ()) + app.serving]
    if not names and app.current is not None:
        names = [app.current.name]
    return [replica for name in names for replica in await apps.replicas(app.name, name)]


async def _unlisted(own: OwnApp, app: "ContainerApp") -> "list[Replica] | None":
    """The replica that answers while Azure lists none; empty where it tells no name, None while it does not answer."""
    from ai_toolkit.endpoint.client import Endpoint  # noqa: PLC0415  (aiohttp: the editor's server starts without it)

    running = [one.name for one in app.serving if one.runs]
    if not running:
        return []
    async with Endpoint.open(own.endpoint, await own.key()) as endpoint:
        try:
            version = await endpoint.version()
        except (EndpointRefused, NetworkProblem):
            return None
    name = str((version or {}).get("replica") or "")
    revision = next((one for one in running if name.startswith(one)), running[0])
    return [own.apps.unlisted(app, revision, name)] if name else []
