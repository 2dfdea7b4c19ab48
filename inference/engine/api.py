"""The OpenAI-compatible API."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from access import openai_error
from engine.completions import Completions, Message, RequestError
from engine.generation import EngineError
from engine.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.completions import ServedModel
    from engine.generation import Generation


class _Strict(BaseModel):
    """Unknown parameters are refused by name: ignored ones give answers that nobody asked for."""

    model_config = ConfigDict(extra="forbid")


class TextPart(_Strict):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> Message:
        """The turn as the prompt template takes it."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, content)


class StreamOptions(_Strict):
    """How to stream."""

    include_usage: bool = False


class ChatRequest(_Strict):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    n: Literal[1] | None = None
    user: str | None = None

    def sampling(self, completions: Completions) -> Sampling:
        """What the engine needs to know."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        asked = self.max_completion_tokens or self.max_tokens or completions.max_new_tokens
        return Sampling(
            max_tokens=asked,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
            stop=tuple(each for each in stop if each),
        )


def build_api(completions: Completions, version: dict[str, object]) -> FastAPI:
    """The routes below `/v1`, `/version`, and their OpenAPI page."""
    app = FastAPI(title="AI Toolkit inference", docs_url="/docs", redoc_url=None)
    begun = int(time.time())

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        return _refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"] if part != "body")
        unknown = first["type"] == "extra_forbidden"
        message = f"The parameter {param} is not supported." if unknown else f"{param or 'body'}: {first['msg']}"
        return _refusal(RequestError(400, message, param=param or None))

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [_model_json(each, begun) for each in completions.served]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, object]:
        return _model_json(completions.model(name), begun)

    @app.get("/version")
    async def versions() -> dict[str, object]:
        return version

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(asked: ChatRequest, request: Request) -> Response:
        served = completions.model(asked.model)
        messages = [each.plain() for each in asked.messages]
        generation = completions.begin(served, messages, asked.sampling(completions))
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.id}
        if asked.stream:
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            events = _events(generation, head, include_usage=usage)
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        return await _whole(generation, head, request)

    return app


async def _events(generation: Generation, head: dict[str, Any], *, include_usage: bool) -> AsyncIterator[str]:
    """Server-sent events; leaving the iteration cancels the request."""

    def event(delta: dict[str, str], finish: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        body: dict[str, Any] = head | {"object": "chat.completion.chunk", "choices": [choice]}
        if include_usage:
            body["usage"] = None
        return _sse(body)

    try:
        yield event({"role": "assistant", "content": ""}, None)
        async for piece in generation.pieces():
            if piece.text:
                yield event({"content": piece.text}, None)
            if piece.finish_reason:
                yield event({}, piece.finish_reason)
                if include_usage:
                    usage = _usage(generation, piece.answer_tokens)
                    yield _sse(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield "data: [DONE]\n\n"
    except EngineError as error:
        yield f"data: {openai_error(str(error), kind='server_error').decode()}\n\n"
    finally:
        generation.cancel()


async def _whole(generation: Generation, head: dict[str, Any], request: Request) -> Response:
    """The whole answer at once; a client that leaves meanwhile frees its place."""
    collecting = asyncio.ensure_future(_collect(generation))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            return Response(status_code=499)
        try:
            text, tokens, finish = collecting.result()
        except EngineError as error:
            return Response(openai_error(str(error), kind="server_error"), 500, media_type="application/json")
    finally:
        generation.cancel()
        for task in (collecting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, EngineError):
                await task
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "finish_reason": finish,
        "logprobs": None,
    }
    return JSONResponse(head | {"object": "chat.completion", "choices": [choice], "usage": _usage(generation, tokens)})


async def _collect(generation: Generation) -> tuple[str, int, str | None]:
    text, tokens, finish = [], 0, None
    async for piece in generation.pieces():
        text.append(piece.text)
        tokens, finish = piece.answer_tokens, piece.finish_reason
    return "".join(text), tokens, finish


async def _gone(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _usage(generation: Generation, answer_tokens: int) -> dict[str, int]:
    prompt_tokens = len(generation.prompt)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer_tokens,
        "total_tokens": prompt_tokens + answer_tokens,
    }


def _model_json(model: ServedModel, created: int) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "ai-toolkit",
        "root": model.id,
        "parent": model.parent,
    }


def _sse(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _refusal(error: RequestError) -> Response:
    kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"  # noqa: PLR2004 - HTTP's number
    body = openai_error(str(error), kind=kind, code=error.code, param=error.param)
    headers = {"Retry-After": "2"} if error.status == 429 else None  # noqa: PLR2004 - HTTP's number
    return Response(body, error.status, headers, media_type="application/json")
