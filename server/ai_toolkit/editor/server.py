"""The language server itself: it runs commands as tasks of its own; errors become JSON-RPC errors for people."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, TypeVar

import cattrs
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcMethodNotFound,
    JsonRpcRequestCancelled,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    LanguageServerProtocol,
    default_converter,
    lsp_method,
)

from ai_toolkit import __version__
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.sign_in_choice import CREDENTIALS
from ai_toolkit.command_titles import Title
from ai_toolkit.editor import protocol
from ai_toolkit.editor.chat import Chat
from ai_toolkit.editor.dialogs import EditorUi, path_of
from ai_toolkit.editor.status_bar import StatusBar
from ai_toolkit.errors import (
    AiToolkitError,
    Dismissed,
    EndpointNotReady,
    FileMissing,
    FolderNotTrusted,
    Interrupted,
    NoFolderOpen,
    ReplicaFailed,
    ResourceMissing,
    RevisionFailed,
    SignInNeeded,
    StartStalled,
    WorkspaceError,
)
from ai_toolkit.evaluation.errors import CasesMissing
from ai_toolkit.ui import CLOSING
from ai_toolkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)

_COMMAND_FAILED: Final = -32803  # LSP: RequestFailed
_WATCHED: Final = "**/{infra,inference,models,evaluation}/**"

_Result = TypeVar("_Result")


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
        self.status = StatusBar(self._show_status, self.in_background)
        self.chat = Chat(self)
        self.has_chat = False
        """Whether the editor takes language models of extensions."""
        self.following: dict[Workspace, asyncio.Task[None]] = {}
        """Whose logs are being shown."""

    async def credential(self) -> str:
        """The setting `aiToolkit.credential`, as it is now."""
        found = await self._setting("aiToolkit.credential")
        return found if isinstance(found, str) and found in CREDENTIALS else "auto"

    async def gates_deploys(self) -> bool:
        """The setting `aiToolkit.deploy.gate`, as it is now."""
        return await self._setting("aiToolkit.deploy.gate") is True

    async def _setting(self, section: str) -> Any:  # noqa: ANN401  (any JSON)
        about = self.client_capabilities.workspace
        if about is None or not about.configuration:
            return None
        asked = types.ConfigurationParams([types.ConfigurationItem(section=section)])
        (found,) = await self.workspace_configuration_async(asked)
        return found

    async def editor_token(self, scope: str, tenant: str | None, sign_in: bool) -> str | None:  # noqa: FBT001  (EditorTokens)
        """A token of the editor's own account; None when nobody is signed in. Raises SignInNeeded."""
        params = protocol.plain(protocol.AccessTokenParams((scope,), tenant, sign_in))
        try:
            answer = await self.protocol.send_request_async(protocol.EDITOR_REQUESTS["accessToken"], params)
        except JsonRpcMethodNotFound:
            return None  # an editor without accounts of its own
        except JsonRpcException as error:
            raise SignInNeeded(f"{error.message.rstrip('.')}.") from error
        return None if answer is None else protocol.parse(answer, protocol.AccessToken).token

    def folders(self) -> list[Workspace]:
        """The folders that are open in the editor, and on this machine."""
        uris = [folder.uri for folder in self.workspace.folders.values()]
        return [Workspace(path_of(uri)) for uri in uris if uri.startswith("file:")]

    async def watch_files(self) -> None:
        """Asks an editor that can to tell of changes in the folders that a status or a diagnostic depends on."""
        about = self.client_capabilities.workspace
        watching = about.did_change_watched_files if about is not None else None
        if watching is not None and watching.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(_WATCHED)])
            method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
            registration = types.Registration("watched-files", method, options)
            await self.client_register_capability_async(types.RegistrationParams([registration]))

    async def offer(self, message: str, actions: tuple[str, ...]) -> str | None:
        """Tells the person; the title of the button that was pressed, or None."""
        items = [types.MessageActionItem(title) for title in actions]
        params = types.ShowMessageRequestParams(types.MessageType.Info, message, items)
        chosen = await self.window_show_message_request_async(params)
        return chosen.title if chosen is not None and chosen.title in actions else None

    async def offer_commands(self, workspace: Workspace, message: str, following: dict[str, str]) -> None:
        """Tells the person, with buttons that run the commands: the editor runs them as if from its palette."""
        chosen = await self.offer(message, tuple(following))
        if chosen is not None:
            self.run_in_editor(protocol.Action(chosen, f"aiToolkit.{following[chosen]}", workspace.uri))

    def run_in_editor(self, action: protocol.Action) -> None:
        """Has the editor run a command of its own."""
        self.protocol.notify(protocol.EDITOR_NOTIFICATIONS["run"], protocol.plain(action))

    @property
    def chat_button(self) -> dict[str, str]:
        """The button, where the editor has a chat that takes the model."""
        return {Title.USE_IN_CHAT: "useInChat"} if self.has_chat else {}

    def report_server_error(self, error: Exception, source: Any) -> None:  # noqa: ANN401  (pygls' own)
        log.debug("%s: %s", source, error)

    async def run_command(
        self,
        folder: str | None,
        token: types.ProgressToken | None,
        title: str,
        work: Callable[[EditorUi], Awaitable[_Result]],
    ) -> _Result:
        """The result of the work; progress begins and ends, and Cancel cancels it.

        `folder`: the URI for the buttons that help after a failure.
        """
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
            raise JsonRpcRequestCancelled(str(Interrupted())) from error
        except (Dismissed, Interrupted) as error:
            ended = "cancelled"
            ui.announce(str(error))
            raise JsonRpcRequestCancelled(str(error)) from error
        except Exception as error:
            log.debug("%s failed", title, exc_info=error)
            told = for_people(error)
            self.window_log_message(types.LogMessageParams(types.MessageType.Error, str(told)))
            data = protocol.ErrorData(told.code, told.advice, _helping(told, folder))
            raise JsonRpcException(told.in_brief, code=_COMMAND_FAILED, data=protocol.plain(data)) from None
        else:
            ended = "done"
            return result
        finally:
            ui.end(ended)
            if token is not None:
                self.work_done_progress.tokens.pop(token, None)

    def in_background(self, work: Awaitable[Any]) -> None:
        """Runs the work without anybody waiting for it; its failure is logged."""
        self._start(work).add_done_callback(_log_failure)

    def _show_status(self, params: protocol.StatusParams) -> None:
        self.protocol.notify(protocol.EDITOR_NOTIFICATIONS["status"], protocol.plain(params))

    async def end_commands(self) -> None:
        """Cancels what runs and waits for its clean-up."""
        for task in self._tasks:
            task.cancel(CLOSING)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Awaitable[_Result]) -> asyncio.Task[_Result]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s", for_people(task.exception() or RuntimeError()))


def _helping(error: AiToolkitError, folder: str | None) -> tuple[protocol.Action, ...]:
    """The buttons that do what the error advises."""
    found: tuple[tuple[str, str], ...] = ()
    match error:
        case NoFolderOpen():
            return (protocol.Action("Open folder", "workbench.action.files.openFolder"),)
        case FolderNotTrusted():
            return (protocol.Action("Manage workspace trust", "workbench.trust.manage"),)
        case WorkspaceError(may_be_sent=True):
            found = ((Title.DEPLOY_ALL_THE_SAME, "deployAllTheSame"),)
        case FileMissing(path=path) if path.name != "inference.config.json":
            found = ((Title.CREATE_PROJECT, "createProject"),)
        case CasesMissing():
            found = ((Title.CREATE_PROJECT, "createProject"),)
        case FileMissing() | ResourceMissing():
            found = (("Provision", "provisionInference"),)
        case ReplicaFailed() | RevisionFailed() | StartStalled() | EndpointNotReady():
            found = ((Title.BRING_BACK, "bringBack"), (Title.SHOW_LOGS, "showLogs"))
    return tuple(protocol.Action(title, f"aiToolkit.{command}", folder) for title, command in found)
