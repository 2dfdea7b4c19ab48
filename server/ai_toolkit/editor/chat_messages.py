"""The messages of the editor's chat: its language models are the endpoint's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatModel:
    """A model for the editor's chat: `id` tells it apart in this window, `model` is its name in requests.

    `detail` stands beside the name, and says how far it is from answering.
    """

    id: str
    workspace_folder: str
    model: str
    name: str
    detail: str
    tooltip: str
    max_input_tokens: int
    max_output_tokens: int


@dataclass(frozen=True)
class ChatModels:
    """The models of the folders that are open; nothing was woken in order to tell."""

    models: tuple[ChatModel, ...]


@dataclass(frozen=True)
class ChatToolCall:
    """A tool that the model calls; `arguments` is a JSON object, written out."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ChatToolResult:
    """What came of a call."""

    id: str
    text: str


@dataclass(frozen=True)
class ChatMessage:
    """A turn of the conversation: its role is `user`, `assistant` or `system`."""

    role: str
    text: str
    tool_calls: tuple[ChatToolCall, ...] = ()
    tool_results: tuple[ChatToolResult, ...] = ()


@dataclass(frozen=True)
class ChatTool:
    """A tool that the model may call; `parameters` is a JSON schema, written out; empty where it takes none."""

    name: str
    description: str
    parameters: str


@dataclass(frozen=True)
class ChatParams:
    """A question to a model. What comes of it is told by notifications that name `chat`, before the request ends.

    `options` is a JSON object, written out: what the asker wants of sampling.
    """

    chat: str
    workspace_folder: str
    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ChatTool, ...]
    must_call: bool
    options: str


@dataclass(frozen=True)
class ChatPart:
    """One thing that came: how far the model's waking is, some text, some of its reasoning, or a tool call."""

    chat: str
    waking: str | None = None
    text: str | None = None
    reasoning: str | None = None
    tool_call: ChatToolCall | None = None


@dataclass(frozen=True)
class CancelChat:
    """Nobody waits for the answer any more: the model stops."""

    chat: str


@dataclass(frozen=True)
class TokenCountParams:
    """A text whose tokens are wanted; the answer is a number."""

    workspace_folder: str
    model: str
    text: str


@dataclass(frozen=True)
class OpenChatParams:
    """The model that the editor's chat is to be opened with."""

    id: str


@dataclass(frozen=True)
class SecretParams:
    """A secret's name, and the value to keep; without a value the editor answers with the kept one, or null.

    An empty value lets it be forgotten.
    """

    name: str
    value: str | None = None


CHAT_MESSAGES = (
    ChatModel,
    ChatModels,
    ChatToolCall,
    ChatToolResult,
    ChatMessage,
    ChatTool,
    ChatParams,
    ChatPart,
    CancelChat,
    TokenCountParams,
    OpenChatParams,
    SecretParams,
)
