"""Use-case: Show inference streaming logs: follows the log of the running replica, and of the one after it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.what_runs import says
from ai_toolkit.polling import poll
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.container_apps import ContainerApps, Replica

_LOOK_AGAIN: Final = timedelta(seconds=3)


async def follow_logs(workspace: Workspace, write: Callable[[list[str]], None], pause: timedelta = _LOOK_AGAIN) -> None:
    """Writes lines until it is cancelled. Nothing is woken: while no replica runs, it waits for one to start."""
    async with open_app(workspace) as own:
        apps, name = own.apps, own.app.name
        last, waiting = "", False

        async def another_replica() -> "tuple[ContainerApp, Replica] | None":
            nonlocal waiting
            app = await apps.app(name)
            replicas = await _replicas(apps, app)
            found = next((one for one in replicas if one.name != last and one.log_stream), None)
            if found is None and not waiting:
                waiting = True
                why = says(app) or "no other replica runs; the next request to the endpoint starts one"
                write([f"--- {name}: {why}"])
            return None if found is None else (app, found)

        while True:
            app, replica = await poll(another_replica, every=_LOOK_AGAIN)
            write([f"--- {replica.name}"])
            async for line in apps.follow_log(app, replica):
                write([line])
            last, waiting = replica.name, False
            await asyncio.sleep(pause.total_seconds())  # two replicas whose logs end at once would follow each other


async def last_lines(workspace: Workspace, lines: int = 100) -> list[str]:
    """The last lines (at most 300) of the running replica's log; empty when none runs."""
    async with open_app(workspace) as own:
        for replica in await _replicas(own.apps, own.app):
            return await own.apps.log_tail(own.app, replica, lines)
    return []


async def _replicas(apps: "ContainerApps", app: "ContainerApp") -> "list[Replica]":
    """The replicas of the newest revision that has any, then those of the one that serves: the start is what one reads.

    Where another revision waits or fails to start, its log tells why.
    """
    names = [one.name for one in ((app.coming,) if app.coming else ()) + app.serving]
    if not names and app.current is not None:
        names = [app.current.name]
    return [replica for name in names for replica in await apps.replicas(app.name, name)]
