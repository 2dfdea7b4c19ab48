"""Use-case: Show inference streaming logs: follows the log of the running replica, and of the one after it."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ai_toolkit.endpoint.address import open_app
from ai_toolkit.polling import poll
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApp, Replica

_LOOK_AGAIN: Final = timedelta(seconds=3)


async def follow_logs(workspace: Workspace, write: Callable[[list[str]], None]) -> None:
    """Writes lines until it is cancelled. Nothing is woken: while no replica runs, it waits for one to start."""
    async with open_app(workspace) as own:
        apps, name = own.apps, own.app.name
        last, waiting = "", False

        async def another_replica() -> "tuple[ContainerApp, Replica] | None":
            nonlocal waiting
            app = await apps.app(name)
            replicas = await apps.replicas(app.name, app.active_revision)
            found = next((one for one in replicas if one.name != last and one.log_stream), None)
            if found is None and not waiting:
                waiting = True
                write([f"--- {name}: no other replica runs; the next request to the endpoint starts one"])
            return None if found is None else (app, found)

        while True:
            app, replica = await poll(another_replica, every=_LOOK_AGAIN)
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
