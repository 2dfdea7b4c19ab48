"""The editor's commands that end what is billed, and begin it again."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from lsprotocol import types

from ai_toolkit.command_titles import Title
from ai_toolkit.editor import protocol
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.editor.dialogs import EditorUi
    from ai_toolkit.editor.server import Server
    from ai_toolkit.endpoint.stop_start import Switched
    from ai_toolkit.take_down.run import TakenDown

# Use-cases are imported when a command first needs them: they load the Azure SDKs, and initialize is answered before.
# ruff: noqa: PLC0415

_Token = types.ProgressToken | None


async def stop(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> "Switched":
    """Stops the app, after asking."""

    async def work(ui: "EditorUi") -> "Switched":
        from ai_toolkit.endpoint.stop_start import stop as use_case

        return await use_case(workspace, ui)

    return await _switch(server, workspace, token, Title.STOP, work)


async def start(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> "Switched":
    """Starts an app that was stopped."""

    async def work(ui: "EditorUi") -> "Switched":
        from ai_toolkit.endpoint.stop_start import start as use_case

        return await use_case(workspace, ui)

    return await _switch(server, workspace, token, Title.START, work)


async def _switch(
    server: "Server",
    workspace: Workspace,
    token: _Token,
    title: Title,
    work: Callable[["EditorUi"], Awaitable["Switched"]],
) -> "Switched":
    result = await server.run_command(workspace.uri, token, title, work)
    done = "stopped" if title is Title.STOP else "started"
    said = f"{result.app} is {done}." if result.changed else f"{result.app} was {done} already."
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))
    server.status.look(workspace)
    return result


async def take_down(server: "Server", workspace: Workspace, given: protocol.Answers, token: _Token) -> "TakenDown":
    """Removes what Provision made, after showing it and asking."""

    async def work(ui: "EditorUi") -> "TakenDown":
        from ai_toolkit.take_down.run import Answers
        from ai_toolkit.take_down.run import take_down as use_case

        return await use_case(workspace, ui, Answers(given.subscription, given.resource_group, ask_models=True))

    try:
        result = await server.run_command(workspace.uri, token, Title.TAKE_DOWN, work)
    finally:
        server.status.look(workspace)
    said = f"Taken down: {len(result.removed)} removed." if result.removed else "Nothing was there to remove."
    stays = f" Stays: {'; '.join(result.stays)}." if result.stays else ""
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said + stays))
    return result


async def refresh_prices(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    """Fetches the prices of today from Azure, for every region."""

    async def work(ui: "EditorUi") -> str:
        from ai_toolkit.prices.refresh import refresh

        ui.report("asking for the prices", 10)
        found = await refresh()
        return f"The list of prices is of {found.date} now, from: {found.source}"

    said = await server.run_command(workspace.uri, token, Title.REFRESH_PRICES, work)
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))
    server.status.look(workspace)
