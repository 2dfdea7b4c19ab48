"""Every message between the server and the editor that LSP does not define.

`python -m ai_toolkit.editor.protocol > extension/src/protocol.ts` writes the editor's side of it.
On the wire the names are camelCase; unknown keys are refused, because both sides are ours.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ai_toolkit.editor.chat_messages import CHAT_MESSAGES
from ai_toolkit.editor.endpoint_messages import ENDPOINT_MESSAGES, EndpointRow
from ai_toolkit.editor.evaluation_messages import EVALUATION_MESSAGES

COMMANDS: Final = {
    name: f"aiToolkit.server.{name}"
    for name in (
        "provisionInference",
        "deployInference",
        "deployAllTheSame",
        "bringBack",
        "openEndpoint",
        "copyKey",
        "copyExample",
        "showLogs",
        "showStatus",
        "refreshEndpoint",
        "addSecret",
        "createProject",
        "createSample",
        "startLocalCloud",
        "stopLocalCloud",
        "chooseAction",
        "useInChat",
        "evaluateInference",
        "stopInference",
        "startInference",
        "takeDownInference",
        "refreshPrices",
    )
}
SERVER_REQUESTS: Final = {
    "chatModels": "aiToolkit/chatModels",
    "chat": "aiToolkit/chat",
    "countTokens": "aiToolkit/countTokens",
    "caseFiles": "aiToolkit/caseFiles",
    "runCases": "aiToolkit/runCases",
}
SERVER_NOTIFICATIONS: Final = {
    "cancelChat": "aiToolkit/cancelChat",
    "cancelCases": "aiToolkit/cancelCases",
    "look": "aiToolkit/look",
}
EDITOR_REQUESTS: Final = {
    "pick": "aiToolkit/pick",
    "input": "aiToolkit/input",
    "copy": "aiToolkit/copy",
    "accessToken": "aiToolkit/accessToken",
    "secret": "aiToolkit/secret",
    "openChat": "aiToolkit/openChat",
}
EDITOR_NOTIFICATIONS: Final = {
    "status": "aiToolkit/status",
    "replicaLog": "aiToolkit/replicaLog",
    "run": "aiToolkit/run",
    "chatPart": "aiToolkit/chatPart",
    "chatModelsChanged": "aiToolkit/chatModelsChanged",
    "casesChanged": "aiToolkit/casesChanged",
    "caseResult": "aiToolkit/caseResult",
    "showPage": "aiToolkit/showPage",
}


@dataclass(frozen=True)
class Answers:
    """Answers to questions that a command would otherwise ask."""

    subscription: str | None = None
    resource_group: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class CommandArgument:
    """The argument of the server's commands; the workspace folder is a URI. Without an argument the person is asked."""

    workspace_folder: str
    answers: Answers | None = None


@dataclass(frozen=True)
class PickItem:
    """One line of a pick; a disabled one is shown, but cannot be chosen."""

    id: str
    label: str
    description: str
    disabled: bool


@dataclass(frozen=True)
class PickParams:
    """A question with given answers; steps count from 1."""

    title: str
    placeholder: str
    step: int
    steps: int
    can_go_back: bool
    items: tuple[PickItem, ...]


@dataclass(frozen=True)
class PickAnswer:
    """The chosen item of a pick."""

    id: str


@dataclass(frozen=True)
class InputParams:
    """A question with a free answer; `value` stands in the box at first, steps count from 1.

    An answer that `pattern` (a regular expression for all of it) does not fit is not taken, and `hint` is shown.
    """

    title: str
    prompt: str
    value: str
    password: bool
    step: int
    steps: int
    can_go_back: bool
    pattern: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class InputAnswer:
    """The text that was entered."""

    value: str


@dataclass(frozen=True)
class CopyParams:
    """Text for the clipboard, which is shown nowhere."""

    text: str


@dataclass(frozen=True)
class AccessTokenParams:
    """A token of the editor's own Microsoft account, for the account's home tenant where none is named.

    Only with `sign_in` may the person be asked to sign in. The answer is null when nobody is signed in.
    """

    scopes: tuple[str, ...]
    tenant: str | None
    sign_in: bool


@dataclass(frozen=True)
class AccessToken:
    """The token, which is shown nowhere; its expiry stands in it."""

    token: str


@dataclass(frozen=True)
class StatusParams:
    """The status bar's item for one folder (a URI): text with icons as VS Code writes them, and the whole sentence.

    `spoken` is what a screen reader says. `done` are the steps of the road that are behind the folder: `hasProject`,
    `isProvisioned`, `isDeployed`. `rows` are those of the view "Endpoint".
    """

    workspace_folder: str
    text: str
    tooltip: str
    spoken: str
    done: tuple[str, ...]
    rows: tuple[EndpointRow, ...]


@dataclass(frozen=True)
class ReplicaLogParams:
    """Lines of the replica's log; `show` brings them into sight."""

    lines: tuple[str, ...]
    show: bool


@dataclass(frozen=True)
class Action:
    """A button's title, the command of the editor that it runs, and the folder (a URI) that the command is for."""

    title: str
    command: str
    workspace_folder: str | None = None


@dataclass(frozen=True)
class ErrorData:
    """What a failed command's error carries beside its message: the buttons that help."""

    code: str
    advice: str
    actions: tuple[Action, ...] = ()


MESSAGES: Final = (
    Answers,
    CommandArgument,
    PickItem,
    PickParams,
    PickAnswer,
    InputParams,
    InputAnswer,
    CopyParams,
    AccessTokenParams,
    AccessToken,
    *ENDPOINT_MESSAGES,
    StatusParams,
    ReplicaLogParams,
    Action,
    ErrorData,
    *CHAT_MESSAGES,
    *EVALUATION_MESSAGES,
)

Message = TypeVar("Message")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _exactly(value: object, kind: type) -> object:
    """The value, when it is of that very type: cattrs alone would make "None" of null."""
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} is expected")
    return value


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for primitive in (str, int, bool):
        converter.register_structure_hook(primitive, _exactly)
    for message in MESSAGES:
        names = {field.name: override(rename=_camel(field.name)) for field in dataclasses.fields(message)}
        structure: Any = make_dict_structure_fn(message, converter, _cattrs_forbid_extra_keys=True, **names)  # type: ignore[arg-type]
        unstructure: Any = make_dict_unstructure_fn(message, converter, _cattrs_omit_if_default=True, **names)  # type: ignore[arg-type]
        converter.register_structure_hook(message, structure)
        converter.register_unstructure_hook(message, unstructure)
    return converter


_CONVERTER: Final = _converter()


def parse(document: Any, kind: type[Message]) -> Message:  # noqa: ANN401  (any JSON)
    """The message in a JSON value. Raises ValueError naming what does not fit."""
    if not isinstance(document, Mapping):
        raise ValueError("an object is expected")  # noqa: TRY004  (what a caller gets for every misfit)
    try:
        return _CONVERTER.structure(document, kind)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from error


def plain(message: object) -> Any:  # noqa: ANN401  (any JSON)
    """The message as JSON values."""
    return _CONVERTER.unstructure(message)


_BACK: Final = """\
/** The person wants the question before this one again. */
export interface Back {
  readonly back: true;
}"""


def to_typescript() -> str:
    """`extension/src/protocol.ts`."""
    parts = [
        "// Generated from server/ai_toolkit/editor/protocol.py: change that file, not this one.",
        _constant("Commands that the server announces (`workspace/executeCommand`).", "serverCommands", COMMANDS),
        _constant("Requests that the editor sends to the server.", "serverRequests", SERVER_REQUESTS),
        _constant("Notifications that the editor sends to the server.", "serverNotifications", SERVER_NOTIFICATIONS),
        _constant("Requests that the server sends to the editor.", "editorRequests", EDITOR_REQUESTS),
        _constant("Notifications that the server sends to the editor.", "editorNotifications", EDITOR_NOTIFICATIONS),
        *(_interface(message) for message in MESSAGES),
        _BACK,
        "/** null: dismissed. */\nexport type PickResult = PickAnswer | Back | null;",
        "/** null: dismissed. */\nexport type InputResult = InputAnswer | Back | null;",
    ]
    return "\n\n".join(parts) + "\n"


def _constant(about: str, name: str, values: dict[str, str]) -> str:
    lines = "".join(f'  {key}: "{value}",\n' for key, value in values.items())
    return f"/** {about} */\nexport const {name} = {{\n{lines}}} as const;"


def _interface(message: type) -> str:
    hints = typing.get_type_hints(message)
    lines = ""
    for field in dataclasses.fields(message):
        optional = "?" if field.default is not dataclasses.MISSING else ""
        lines += f"  readonly {_camel(field.name)}{optional}: {_typescript(hints[field.name])};\n"
    about = " ".join((message.__doc__ or "").split())
    return f"/** {about} */\nexport interface {message.__name__} {{\n{lines}}}"


def _typescript(kind: Any) -> str:  # noqa: ANN401  (a type)
    simple = {str: "string", int: "number", bool: "boolean", types.NoneType: "null"}
    if kind in simple:
        return simple[kind]
    if typing.get_origin(kind) is types.UnionType:
        return " | ".join(_typescript(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"readonly {_typescript(typing.get_args(kind)[0])}[]"
    return str(kind.__name__)


if __name__ == "__main__":
    sys.stdout.write(to_typescript())
