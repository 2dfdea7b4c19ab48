"""The JSON-RPC edge: a server with its commands, on stdin and stdout."""

import asyncio
import logging
import os
import sys
from typing import Any, Final

from lsprotocol import types

from ai_toolkit.azure.sign_in_choice import SIGN_IN, SignIn
from ai_toolkit.editor import chat, commands, documents, evaluation, options, protocol
from ai_toolkit.editor.server import Server
from ai_toolkit.evaluation.cases import SUFFIX
from ai_toolkit.two_faces import FACE, Face

log = logging.getLogger(__name__)


def build_server() -> Server:
    """A server with its commands registered."""
    server = Server()
    commands.register(server)
    documents.register(server)
    chat.register(server)
    evaluation.register(server)

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.status.at_cloud = options.trusted(params.initialization_options)
        server.has_chat = options.has_chat(params.initialization_options)
        os.environ.update(options.variables(params.initialization_options))

    @server.feature(types.INITIALIZED)
    async def initialized(_params: types.InitializedParams) -> None:
        asyncio.get_running_loop().set_exception_handler(_log_unheard)
        server.in_background(server.watch_files())
        for workspace in server.folders():
            server.status.look(workspace)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed(params: types.DidChangeWatchedFilesParams) -> None:
        if any(change.uri.endswith(SUFFIX) for change in params.changes):
            evaluation.cases_changed(server)
        for workspace in server.folders():
            server.status.look(workspace, delayed=True)

    @server.feature(protocol.SERVER_NOTIFICATIONS["look"])
    def look(_params: Any) -> None:  # noqa: ANN401  (any JSON)
        for workspace in server.folders():
            server.status.look(workspace)

    @server.feature(types.SHUTDOWN)
    async def shutdown(_params: None) -> None:
        await server.end_commands()

    return server


def _log_unheard(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waits for, such as a connection that breaks because its request was cancelled."""
    log.debug("%s", context.get("message"), exc_info=context.get("exception"))


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
    FACE.set(Face.EDITOR)
    # What libraries warn of would reach stderr, which the editor shows as errors: a way to sign in that is not set up.
    logging.getLogger().addHandler(logging.NullHandler())
    server = build_server()
    SIGN_IN.set(SignIn(server.credential, server.editor_token))
    package = logging.getLogger("ai_toolkit")
    package.setLevel(logging.DEBUG)
    package.propagate = False
    package.addHandler(_OutputChannel(server))
    server.start_io(stdout=wire)
