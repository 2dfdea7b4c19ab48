"""From an answer's pieces to what OpenAI's API sends: events while it grows, or the whole at once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response, StreamingResponse

from aitk_app.engine.generation import EngineError
from aitk_app.web.access import openai_error, unexpected_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from fastapi import Request

    from aitk_app.engine.generation import Generation
    from aitk_app.engine.sampling import TokenLogprob

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2
_LEAST_LOGPROB = -9999.0  # JSON has no infinity


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    whole: float = 230.0  # Azure Container Apps' ingress ends a request after 240
    silence: float = 15.0  # then a comment keeps proxies from hanging up


class Form:
    """What distinguishes chat completions from plain ones."""

    def __init__(self, model: str, token_bytes: Callable[[int], bytes], *, chat: bool) -> None:
        self.chat = chat
        self._bytes = token_bytes
        self._offset = 0
        kind = "chatcmpl" if chat else "cmpl"
        self._head = {"id": f"{kind}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._event = "chat.completion.chunk" if chat else "text_completion"
        self._whole = "chat.completion" if chat else "text_completion"

    def begin(self) -> str | None:
        """The first event."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None, ()) if self.chat else None

    def piece(self, text: str, logprobs: Sequence[TokenLogprob]) -> str:
        """An event with text."""
        return self._chunk({"delta": {"content": text}} if self.chat else {"text": text}, None, logprobs)

    def end(self, finish: str) -> str:
        """The event with the reason."""
        return self._chunk({"delta": {}} if self.chat else {"text": ""}, finish, ())

    def usage(self, usage: dict[str, int]) -> str:
        """The event with the usage."""
        return _sse(self._head | {"object": self._event, "choices": [], "usage": usage})

    def whole(self, text: str, finish: str, logprobs: Sequence[TokenLogprob], usage: dict[str, int]) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        said: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        )
        choice = {"index": 0, **said, "finish_reason": finish, "logprobs": self._logprobs(logprobs)}
        return self._head | {"object": self._whole, "choices": [choice], "usage": usage}

    def _chunk(self, said: dict[str, Any], finish: str | None, logprobs: Sequence[TokenLogprob]) -> str:
        choice = {"index": 0, **said, "finish_reason": finish, "logprobs": self._logprobs(logprobs)}
        return _sse(self._head | {"object": self._event, "choices": [choice]})

    def _logprobs(self, found: Sequence[TokenLogprob]) -> dict[str, Any] | None:
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
            offsets.append(self._offset)
            self._offset += len(self._written(each.token))
        return {
            "tokens": [self._written(each.token) for each in found],
            "token_logprobs": [max(each.logprob, _LEAST_LOGPROB) for each in found],
            "top_logprobs": [
                {self._written(token): max(value, _LEAST_LOGPROB) for token, value in each.top} for each in found
            ],
            "text_offset": offsets,
        }

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": self._written(token),
            "logprob": max(logprob, _LEAST_LOGPROB),
            "bytes": list(self._bytes(token)),
        }

    def _written(self, token: int) -> str:
        return self._bytes(token).decode(errors="replace")


def streamed(generation: Generation, form: Form, limits: Limits, *, include_usage: bool) -> Response:
    """The answer as server-sent events."""
    events = _events(generation, form, limits, include_usage=include_usage)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(generation: Generation, form: Form, limits: Limits, *, include_usage: bool) -> AsyncIterator[str]:
    """Leaving the iteration cancels the request."""
    try:
        if (begin := form.begin()) is not None:
            yield begin
        finish = None
        while finish is None:
            piece = await generation.next_piece(limits.silence)
            if piece is None:
                yield ": keep-alive\n\n"
                continue
            if piece.text or piece.logprobs:
                yield form.piece(piece.text, piece.logprobs)
            finish = piece.finish_reason
        yield form.end(finish)
        if include_usage:
            yield form.usage(_usage(generation))
        yield "data: [DONE]\n\n"
    except EngineError as error:
        yield f"data: {openai_error(str(error), kind='server_error').decode()}\n\n"
        yield "data: [DONE]\n\n"
    except Exception as error:  # the headers are gone: here is the only place to say it
        logger.exception("An answer could not be written")
        told = openai_error(unexpected_message(error), kind="server_error", code="internal_error")
        yield f"data: {told.decode()}\n\n"
        yield "data: [DONE]\n\n"
    finally:
        generation.cancel()


async def whole(generation: Generation, form: Form, limits: Limits, request: Request) -> Response:
    """The whole answer at once; a client that leaves meanwhile frees its place."""
    collecting = asyncio.ensure_future(_collect(generation))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({collecting, leaving}, timeout=limits.whole, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not collecting.done():
            return Response(status_code=499)
        if not collecting.done():
            return error_response(
                504,
                f"The answer was not complete after {limits.whole:g} s, the longest that it may take unstreamed. "
                'Stream it ("stream": true), or ask for fewer tokens (max_tokens).',
                code="timeout",
            )
        try:
            text, finish, logprobs = collecting.result()
        except EngineError as error:
            return error_response(error.status, str(error))
    finally:
        generation.cancel()
        for task in (collecting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, EngineError):
                await task
    return JSONResponse(form.whole(text, finish, logprobs, _usage(generation)))


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in OpenAI's shape; with Retry-After where trying again may help."""
    kind = {429: "rate_limit_error"}.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP's number
    headers = {"Retry-After": str(RETRY_SECONDS)} if status in {429, 503} else headers
    body = openai_error(message, kind=kind, code=code, param=param)
    return Response(body, status, dict(headers or {}), media_type="application/json")


async def _collect(generation: Generation) -> tuple[str, str, list[TokenLogprob]]:
    text: list[str] = []
    logprobs: list[TokenLogprob] = []
    finish = ""
    async for piece in generation.pieces():
        text.append(piece.text)
        logprobs.extend(piece.logprobs)
        finish = piece.finish_reason or ""
    return "".join(text), finish, logprobs


async def _gone(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _usage(generation: Generation) -> dict[str, int]:
    asked, answered = len(generation.prompt), generation.tokens
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _sse(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
