"""Reads the bodies of requests: what is wrong with one is told in a sentence, with its place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aitk_app.web.access import openai_error
from aitk_app.web.entrance import Answer
from aitk_app.web.holding import RefusedError
from aitk_app.web.refusals import refusal
from aitk_app.web.request_bodies import ChatRequest, CompletionRequest, LoadAdapter, UnloadAdapter
from aitk_app.web.responses_bodies import ResponsesRequest

if TYPE_CHECKING:
    from aitk_app.web.asks_for_nothing import Body

_BODIES: dict[str, type[Body]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/load_lora_adapter": LoadAdapter,
    "/v1/unload_lora_adapter": UnloadAdapter,
}
_BYTES_A_TOKEN = 64  # of JSON; text has 4 to 12 of them on average, escapes included
_OTHER_BYTES = 256 << 10  # of what is no prompt: tools, schemas, numbers
_MOST_PROMPTS = 256
_MAYBE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyError(Exception):
    """A body cannot be read; `param` is the parameter at fault, where it is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def read_json(body: bytes) -> Any:  # noqa: ANN401 - of JSON
    """What the JSON says. Raises `BodyError`."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BodyError(f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise BodyError(f"The body is not JSON: {error.msg} at {place}.") from error
    except RecursionError as error:
        raise BodyError("The body is not JSON that can be read: it is nested too deeply.") from error
    if _MAYBE_HALF.search(body) and (half := _half_a_character(found, ())) is not None:
        named = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in half).removeprefix(".")
        param = str(half[0]) if half else None
        raise BodyError(f"{named or 'body'} holds half a character (a lone surrogate): it is no text.", param)
    return found


def _half_a_character(value: Any, place: tuple[str | int, ...]) -> tuple[str | int, ...] | None:  # noqa: ANN401 - of JSON
    """The place of a lone surrogate, in a value or in a name."""
    if isinstance(value, str):
        return place if _is_half(value) else None
    if isinstance(value, dict):
        if any(_is_half(name) for name in value):
            return place
        parts: Any = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return None
    found = (_half_a_character(part, (*place, name)) for name, part in parts)
    return next((each for each in found if each is not None), None)


def _is_half(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def longest_body_bytes(context_length: int) -> int:
    """What a body can have at most whose prompt fits into the context."""
    return _OTHER_BYTES + context_length * _BYTES_A_TOKEN


def most_prompts(body: bytes) -> int:
    """How many prompts a body can hold at most, seen from afar."""
    return min(_MOST_PROMPTS, 1 + body.count(b'",') + body.count(b"],"))


def check_body(path: str, body: bytes) -> None:
    """Raise `RefusedError` for a body that the app proper would refuse, before the app proper is there."""
    kind = _BODIES.get(path.rstrip("/"))
    if kind is None:
        return
    try:
        asked = read_json(body)
        checked = kind.model_validate(asked)
        if isinstance(checked, ResponsesRequest):
            checked.as_chat()
    except BodyError as error:
        message, param = str(error), error.param
    except ValidationError as error:
        message, param = refusal(error.errors(), asked)
    else:
        return
    told = openai_error(message, kind="invalid_request_error", param=param)
    raise RefusedError(Answer(400, told))
