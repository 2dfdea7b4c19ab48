"""A conversation with the model: the parts of its answer as they come, from OpenAI's events."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import EndpointRefused

CHAT: Final = "/v1/chat/completions"


@dataclass(frozen=True)
class Text:
    """Some characters of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """Some characters of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for; `arguments` is a JSON object, written out."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Usage:
    """What the question came to, in tokens."""

    prompt_tokens: int


Part: TypeAlias = Text | Reasoning | ToolCall | Usage


async def converse(endpoint: Endpoint, request: Mapping[str, Any]) -> AsyncIterator[Part]:
    """The parts of the answer to a request of OpenAI's form, streamed; a tool call comes whole.

    Raises EndpointRefused, also for an answer that breaks off and for a call whose arguments are no JSON object.
    """
    streamed = {**request, "stream": True, "stream_options": {"include_usage": True}}
    calls: dict[int, dict[str, str]] = {}
    async for event in endpoint.events(CHAT, streamed):
        usage = event.get("usage")
        if isinstance(usage, Mapping) and isinstance(usage.get("prompt_tokens"), int):
            yield Usage(usage["prompt_tokens"])
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("reasoning_content"):
                yield Reasoning(str(delta["reasoning_content"]))
            if delta.get("content"):
                yield Text(str(delta["content"]))
            for piece in delta.get("tool_calls") or ():
                _join(calls, piece)
    for call in calls.values():
        yield _whole(endpoint, call)


def _join(calls: dict[int, dict[str, str]], piece: Mapping[str, Any]) -> None:
    """Adds a piece of a tool call to what came of it so far; only its first piece has an id and a name."""
    call = calls.setdefault(int(piece.get("index") or 0), {"id": "", "name": "", "arguments": ""})
    function = piece.get("function") or {}
    call["id"] = call["id"] or str(piece.get("id") or "")
    call["name"] += str(function.get("name") or "")
    call["arguments"] += str(function.get("arguments") or "")


def _whole(endpoint: Endpoint, call: Mapping[str, str]) -> ToolCall:
    arguments = call["arguments"].strip() or "{}"
    try:
        fits = isinstance(json.loads(arguments), dict)
    except ValueError:
        fits = False
    if not fits:
        reason = f"a call of {call['name']} whose arguments are no JSON object: the answer was cut, or went wrong"
        raise EndpointRefused(endpoint.url, 200, reason)
    return ToolCall(call["id"], call["name"], arguments)
