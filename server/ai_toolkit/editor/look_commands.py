"""The editor's commands that look: the log, the status, the view "Endpoint". They wake nothing."""

import asyncio
from typing import TYPE_CHECKING, Final

from lsprotocol import types

from ai_toolkit.command_titles import Title
from ai_toolkit.editor import protocol
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.editor.dialogs import EditorUi
    from ai_toolkit.editor.server import Server

# Use-cases are imported when a command first needs them: they load the Azure SDKs, and initialize is answered before.
# ruff: noqa: PLC0415

FOCUS_VIEW: Final = "aiToolkit.endpoint.focus"
"""The editor's own command for the view, which it makes of the view's id."""
_Token = types.ProgressToken | None


async def show_logs(server: "Server", workspace: Workspace, _given: protocol.Answers, _token: _Token) -> None:
    """Brings the replica's log into sight and follows it; a second time offers to stop."""

    def write(lines: list[str], *, show: bool = False) -> None:
        params = protocol.ReplicaLogParams(tuple(lines), show)
        server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["replicaLog"], protocol.plain(params))

    async def follow() -> None:
        from ai_toolkit.azure.explain import for_people
        from ai_toolkit.endpoint.logs import follow_logs

        try:
            await follow_logs(workspace, write)
        except Exception as error:  # noqa: BLE001  (the person reads the log: it belongs there)
            write([f"--- {for_people(error)}"])

    async def check(_ui: "EditorUi") -> None:
        workspace.target()

    await server.run_command(workspace.uri, None, Title.SHOW_LOGS, check)  # an error gets its button
    write([], show=True)
    running = server.following.get(workspace)
    if running is None or running.done():
        server.following[workspace] = asyncio.ensure_future(follow())
        server.in_background(server.following[workspace])
    elif await server.offer("The logs are being shown.", ("Stop",)) == "Stop":
        running.cancel()
        write(["--- stopped"])


async def show_status(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    """Tells the state with what comes next, and brings the view that has the rest into sight."""
    message = ""
    following: dict[str, str] = {}

    async def work(ui: "EditorUi") -> None:
        nonlocal message, following
        from ai_toolkit.deploy.status import State, look

        found = await look(workspace, at_cloud=server.status.at_cloud, find_models=True)
        server.status.show(workspace, found)
        message = f"Inference: {found.state}. {found.detail}"
        ui.announce(message)
        if found.live is not None:
            ui.announce(found.in_words())
        all_following: dict[State, dict[str, str]] = {
            State.NOT_PROVISIONED: {Title.PROVISION: "provisionInference"},
            State.PROVISIONED: {Title.DEPLOY: "deployInference"},
            State.LIVE: {Title.GO_TO_ENDPOINT: "openEndpoint", **server.chat_button},
            State.NEWER_FILES: {Title.DEPLOY: "deployInference"},
            State.FAILED: {Title.SHOW_LOGS: "showLogs", Title.BRING_BACK: "bringBack"},
            State.AT_REST: {Title.DEPLOY: "deployInference", Title.PROVISION: "provisionInference"},
        }
        following = all_following.get(found.state, {})
        if found.is_billed_for_nothing:
            message = " ".join((message, *found.money()))
            following = {"Stop it": "stopInference", **following}

    await server.run_command(workspace.uri, token, Title.SHOW_STATUS, work)
    if workspace.target_path.exists():
        server.run_in_editor(protocol.Action("", FOCUS_VIEW))
    server.in_background(server.offer_commands(workspace, message, following))


async def refresh_endpoint(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    """Looks as `aitk status` does: the app is asked where a replica of it runs already."""

    async def work(_ui: "EditorUi") -> None:
        from ai_toolkit.deploy.status import look_quietly

        server.status.show(workspace, await look_quietly(workspace, at_cloud=server.status.at_cloud, ask_app=True))

    await server.run_command(workspace.uri, token, Title.REFRESH_ENDPOINT, work)
