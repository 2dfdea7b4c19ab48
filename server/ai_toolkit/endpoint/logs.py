"""Use-case: Show inference streaming logs: follows the log of the running replica, and of the one after it."""

import asyncio
from collections.abc import Callable
from typing import Final

from ai_toolkit.endpoint.address import open_app
from ai_toolkit.workspace.workspace import Workspace

_LOOK_AGAIN_SECONDS: Final = 3.0


async def follow_logs(workspace: Workspace, write: Callable[[list[str]], None]) -> None:
    """Writes lines until it is cancelled. Nothing is woken: while no replica runs, it waits for one to start."""
    async with open_app(workspace) as own:
        apps, name = own.apps, own.app.name
        last, waiting = "", False
        while True:
            app = await apps.app(name)
            replicas = await apps.replicas(app.name, app.active_revision)
            replica = next((one for one in replicas if one.name != last and one.log_stream), None)
            if replica is None:
                if not waiting:
                    write([f"--- {name}: no other replica runs; the next request to the endpoint starts one"])
                waiting = True
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                continue
            write([f"--- {replica.name}"])
            async for line in apps.follow_log(app, replica):
                write([line])
            last, waiting = replica.name, False


async def last_lines(workspace: Workspace, lines: int = 100) -> list[str]:
    """The last lines (at most 300) of the running replica's log; empty when none runs."""
    async with open_app(workspace) as own:
        for replica in await own.apps.replicas(own.app.name, own.app.active_revision):
            return await own.apps.log_tail(own.app, replica, lines)
    return []
