"""The editor's chat: the endpoint's models as the editor's own, listed without waking them, their answers streamed."""

import asyncio
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcMethodNotFound

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy import offered_models
from ai_toolkit.deploy.offered_models import OfferedModel
from ai_toolkit.deploy.status import State, Status
from ai_toolkit.editor import chat_request, protocol
from ai_toolkit.editor.chat_messages import (
    CancelChat,
    ChatModel,
    ChatModels,
    ChatParams,
    ChatPart,
    ChatToolCall,
    SecretParams,
    TokenCountParams,
)
from ai_toolkit.editor.dialogs import EditorUi, path_of
from ai_toolkit.errors import (
    AiToolkitError,
    CloudUnreachable,
    EndpointRefused,
    FolderNotTrusted,
    NetworkProblem,
    SignInNeeded,
)
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.editor.server import Server
    from ai_toolkit.endpoint.client import Endpoint
    from ai_toolkit.endpoint.conversation import Part

# What talks to the endpoint is imported when a model is first asked: aiohttp and the Azure SDKs take their time.
# ruff: noqa: PLC0415

_UNAUTHORIZED: Final = 401
_USUAL_TOKENS_PER_BYTE: Final = 1 / 3
"""Of a text whose model has not answered yet; rather too many, so that a prompt is cut and not refused."""
_MINUTE_SECONDS: Final = 60
_GENERIC: Final = frozenset({"adapter", "gpu_model", "gpu-cpu_model", "qlora", "lora", "."})
"""Folders' names that fine-tuning gives every adapter."""


class _ChatUi(EditorUi):
    """A person in the editor's chat: how far the work is stands there."""

    def __init__(self, server: "Server", chat: str) -> None:
        super().__init__(server, None)
        self._chat_server, self._chat, self._told = server, chat, ""

    def report(self, message: str, percentage: int | None = None) -> None:
        super().report(message, percentage)
        if message != self._told:
            self._told = message
            tell(self._chat_server, ChatPart(self._chat, waking=message))


class Chat:
    """The models of the open folders, and the answers on their way."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._running: dict[str, asyncio.Task[Any] | None] = {}
        self._left: set[str] = set()
        self._told: dict[str, tuple[str | None, tuple[OfferedModel, ...]]] = {}
        """By endpoint: when what it served was deployed, and what it said that it serves."""
        self._waking_seconds: dict[str, float] = {}
        self._tokens_per_byte: dict[tuple[str, str], float] = {}

    async def models(self) -> ChatModels:
        """The models of the folders that are open and trusted, and where something is deployed. Wakes nothing."""
        if not self._server.status.at_cloud:
            return ChatModels(())
        found = [await self._models_of(workspace) for workspace in self._server.folders()]
        return ChatModels(tuple(model for some in found for model in some))

    async def answer(self, params: ChatParams) -> None:
        """Returns when the answer is whole; its parts are told as they come. Raises as `run_command` does."""
        workspace = Workspace(path_of(params.workspace_folder))

        async def work(_ui: EditorUi) -> None:
            self._running[params.chat] = asyncio.current_task()
            if params.chat in self._left:
                raise asyncio.CancelledError
            if not self._server.status.at_cloud:
                raise FolderNotTrusted
            await self._ask(workspace, params)

        try:
            await self._server.run_command(workspace.uri, None, Title.USE_IN_CHAT, work)
        finally:
            self._running.pop(params.chat, None)
            self._left.discard(params.chat)

    def cancel(self, chat: str) -> None:
        """Ends an answer, so that the model stops; also one whose request has only just come."""
        task = self._running.get(chat)
        if task is None:
            self._left.add(chat)
        else:
            task.cancel()

    def count(self, params: TokenCountParams) -> int:
        """About how many tokens a text is: by what the model's last prompts came to. Asks nobody."""
        rate = self._tokens_per_byte.get((params.workspace_folder, params.model), _USUAL_TOKENS_PER_BYTE)
        return math.ceil(len(params.text.encode(errors="replace")) * rate)

    async def _models_of(self, workspace: Workspace) -> list[ChatModel]:
        status = await self._server.status.latest(workspace)
        if status.state is State.NOT_PROVISIONED or (status.live is not None and not status.live.has_files):
            return []
        offered = self._offered(workspace, status)
        labels = [_label(one, workspace) for one in offered]
        return [
            ChatModel(
                id=f"{workspace.uri}#{one.name}",
                workspace_folder=workspace.uri,
                model=one.name,
                name=label if labels.count(label) == 1 else one.name,
                detail=f"{'fine-tuned' if one.fine_tuned else 'base model'} · {self._distance(workspace, status)}",
                tooltip=f"{one.name or label} in {workspace.folder.name}. {status.detail}",
                max_input_tokens=max(one.context_tokens - one.answer_tokens, one.context_tokens // 2),
                max_output_tokens=min(one.answer_tokens, one.context_tokens // 2),
            )
            for one, label in zip(offered, labels, strict=True)
        ]

    def _offered(self, workspace: Workspace, status: Status) -> tuple[OfferedModel, ...]:
        deployed, told = self._told.get(_endpoint(workspace, status), (None, ()))
        if told and (status.live is None or status.live.deployed == deployed):
            return told
        on_share = (status.live.on_share if status.live else None) or self._server.status.on_share(workspace)
        return offered_models.foreseen(on_share or (), workspace)

    def _distance(self, workspace: Workspace, status: Status) -> str:
        """How far the model is from answering, in words."""
        live = status.live
        if live is None:
            return "not looked at"
        if live.rest:
            return "switched off"
        if live.replicas:
            return "awake"
        if live.failure:
            return "failed"
        usual = _MINUTE_SECONDS / 2 if status.local else 2 * _MINUTE_SECONDS
        seconds = self._waking_seconds.get(_endpoint(workspace, status), usual)
        return f"asleep, {_about(seconds)} to wake"

    async def _ask(self, workspace: Workspace, params: ChatParams) -> None:
        from ai_toolkit.endpoint.client import Endpoint

        ui = _ChatUi(self._server, params.chat)
        request = chat_request.from_editor(params)
        url, key, is_kept = await self._address(workspace, ui, anew=False)
        try:
            async with Endpoint.open(url, key) as endpoint:
                await self._converse(workspace, endpoint, params, request, ui, is_kept=is_kept)
        except EndpointRefused as error:
            if error.status != _UNAUTHORIZED or not is_kept:
                raise
            url, key, _ = await self._address(workspace, ui, anew=True)  # the key was changed since it was kept
            async with Endpoint.open(url, key) as endpoint:
                await self._converse(workspace, endpoint, params, request, ui, is_kept=False)

    async def _converse(  # noqa: PLR0913  (one question's parts)
        self,
        workspace: Workspace,
        endpoint: "Endpoint",
        params: ChatParams,
        request: dict[str, Any],
        ui: EditorUi,
        *,
        is_kept: bool,
    ) -> None:
        from ai_toolkit.endpoint.conversation import Usage, converse
        from ai_toolkit.endpoint.open import awaited_endpoint, wake

        if not (await endpoint.readiness()).ready:
            ui.report("waking the model")
            began = time.monotonic()
            if is_kept:  # nobody looked yet whether a request wakes it at all
                with suppress(SignInNeeded, CloudUnreachable, NetworkProblem):
                    await awaited_endpoint(workspace, ui)
            await wake(endpoint, ui)
            self._waking_seconds[endpoint.url] = time.monotonic() - began
            self._server.status.look(workspace)
        await self._learn(workspace, endpoint)
        asked_bytes = chat_request.size_bytes(request)
        async for part in converse(endpoint, request):
            if isinstance(part, Usage):
                self._tokens_per_byte[params.workspace_folder, params.model] = part.prompt_tokens / asked_bytes
            else:
                tell(self._server, _told(params.chat, part))

    async def _learn(self, workspace: Workspace, endpoint: "Endpoint") -> None:
        """What the endpoint, which is awake now, says that it serves."""
        status = await self._server.status.latest(workspace)
        deployed = status.live.deployed if status.live is not None else None
        if self._told.get(endpoint.url, (None, ()))[0] == deployed and endpoint.url in self._told:
            return
        with suppress(EndpointRefused):  # an app that is not ours may have no such page
            self._told[endpoint.url] = (deployed, offered_models.told_by(await endpoint.models(), workspace))
            models_changed(self._server)

    async def _address(self, workspace: Workspace, ui: EditorUi, *, anew: bool) -> tuple[str, str | None, bool]:
        """The endpoint's URL, its key, and whether that is a key which the editor kept.

        A kept key goes only to the address that was the app's own when it was kept. One of this computer is not kept:
        the local cloud tells it to its own person, and another program may listen at its port tomorrow.
        """
        from ai_toolkit.endpoint.open import awaited_endpoint

        target = workspace.target()
        await raise_if_stopped(target)
        if not target.local and target.endpoint and not anew:
            kept = await self._secret(SecretParams(_name_of(target.endpoint)))
            if kept:
                return target.endpoint, kept, True
        url, key = await awaited_endpoint(workspace, ui)
        if not target.local and key:
            await self._secret(SecretParams(_name_of(url), key))
        return url, key, False

    async def _secret(self, params: SecretParams) -> str | None:
        """What the editor keeps; None where it keeps nothing of that name, or cannot."""
        try:
            method = protocol.EDITOR_REQUESTS["secret"]
            found = await self._server.protocol.send_request_async(method, protocol.plain(params))
        except JsonRpcMethodNotFound:
            return None
        except JsonRpcException as error:  # a keyring that is locked: the key is fetched anew each time
            self._server.report_server_error(error, "secret")
            return None
        return found if isinstance(found, str) and found else None


def register(server: "Server") -> None:
    """Answers the requests of the editor's chat."""

    @server.feature(protocol.SERVER_REQUESTS["chatModels"])
    async def models(_params: Any) -> Any:  # noqa: ANN401  (any JSON)
        return protocol.plain(await server.chat.models())

    @server.feature(protocol.SERVER_REQUESTS["chat"])
    async def answer(params: Any) -> None:  # noqa: ANN401
        await server.chat.answer(_parsed(params, ChatParams))

    @server.feature(protocol.SERVER_REQUESTS["countTokens"])
    def count(params: Any) -> int:  # noqa: ANN401
        return server.chat.count(_parsed(params, TokenCountParams))

    @server.feature(protocol.SERVER_NOTIFICATIONS["cancelChat"])
    def cancel(params: Any) -> None:  # noqa: ANN401
        server.chat.cancel(_parsed(params, CancelChat).chat)

    server.status.changed = lambda: models_changed(server)


def models_changed(server: "Server") -> None:
    """Tells the editor that its list of models is old."""
    server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["chatModelsChanged"], {})


def tell(server: "Server", part: ChatPart) -> None:
    """Sends what came to whoever asked."""
    server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["chatPart"], protocol.plain(part))


def _told(chat: str, part: "Part") -> ChatPart:
    from ai_toolkit.endpoint.conversation import Reasoning, Text, ToolCall

    match part:
        case Text(text):
            return ChatPart(chat, text=text)
        case Reasoning(text):
            return ChatPart(chat, reasoning=text)
        case ToolCall(number, name, arguments):
            return ChatPart(chat, tool_call=ChatToolCall(number, name, arguments))
    return ChatPart(chat)


def _parsed(params: Any, kind: type[protocol.Message]) -> protocol.Message:  # noqa: ANN401  (any JSON)
    try:
        return protocol.parse(params, kind)
    except ValueError as error:
        raise JsonRpcInvalidParams(f"The parameters do not fit: {error}") from None


def _label(model: OfferedModel, workspace: Workspace) -> str:
    """What tells the model from others at a glance: the last part of its path that fine-tuning did not give it."""
    own = [part for part in model.name.split("/") if part and part not in _GENERIC]
    return own[-1] if own else workspace.folder.name


def _endpoint(workspace: Workspace, status: Status) -> str:
    """The endpoint's URL, also where nobody is signed in to look; empty where the config file names none."""
    try:
        target = workspace.target_or_none()
    except AiToolkitError:
        target = None
    return status.endpoint or (target.endpoint if target else "")


def _name_of(url: str) -> str:
    return f"inference key of {url}"


def _about(seconds: float) -> str:
    """A duration in words: it was measured once, or is the usual one."""
    if seconds < _MINUTE_SECONDS / 2:
        return f"about {max(5, 5 * math.ceil(seconds / 5))} seconds"
    minutes = max(1, round(seconds / _MINUTE_SECONDS))
    words = {1: "a minute", 2: "two minutes", 3: "three minutes", 4: "four minutes"}
    return f"about {words.get(minutes, f'{minutes} minutes')}"
