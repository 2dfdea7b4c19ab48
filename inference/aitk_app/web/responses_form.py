"""How OpenAI's Responses API writes answers: one response with its output items, whole or as events.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from aitk_app.web.response_forms import sse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.web.answer import Delta
    from aitk_app.web.responses_bodies import ResponsesRequest
    from aitk_app.web.tool_calls.answer_reader import Call


class ResponsesForm:
    """Of one response, which has one choice: reasoning, a message, calls."""

    def __init__(self, model: str, asked: ResponsesRequest) -> None:
        self._head = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "parallel_tool_calls": asked.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": None},
            "store": False,
            "temperature": asked.temperature,
            "text": {"format": _text_format(asked)},
            "tool_choice": _tool_choice(asked),
            "tools": [each.model_dump() for each in asked.tools],
            "top_p": asked.top_p,
            "truncation": "disabled",
            "metadata": {},
            "error": None,
        }
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None  # the item that grows
        self._finish: str | None = None

    def opened(self, choices: int) -> list[str]:
        """The first events."""
        assert choices == 1
        begun = self._response([], "in_progress", None)
        return [self._event(f"response.{each}", response=begun) for each in ("created", "in_progress")]

    def events(self, index: int, delta: Delta) -> list[str]:
        """The events that tell what one step added."""
        assert index == 0
        found: list[str] = []
        if delta.reasoning:
            found += self._grow("reasoning", delta.reasoning)
        if delta.text:
            found += self._grow("message", delta.text)
        for call in delta.calls:
            found += self._close()
            found += self._call(call)
        if delta.finish is not None:
            self._finish = delta.finish
            found += self._close()
        return found

    def closed(self, usage: dict[str, int]) -> list[str]:
        """The last event."""
        cut = self._finish == "length"
        name = "response.incomplete" if cut else "response.completed"
        return [self._event(name, response=self._response(self._items, _status(self._finish), usage))]

    def failed(self, error: bytes) -> list[str]:
        """The event that tells an error in mid-answer."""
        told = json.loads(error)["error"]
        failure = {"code": told["code"] or "server_error", "message": told["message"]}
        response = self._response(self._items, "failed", None) | {"error": failure}
        return [self._event("response.failed", response=response)]

    def whole(self, choices: Sequence[Delta], usage: dict[str, int]) -> dict[str, Any]:
        """The body of a response that is not streamed."""
        [answer] = choices
        items = []
        if answer.reasoning:
            items.append(_reasoning(_new_id("rs"), answer.reasoning))
        if answer.text or not answer.calls:
            items.append(_message(_new_id("msg"), answer.text, "completed"))
        items += [_call_item(_new_id("fc"), each, each.arguments, "completed") for each in answer.calls]
        return self._response(items, _status(answer.finish), usage)

    def _response(self, items: list[dict[str, Any]], status: str, usage: dict[str, int] | None) -> dict[str, Any]:
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return self._head | {
            "status": status,
            "incomplete_details": reason,
            "output": list(items),
            "usage": None if usage is None else _usage(usage),
        }

    def _event(self, name: str, /, **fields: Any) -> str:  # noqa: ANN401 - of JSON
        body = {"type": name, "sequence_number": self._number, **fields}
        self._number += 1
        return sse(body, event=name)

    def _grow(self, kind: str, text: str) -> list[str]:
        """More of a text item, which is begun where another kind was open."""
        found: list[str] = []
        if self._open is not None and self._open["kind"] != kind:
            found += self._close()
        if self._open is None:
            self._open = {"kind": kind, "id": _new_id("msg" if kind == "message" else "rs"), "text": ""}
            item = (
                _message(self._open["id"], None, "in_progress")
                if kind == "message"
                else _reasoning(self._open["id"], None)
            )
            found.append(self._event("response.output_item.added", output_index=len(self._items), item=item))
            found.append(self._part("added", ""))
        self._open["text"] += text
        found.append(self._text("delta", delta=text))
        return found

    def _close(self) -> list[str]:
        """The end of the text item that is open."""
        if self._open is None:
            return []
        text, kind = self._open["text"], self._open["kind"]
        done = (
            _message(self._open["id"], text, "completed") if kind == "message" else _reasoning(self._open["id"], text)
        )
        found = [self._text("done", text=text), self._part("done", text)]
        found.append(self._event("response.output_item.done", output_index=len(self._items), item=done))
        self._items.append(done)
        self._open = None
        return found

    def _part(self, what: str, text: str) -> str:
        assert self._open is not None
        place = {"item_id": self._open["id"], "output_index": len(self._items)}
        if self._open["kind"] == "message":
            return self._event(f"response.content_part.{what}", **place, content_index=0, part=_output_text(text))
        part = {"type": "summary_text", "text": text}
        return self._event(f"response.reasoning_summary_part.{what}", **place, summary_index=0, part=part)

    def _text(self, what: str, **text: str) -> str:
        assert self._open is not None
        place = {"item_id": self._open["id"], "output_index": len(self._items)}
        if self._open["kind"] == "message":
            return self._event(f"response.output_text.{what}", **place, content_index=0, logprobs=[], **text)
        return self._event(f"response.reasoning_summary_text.{what}", **place, summary_index=0, **text)

    def _call(self, call: Call) -> list[str]:
        identifier, index = _new_id("fc"), len(self._items)
        done = _call_item(identifier, call, call.arguments, "completed")
        self._items.append(done)
        place = {"item_id": identifier, "output_index": index}
        begun = _call_item(identifier, call, "", "in_progress")
        return [
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event("response.function_call_arguments.delta", **place, delta=call.arguments),
            self._event("response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments),
            self._event("response.output_item.done", output_index=index, item=done),
        ]


def _status(finish: str | None) -> str:
    return "incomplete" if finish == "length" else "completed"


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(identifier: str, text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [_output_text(text)]
    return {"type": "message", "id": identifier, "status": status, "role": "assistant", "content": content}


def _reasoning(identifier: str, text: str | None) -> dict[str, Any]:
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": identifier, "summary": summary}


def _call_item(identifier: str, call: Call, arguments: str, status: str) -> dict[str, Any]:
    told = {"name": call.name, "arguments": arguments, "call_id": call.id}
    return {"type": "function_call", "id": identifier, "status": status, **told}


def _usage(usage: dict[str, int]) -> dict[str, Any]:
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }


def _text_format(asked: ResponsesRequest) -> dict[str, Any]:
    form = asked.text.format if asked.text else None
    return {"type": "text"} if form is None else form.model_dump(by_alias=True, exclude_none=True)


def _tool_choice(asked: ResponsesRequest) -> Any:  # noqa: ANN401 - of JSON
    choice = asked.tool_choice
    return "auto" if choice is None else choice if isinstance(choice, str) else choice.model_dump()
