"""The person in an editor: questions as custom requests, progress by token, announcements in the output channel."""

import asyncio
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lsprotocol import types

from ai_toolkit.editor import protocol
from ai_toolkit.errors import AiToolkitError, Dismissed, WorkspaceError
from ai_toolkit.operating_system import path_in
from ai_toolkit.ui import Input, Pick, Tone, WentBack

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer


class EditorUi:
    """A Ui in the editor, for one command and its work-done token (None when the editor sent none)."""

    def __init__(self, server: "LanguageServer", token: types.ProgressToken | None) -> None:
        self._server = server
        self._token = token
        self._percentage = 0
        self._reported = ""

    def begin(self, title: str) -> None:
        if self._token is not None:
            begin = types.WorkDoneProgressBegin(title=title, cancellable=True, percentage=0)
            self._server.work_done_progress.begin(self._token, begin)

    def end(self, message: str) -> None:
        if self._token is not None:
            self._server.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message))

    async def pick(self, question: Pick) -> str:
        items = tuple(
            protocol.PickItem(item.id, item.label, item.description, item.disabled) for item in question.items
        )
        params = protocol.PickParams(
            question.title, question.placeholder, question.step, question.steps, question.can_go_back, items
        )
        answer = await self._ask(protocol.EDITOR_REQUESTS["pick"], params, protocol.PickAnswer)
        if answer.id not in {item.id for item in question.items if not item.disabled}:
            raise AiToolkitError(f'The editor answered "{answer.id}", which was not offered.', "Update the extension.")
        return answer.id

    async def input(self, question: Input) -> str:
        params = protocol.InputParams(
            question.title,
            question.prompt,
            question.value,
            question.password,
            question.step,
            question.steps,
            question.can_go_back,
            question.pattern,
            question.hint,
        )
        answer = (await self._ask(protocol.EDITOR_REQUESTS["input"], params, protocol.InputAnswer)).value
        if question.pattern is not None and not re.fullmatch(question.pattern, answer):
            raise AiToolkitError(f"That does not fit: {question.hint}", "Run the command again.")
        return answer

    def report(self, message: str, percentage: int | None = None) -> None:
        if percentage is not None:
            self._percentage = max(self._percentage, min(percentage, 100))
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=message, percentage=self._percentage)
            self._server.work_done_progress.report(self._token, report)
        # Of what only counts upwards, the first line is enough for the channel.
        wording = re.sub(r"\d+", "0", message)
        self._say(types.MessageType.Debug if wording == self._reported else types.MessageType.Log, message)
        self._reported = wording

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        del tone  # the channel shows everything
        self._say(types.MessageType.Info, message)

    def _say(self, kind: types.MessageType, message: str) -> None:
        self._server.window_log_message(types.LogMessageParams(type=kind, message=message))

    async def _ask(self, method: str, params: object, kind: type[protocol.Message]) -> protocol.Message:
        number = str(uuid.uuid4())
        try:
            answer: Any = await self._server.protocol.send_request_async(method, protocol.plain(params), number)
        except asyncio.CancelledError:  # the question goes away with the command that asked it
            self._server.protocol.notify(types.CANCEL_REQUEST, types.CancelParams(number))
            raise
        if answer is None:
            raise Dismissed
        if answer == {"back": True}:
            raise WentBack
        try:
            return protocol.parse(answer, kind)
        except ValueError as error:
            raise AiToolkitError(f"The editor's answer to {method} does not fit: {error}.", "Update it.") from error


def path_of(uri: str) -> Path:
    """The file or folder that a URI names. Raises WorkspaceError."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise WorkspaceError(f"{uri} is not a folder on this machine.", "Open a folder.")
    return Path(path_in(parts.netloc, parts.path, type(Path())))
