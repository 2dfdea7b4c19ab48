"""A question of the editor's chat in OpenAI's words."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ai_toolkit.editor.chat_messages import ChatMessage, ChatParams, ChatTool
from ai_toolkit.errors import AiToolkitError

_OPTIONS: Final = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop"}
    | {"frequency_penalty", "presence_penalty", "response_format"}
)
"""What extensions may ask of sampling; whatever else they send is meant for other models."""


def from_editor(params: ChatParams) -> dict[str, Any]:
    """The body of a chat completion. Raises AiToolkitError for what is not the JSON that it should be."""
    options = _object(params.options, "The options")
    request: dict[str, Any] = {name: value for name, value in options.items() if name in _OPTIONS and value is not None}
    if params.model:
        request["model"] = params.model
    request["messages"] = list(_joined([turn for message in params.messages for turn in _turns(message)]))
    if params.tools:
        request["tools"] = [_tool(tool) for tool in params.tools]
        if params.must_call:
            request["tool_choice"] = "required"
    return request


def size_bytes(request: Mapping[str, Any]) -> int:
    """How long the texts are that a prompt is made of, at least 1."""
    texts = json.dumps([request["messages"], request.get("tools", [])], ensure_ascii=False)
    return len(texts.encode(errors="replace"))


def _turns(message: ChatMessage) -> Iterator[dict[str, Any]]:
    for result in message.tool_results:
        yield {"role": "tool", "tool_call_id": result.id, "content": result.text}
    if message.tool_calls:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        yield {"role": message.role, "content": message.text or None, "tool_calls": calls}
    elif message.text or not message.tool_results:
        yield {"role": message.role, "content": message.text}


def _joined(turns: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Neighbouring texts of one role as one turn: an editor sends instructions apart, which templates refuse."""
    before: dict[str, Any] | None = None
    for turn in turns:
        is_same = before is not None and before["role"] == turn["role"] and turn["role"] in {"user", "system"}
        if before is not None and is_same:
            before = {**before, "content": f"{before['content']}\n\n{turn['content']}"}
            continue
        if before is not None:
            yield before
        before = turn
    if before is not None:
        yield before


def _tool(tool: ChatTool) -> dict[str, Any]:
    parameters = _object(tool.parameters, f"The parameters of the tool {tool.name}") or {"type": "object"}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AiToolkitError(f"{what} are no JSON object.", "Tell the maker of the extension that sent them.")
    return found
