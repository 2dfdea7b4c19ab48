"""How OpenAI's API writes answers: whole, or as events while they grow."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitk_app.engine.sampling import TokenLogprob
    from aitk_app.web.answer import Delta
    from aitk_app.web.tool_calls.answer_reader import Call

DONE = "data: [DONE]\n\n"
_LEAST_LOGPROB = -9999.0  # JSON has no infinity


class Form:
    """Of one response, in all its choices; what chat completions and plain ones do differently."""

    def __init__(
        self, model: str, token_bytes: Callable[[int], bytes], *, chat: bool, include_usage: bool = False
    ) -> None:
        self.chat = chat
        self._include_usage = include_usage
        self._bytes = token_bytes
        self._offsets: defaultdict[int, int] = defaultdict(int)
        self._called: defaultdict[int, int] = defaultdict(int)
        kind = "chatcmpl" if chat else "cmpl"
        self._head = {"id": f"{kind}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._event = "chat.completion.chunk" if chat else "text_completion"
        self._whole = "chat.completion" if chat else "text_completion"

    def opened(self, choices: int) -> list[str]:
        """The first events."""
        said = {"delta": {"role": "assistant", "content": ""}}
        return [self._chunk(index, said) for index in range(choices)] if self.chat else []

    def events(self, index: int, delta: Delta) -> list[str]:
        """The events that tell what one step added to a choice."""
        found = []
        if delta.reasoning:
            found.append(self._chunk(index, {"delta": {"reasoning_content": delta.reasoning}}))
        if delta.text or (delta.logprobs and not delta.calls):
            said = {"delta": {"content": delta.text}} if self.chat else {"text": delta.text}
            found.append(self._chunk(index, said, logprobs=delta.logprobs))
        for call in delta.calls:
            place = self._called[index]
            self._called[index] += 1
            head = _call(call) | {"index": place, "function": {"name": call.name, "arguments": ""}}
            rest = {"index": place, "function": {"arguments": call.arguments}}
            found += [self._chunk(index, {"delta": {"tool_calls": [each]}}) for each in (head, rest)]
        if delta.finish is not None:
            found.append(self._chunk(index, {"delta": {}} if self.chat else {"text": ""}, delta.finish))
        return found

    def closed(self, usage: dict[str, int]) -> list[str]:
        """The last events."""
        told = [sse(self._head | {"object": self._event, "choices": [], "usage": usage})] if self._include_usage else []
        return [*told, DONE]

    def failed(self, error: bytes) -> list[str]:
        """The events that tell an error (a body in OpenAI's shape) in mid-answer."""
        return [f"data: {error.decode()}\n\n", DONE]

    def whole(self, choices: Sequence[Delta], usage: dict[str, int]) -> dict[str, Any]:
        """The body of a response that is not streamed."""
        body = [
            {
                "index": index,
                **self._said(each),
                "finish_reason": each.finish,
                "logprobs": self._logprobs(index, each.logprobs),
            }
            for index, each in enumerate(choices)
        ]
        return self._head | {"object": self._whole, "choices": body, "usage": usage}

    def _said(self, answer: Delta) -> dict[str, Any]:
        if not self.chat:
            return {"text": answer.text}
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.calls:
            message["content"] = answer.text or None
            message["tool_calls"] = [_call(each) for each in answer.calls]
        return {"message": message}

    def _chunk(
        self, index: int, said: dict[str, Any], finish: str | None = None, logprobs: Sequence[TokenLogprob] = ()
    ) -> str:
        choice = {"index": index, **said, "finish_reason": finish, "logprobs": self._logprobs(index, logprobs)}
        return sse(self._head | {"object": self._event, "choices": [choice]})

    def _logprobs(self, index: int, found: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not found:
            return None
        if self.chat:
            content = [
                self._entry(each.token, each.logprob) | {"top_logprobs": [self._entry(*other) for other in each.top]}
                for each in found
            ]
            return {"content": content, "refusal": None}
        offsets = []
        for each in found:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(self._written(each.token))
        return {
            "tokens": [self._written(each.token) for each in found],
            "token_logprobs": [_number(each.logprob) for each in found],
            "top_logprobs": [
                None if each.logprob is None else {self._written(token): _number(value) for token, value in each.top}
                for each in found
            ],
            "text_offset": offsets,
        }

    def _entry(self, token: int, logprob: float | None) -> dict[str, Any]:
        return {"token": self._written(token), "logprob": _number(logprob), "bytes": list(self._bytes(token))}

    def _written(self, token: int) -> str:
        return self._bytes(token).decode(errors="replace")


def sse(body: dict[str, Any], event: str | None = None) -> str:
    """A server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _number(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, _LEAST_LOGPROB)
