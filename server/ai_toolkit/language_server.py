"""The JSON-RPC edge: commands of the editor become use-cases, errors become JSON-RPC errors for people."""

import asyncio
import dataclasses
import logging
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cattrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcRequestCancelled
from pygls.lsp.server import LanguageServer
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    LanguageServerProtocol,
    default_converter,
    lsp_method,
)

from ai_toolkit import __version__, protocol
from ai_toolkit.editor_ui import EditorUi
from ai_toolkit.errors import Dismissed, WorkspaceError, for_people
from ai_toolkit.workspace import Workspace

log = logging.getLogger(__name__)

GO_TO_ENDPOINT: Final = "Go to Inference Endpoint"
DEPLOY: Final = "Deploy for inference"
_COMMAND_FAILED: Final = -32803  # LSP: RequestFailed

_Work = Callable[[EditorUi], Awaitable[Any]]


class _CommandProtocol(LanguageServerProtocol):
    """pygls' protocol, whose commands get their whole parameters: the work-done token too."""

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    def lsp_workspace__execute_command(self, params: types.ExecuteCommandParams) -> Generator[Any, Any, Any]:
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise JsonRpcInvalidParams(f"There is no command {params.command}.")
        return (yield handler, (params,), {})


def _converter() -> cattrs.Converter:
    """Pygls' converter, which leaves what LSP does not define as plain JSON (no namedtuples)."""
    converter: cattrs.Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(
        JsonRPCResponseMessage, lambda d, _: JsonRPCResponseMessage(d["id"], d["jsonrpc"], d.get("result"))
    )
    converter.register_structure_hook(
        JsonRPCRequestMessage,
        lambda d, _: JsonRPCRequestMessage(d["id"], d["method"], d["jsonrpc"], d.get("params")),
    )
    converter.register_structure_hook(
        JsonRPCNotification, lambda d, _: JsonRPCNotification(d["method"], d["jsonrpc"], d.get("params"))
    )
    return converter


class Server(LanguageServer):
    """The language server; it owns the tasks of its commands and ends them when it is shut down."""

    def __init__(self) -> None:
        super().__init__("ai-toolkit-server", __version__, protocol_cls=_CommandProtocol, converter_factory=_converter)
        self._tasks: set[asyncio.Task[Any]] = set()

    def report_server_error(self, error: Exception, source: Any) -> None:  # noqa: ANN401  (pygls' own)
        log.debug("%s: %s", source, error)

    async def run_command(self, token: types.ProgressToken | None, title: str, work: _Work) -> Any:  # noqa: ANN401
        """The result of the work as JSON; progress begins and ends, and Cancel cancels it."""
        ui = EditorUi(self, token)
        task = self._start(work(ui))
        ui.begin(title)
        if token is not None:
            self.work_done_progress.tokens[token].add_done_callback(lambda _: task.cancel())
        ended = "failed"
        try:
            result = await task
        except asyncio.CancelledError as error:
            ended = "cancelled"
            ui.announce(f"{title}: cancelled.")
            raise JsonRpcRequestCancelled("Cancelled.") from error
        except Dismissed as error:
            ended = "cancelled"
            raise JsonRpcRequestCancelled(error.message) from error
        except Exception as error:
            log.debug("%s failed", title, exc_info=error)
            told = for_people(error)
            self.window_log_message(types.LogMessageParams(types.MessageType.Error, str(told)))
            data = {"code": told.code, "advice": told.advice}
            raise JsonRpcException(str(told), code=_COMMAND_FAILED, data=data) from None
        else:
            ended = "done"
            return dataclasses.asdict(result)
        finally:
            ui.end(ended)
            if token is not None:
                self.work_done_progress.tokens.pop(token, None)

    def in_background(self, work: Awaitable[Any]) -> None:
        """Runs the work without anybody waiting for it; its failure is logged."""
        self._start(work).add_done_callback(_log_failure)

    async def end_commands(self) -> None:
        """Cancels what runs and waits for its clean-up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def build_server() -> Server:
    """A server with its commands registered."""
    server = Server()

    @server.feature(types.SHUTDOWN)
    async def shutdown(_params: None) -> None:
        await server.end_commands()

    @server.command(protocol.COMMANDS["provisionInference"])
    async def provision(params: types.ExecuteCommandParams) -> Any:  # noqa: ANN401  (any JSON)
        workspace, given = _argument(params)
        return await _provision(server, workspace, given, params.work_done_token)

    @server.command(protocol.COMMANDS["deployInference"])
    async def deploy(params: types.ExecuteCommandParams) -> Any:  # noqa: ANN401  (any JSON)
        workspace, _given = _argument(params)
        return await _deploy(server, workspace, params.work_done_token)

    return server


async def _provision(
    server: Server, workspace: Workspace, given: protocol.Answers, token: types.ProgressToken | None
) -> Any:  # noqa: ANN401  (any JSON)
    async def work(ui: EditorUi) -> Any:  # noqa: ANN401  (Provisioned, imported late)
        from ai_toolkit.choose_target import Answers  # noqa: PLC0415  (initialize is answered before this loads)
        from ai_toolkit.provision import provision  # noqa: PLC0415

        answers = Answers(given.subscription, given.resource_group, given.location)
        return await provision(workspace, ui, answers)

    result = await server.run_command(token, "Provision Azure Container Apps for inference", work)
    server.in_background(_offer_deploy(server, workspace, result["endpoint"]))
    return result


async def _deploy(server: Server, workspace: Workspace, token: types.ProgressToken | None) -> Any:  # noqa: ANN401
    async def work(ui: EditorUi) -> Any:  # noqa: ANN401  (Deployed, imported late)
        from ai_toolkit.deploy import deploy  # noqa: PLC0415  (initialize is answered before this loads)

        return await deploy(workspace, ui)

    result = await server.run_command(token, "Deploy for inference", work)
    server.in_background(_offer_endpoint(server, workspace, result["endpoint"]))
    return result


async def _offer_deploy(server: Server, workspace: Workspace, endpoint: str) -> None:
    if await _offer(server, f"Provisioned for inference: {endpoint}", DEPLOY):
        token = str(uuid.uuid4())
        await server.work_done_progress.create_async(token)
        try:
            await _deploy(server, workspace, token)
        except JsonRpcRequestCancelled:
            return
        except JsonRpcException as error:
            server.window_show_message(types.ShowMessageParams(types.MessageType.Error, error.message))


async def _offer_endpoint(server: Server, workspace: Workspace, endpoint: str) -> None:
    if await _offer(server, f"The model is deployed: {endpoint}", GO_TO_ENDPOINT):
        from ai_toolkit.endpoint import signed_link  # noqa: PLC0415  (initialize is answered before this loads)
        from ai_toolkit.inspect_target import endpoint_key  # noqa: PLC0415

        link = signed_link(endpoint, await endpoint_key(workspace))
        await server.window_show_document_async(types.ShowDocumentParams(uri=link, external=True))


async def _offer(server: Server, message: str, action: str) -> bool:
    chosen = await server.window_show_message_request_async(
        types.ShowMessageRequestParams(types.MessageType.Info, message, [types.MessageActionItem(title=action)])
    )
    return chosen is not None and chosen.title == action


def _argument(params: types.ExecuteCommandParams) -> tuple[Workspace, protocol.Answers]:
    arguments = params.arguments or ()
    if len(arguments) != 1:
        raise JsonRpcInvalidParams("One argument is expected: {workspaceFolder, answers?}.")
    try:
        argument = protocol.parse(arguments[0], protocol.CommandArgument)
        folder = _folder(argument.workspace_folder)
    except (ValueError, WorkspaceError) as error:
        raise JsonRpcInvalidParams(f"The argument does not fit: {error}") from None
    return Workspace(folder), argument.answers or protocol.Answers()


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise WorkspaceError(f"{uri} is not a folder on this machine.", "Open a folder.")
    return Path(url2pathname(parts.path))


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s", for_people(task.exception() or RuntimeError()))


class _OutputChannel(logging.Handler):
    """Sends this package's log records to the editor's output channel."""

    _LEVELS: Final = (
        (logging.ERROR, types.MessageType.Error),
        (logging.WARNING, types.MessageType.Warning),
        (logging.INFO, types.MessageType.Info),
    )

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        kind = next((kind for level, kind in self._LEVELS if record.levelno >= level), types.MessageType.Debug)
        self._server.window_log_message(types.LogMessageParams(type=kind, message=self.format(record)))


def run() -> None:
    """Serves stdin and stdout until the editor ends or closes them."""
    # A stray print() would break the wire for good: the protocol keeps the real stdout for itself.
    wire = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    server = build_server()
    package = logging.getLogger("ai_toolkit")
    package.setLevel(logging.DEBUG)
    package.propagate = False
    package.addHandler(_OutputChannel(server))
    server.start_io(stdout=wire)
