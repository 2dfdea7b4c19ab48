"""An editor as the language server sees one: a real language client whose person answers in advance."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

LIMIT_SECONDS = 200
BACK = "<back>"


@dataclass
class Editor:
    """What an editor shows: answers are given in advance, and an unforeseen question fails the test."""

    client: LanguageClient
    answers: dict[str, Any]
    buttons: dict[str, asyncio.Future[types.ShowMessageRequestParams]] = field(default_factory=dict)
    pressed: set[str] = field(default_factory=set)
    asked: list[Any] = field(default_factory=list)
    progress: list[Any] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    offered: list[list[str]] = field(default_factory=list)
    opened: asyncio.Queue[types.ShowDocumentParams] = field(default_factory=asyncio.Queue)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: Callable[[str | None, bool], str | None] = lambda _tenant, _sign_in: None
    """The editor's own account: a token for a tenant; the person signs in where that is allowed."""
    token_requests: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    following: asyncio.Queue["asyncio.Task[Any]"] = field(default_factory=asyncio.Queue)
    """The commands that pressed buttons ran, in their order."""
    ran: int = 0
    said: asyncio.Queue[types.ShowMessageParams] = field(default_factory=asyncio.Queue)
    found: asyncio.Queue[types.PublishDiagnosticsParams] = field(default_factory=asyncio.Queue)
    """What is said of the open documents."""
    kept: dict[str, str] = field(default_factory=dict)
    """The editor's secrets."""
    clipboard: list[str] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)
    """What came of the questions to a model."""
    part_came: asyncio.Event = field(default_factory=asyncio.Event)
    models_changed: int = 0
    chats: list[str] = field(default_factory=list)
    """The models that the chat was opened with."""
    results: list[Any] = field(default_factory=list)
    """What became of cases."""
    result_came: asyncio.Event = field(default_factory=asyncio.Event)
    pages: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    messages: list[str] = field(default_factory=list)
    """What notifications said."""
    diagnosed: list[str] = field(default_factory=list)
    """What was found in documents."""
    statuses: list[Any] = field(default_factory=list)
    """What the status bar and the view "Endpoint" were told."""
    status_came: asyncio.Event = field(default_factory=asyncio.Event)

    async def command(self, name: str, folder: Path | None, token: str) -> Any:
        """As from the palette where no folder is given."""
        params = types.ExecuteCommandParams(
            command=f"aiToolkit.server.{name}",
            arguments=[{"workspaceFolder": folder.as_uri()}] if folder else [],
            work_done_token=token,
        )
        answer = self.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params)
        return await asyncio.wait_for(answer, LIMIT_SECONDS)

    async def request(self, method: str, params: Any) -> Any:
        """The answer to a request of ours, as plain JSON."""
        return plain(await asyncio.wait_for(self.client.protocol.send_request_async(method, params), LIMIT_SECONDS))

    @property
    def told(self) -> list[str]:
        """Every sentence that the person could read, but what a replica logged and what was asked."""
        rows = [row["tooltip"] for status in self.statuses for row in status["rows"]]
        tips = [status["tooltip"] for status in self.statuses]
        steps = [value.get("message") or "" for _token, value in self.progress if isinstance(value, dict)]
        return [*self.log, *self.messages, *self.diagnosed, *rows, *tips, *steps]

    def kinds(self, token: str) -> list[str]:
        return [value["kind"] for seen, value in self.progress if seen == token]


def plain(value: Any) -> Any:
    """pygls' client hands unknown messages over as namedtuples."""
    if hasattr(value, "_asdict"):
        return {key: plain(inner) for key, inner in value._asdict().items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


@asynccontextmanager
async def editor(  # noqa: C901, PLR0915  (one short answer per request)
    environment: dict[str, str],
    answers: dict[str, Any],
    press: set[str],
    *,
    folders: Sequence[Path] = (),
    options: Mapping[str, Any] | None = None,
    program: Sequence[str] = ("-m", "ai_toolkit.cli.commands"),
) -> AsyncIterator[Editor]:
    """`options` are the shell's `initializationOptions`; `program` is what Python runs."""
    client = LanguageClient("test-editor", "1")
    seen = Editor(client, answers, pressed=press)

    @client.feature("aiToolkit/pick")
    def pick(params: Any) -> Any:
        question = plain(params)
        seen.asked.append(question)
        (answer,) = (answer for asked, answer in seen.answers.items() if question["placeholder"].startswith(asked))
        if isinstance(answer, list):
            answer = answer.pop(0)
        if answer == BACK:
            return {"back": True}
        return None if answer is None else {"id": answer}

    @client.feature("aiToolkit/input")
    def entered(params: Any) -> Any:
        question = plain(params)
        seen.asked.append(question)
        return {"value": seen.answers[question["prompt"]]}

    @client.feature("aiToolkit/accessToken")
    def access_token(params: Any) -> Any:
        request = plain(params)
        seen.token_requests.append(request)
        token = seen.tokens(request["tenant"], request["signIn"])
        return None if token is None else {"token": token}

    @client.feature(types.WORKSPACE_CONFIGURATION)
    def configuration(params: types.ConfigurationParams) -> list[Any]:
        return [seen.settings.get(item.section or "") for item in params.items]

    @client.feature(types.PROGRESS)
    def progress(params: types.ProgressParams) -> None:
        value = params.value if isinstance(params.value, dict) else plain(params.value)
        seen.progress.append((params.token, value))
        seen.begun.set()

    @client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)
    def create(_params: types.WorkDoneProgressCreateParams) -> None:
        return None

    @client.feature(types.WINDOW_LOG_MESSAGE)
    def logged(params: types.LogMessageParams) -> None:
        seen.log.append(params.message)

    @client.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)
    def offered(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
        titles = [action.title for action in params.actions or ()]
        seen.offered.append(titles)
        seen.messages.append(params.message)
        return next((types.MessageActionItem(title) for title in titles if title in seen.pressed), None)

    @client.feature(types.WINDOW_SHOW_DOCUMENT)
    def opened(params: types.ShowDocumentParams) -> types.ShowDocumentResult:
        seen.opened.put_nowait(params)
        return types.ShowDocumentResult(success=True)

    @client.feature(types.WINDOW_SHOW_MESSAGE)
    def message(params: types.ShowMessageParams) -> None:
        seen.said.put_nowait(params)
        seen.messages.append(params.message)

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def published(params: types.PublishDiagnosticsParams) -> None:
        seen.found.put_nowait(params)
        seen.diagnosed.extend(one.message for one in params.diagnostics)

    @client.feature("aiToolkit/copy")
    def copied(params: Any) -> None:
        seen.clipboard.append(plain(params)["text"])

    @client.feature("aiToolkit/secret")
    def secret(params: Any) -> Any:
        request = plain(params)
        if request.get("value") is None:
            return seen.kept.get(request["name"])
        seen.kept[request["name"]] = request["value"]
        return None

    @client.feature("aiToolkit/chatPart")
    def part(params: Any) -> None:
        seen.parts.append(plain(params))
        seen.part_came.set()

    @client.feature("aiToolkit/chatModelsChanged")
    def models_changed(_params: Any) -> None:
        seen.models_changed += 1

    @client.feature("aiToolkit/caseResult")
    def result(params: Any) -> None:
        seen.results.append(plain(params))
        seen.result_came.set()

    @client.feature("aiToolkit/showPage")
    def page(params: Any) -> None:
        seen.pages.put_nowait(plain(params))

    @client.feature("aiToolkit/status")
    def status(params: Any) -> None:
        seen.statuses.append(plain(params))
        seen.status_came.set()

    @client.feature("aiToolkit/openChat")
    def open_chat(params: Any) -> None:
        seen.chats.append(plain(params)["id"])

    @client.feature("aiToolkit/run")
    def run(params: Any) -> None:
        action = plain(params)
        if action.get("workspaceFolder") is None:
            return  # a command of the editor's own
        seen.ran += 1
        folder = Path(unquote(urlsplit(action["workspaceFolder"]).path))
        name = action["command"].removeprefix("aiToolkit.")
        work = seen.command(name, folder, f"pressed-{seen.ran}")
        seen.following.put_nowait(asyncio.ensure_future(work))

    await client.start_io(sys.executable, *program, "serve", env=environment)
    try:
        capabilities = types.ClientCapabilities(workspace=types.WorkspaceClientCapabilities(configuration=True))
        opened = [types.WorkspaceFolder(folder.as_uri(), folder.name) for folder in folders]
        params = types.InitializeParams(
            capabilities=capabilities, workspace_folders=opened, initialization_options=options
        )
        answer = client.initialize_async(params)
        result = await asyncio.wait_for(answer, 20)
        commands = result.capabilities.execute_command_provider.commands
        assert {"aiToolkit.server.provisionInference", "aiToolkit.server.deployInference"} <= set(commands)
        client.initialized(types.InitializedParams())
        yield seen
    finally:
        with contextlib.suppress(asyncio.TimeoutError, JsonRpcException):
            await asyncio.wait_for(client.shutdown_async(None), 10)
        client.exit(None)
        await asyncio.wait_for(client.stop(), 10)
    typed = [text for text in seen.told if re.search(r"\baitk (?:[a-z]|--)", text)]
    assert not typed, f"an editor's person types no commands: {typed}"
