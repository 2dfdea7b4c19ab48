"""`aitk mcp`: an agent's tools on stdin and stdout. Each only reads; what a person would have to decide is refused."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from jsonschema import Draft202012Validator
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

from ai_toolkit import __version__
from ai_toolkit.azure.explain import for_people
from ai_toolkit.cli.result_schemas import SCHEMAS
from ai_toolkit.deploy import offered_models
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.run import preview
from ai_toolkit.deploy.status import look
from ai_toolkit.endpoint.logs import last_lines
from ai_toolkit.endpoint.open import ask
from ai_toolkit.errors import UsageError
from ai_toolkit.ui import Input, Pick, Tone
from ai_toolkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)

_MOST_LINES: Final = 300


class NoPerson:
    """A Ui without anybody who could be asked; how far the work is goes to the agent's program."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    async def pick(self, question: Pick) -> str:
        raise _unanswered(question.placeholder, question.option)

    async def input(self, question: Input) -> str:
        raise _unanswered(question.prompt, question.option)

    def report(self, message: str, percentage: int | None = None) -> None:
        del percentage
        self._report(message)

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        """Nothing: the result says it."""


@dataclass(frozen=True)
class _Tool:
    """A tool: what an agent reads of it, its parameters, the command whose `--json` its result is, and its work."""

    title: str
    about: str
    parameters: dict[str, Any]
    result: str
    work: Callable[[Workspace, NoPerson, dict[str, Any]], Awaitable[dict[str, Any]]]


async def _status(workspace: Workspace, _ui: NoPerson, _given: dict[str, Any]) -> dict[str, Any]:
    return (await look(workspace)).as_json()


async def _logs(workspace: Workspace, _ui: NoPerson, given: dict[str, Any]) -> dict[str, Any]:
    return {"lines": await last_lines(workspace, given.get("lines", 100))}


async def _models(workspace: Workspace, _ui: NoPerson, _given: dict[str, Any]) -> dict[str, Any]:
    return (await offered_models.look_for_models(workspace)).as_json()


async def _ask(workspace: Workspace, ui: NoPerson, given: dict[str, Any]) -> dict[str, Any]:
    return {"answer": await ask(workspace, given["message"], given.get("model"), ui)}


async def _dry_run(workspace: Workspace, ui: NoPerson, _given: dict[str, Any]) -> dict[str, Any]:
    return (await preview(workspace, ui, Options())).as_json()


_TOOLS: Final = {
    "inference_status": _Tool(
        "Inference status",
        "What is provisioned and deployed, whether the model is awake, what it loaded, and which files here are newer. "
        "Wakes nothing.",
        {},
        "status",
        _status,
    ),
    "inference_logs": _Tool(
        "Inference log",
        "The last lines of the running replica's log; none while the model sleeps. Wakes nothing.",
        {
            "lines": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MOST_LINES,
                "description": "How many; 100 unless given.",
            }
        },
        "logs",
        _logs,
    ),
    "inference_models": _Tool(
        "Models of the endpoint",
        "The base model and the fine-tuned adapters, by their names in requests. Wakes nothing.",
        {},
        "models",
        _models,
    ),
    "ask_model": _Tool(
        "Ask the fine-tuned model",
        "The model's greedy answer to one message. A model that sleeps is woken, which takes minutes on Azure, and its "
        "GPU is billed while it runs.",
        {
            "message": {"type": "string", "minLength": 1},
            "model": {
                "type": "string",
                "description": "A name that inference_models tells; else the fine-tuned model.",
            },
        },
        "chat",
        _ask,
    ),
    "deploy_dry_run": _Tool(
        "What a deploy would do",
        "Which files a deploy would send, and what it would do to the running model. Changes nothing, wakes nothing.",
        {},
        "deploy",
        _dry_run,
    ),
}
_REQUIRED: Final = {"ask_model": ["message"]}


def build(workspace: Workspace) -> Server[Any]:
    """The server for a workspace, not connected yet."""

    async def list_tools(_context: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(name, tool) for name, tool in _TOOLS.items()])

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = _TOOLS.get(params.name)
        if tool is None:
            return _failed(f"There is no tool {params.name}. Tools: {', '.join(_TOOLS)}.")
        given = dict(params.arguments or {})
        wrong = next(Draft202012Validator(_input_schema(params.name, tool)).iter_errors(given), None)
        if wrong is not None:
            return _failed(f"{params.name}: {wrong.message}.")
        progress = _Progress(context)
        try:
            result = await tool.work(workspace, NoPerson(progress.told), given)
        except Exception as error:  # (the edge: every error becomes a sentence for the agent)
            log.debug("%s failed", params.name, exc_info=error)
            return _failed(str(for_people(error)))
        finally:
            await progress.end()
        text = types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
        return types.CallToolResult(content=[text], structured_content=result)

    return Server(
        "ai-toolkit-inference",
        version=__version__,
        title="AI Toolkit inference",
        instructions="Looks at a fine-tuned model's endpoint, and asks the model. To provision or deploy, run "
        "aitk in a terminal: aitk --help.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve(workspace: Workspace) -> None:
    """Serves stdin and stdout until the agent's program closes them."""
    server = build(workspace)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


class _Progress:
    """How far a tool is, to a program that wants to know; in order, and none after the result."""

    def __init__(self, context: ServerRequestContext[Any]) -> None:
        self._session = context.session
        self._steps = 0
        self._last = ""
        self._sending: set[asyncio.Task[None]] = set()

    def told(self, message: str) -> None:
        if message != self._last:
            self._last = message
            self._steps += 1
            sending = asyncio.ensure_future(self._session.report_progress(self._steps, message=message))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def end(self) -> None:
        await asyncio.gather(*self._sending, return_exceptions=True)


def _described(name: str, tool: _Tool) -> types.Tool:
    annotations = types.ToolAnnotations(title=tool.title, read_only_hint=True, open_world_hint=False)
    return types.Tool(
        name=name,
        title=tool.title,
        description=tool.about,
        input_schema=_input_schema(name, tool),
        output_schema=dict(SCHEMAS[tool.result]),
        annotations=annotations,
    )


def _input_schema(name: str, tool: _Tool) -> dict[str, Any]:
    required = _REQUIRED.get(name, [])
    return {"type": "object", "properties": tool.parameters, "required": required, "additionalProperties": False}


def _failed(said: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)], is_error=True)


def _unanswered(question: str, option: str) -> UsageError:
    answer = f"Answer it with the option {option}" if option else "Answer it"
    return UsageError(f"{question}: an agent is not asked.", f"{answer} of the same command of aitk in a terminal.")
