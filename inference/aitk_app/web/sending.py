"""Sends the answers of a request: as events while they grow, or the whole at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastapi.responses import JSONResponse, Response, StreamingResponse

from aitk_app.engine.generation import EngineError
from aitk_app.incidents import recorded
from aitk_app.web.access import openai_error, unexpected_message
from aitk_app.web.answer import Answer, Delta
from aitk_app.web.holding import WAITED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from fastapi import Request

    from aitk_app.web.answer import Finish

RETRY_SECONDS = 2


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    whole: float = 230.0  # Azure Container Apps' ingress ends a request after 240
    silence: float = 15.0  # then a comment keeps proxies from hanging up


class ResponseForm(Protocol):
    """How an API writes its responses."""

    def opened(self, choices: int) -> list[str]:
        """The first events."""

    def events(self, index: int, delta: Delta) -> list[str]:
        """The events that tell what one step added to a choice."""

    def closed(self, usage: dict[str, int]) -> list[str]:
        """The last events."""

    def failed(self, error: bytes) -> list[str]:
        """The events that tell an error (a body in OpenAI's shape) in mid-answer."""

    def whole(self, choices: Sequence[Delta], usage: dict[str, int]) -> dict[str, Any]:
        """The body of a response that is not streamed."""


def streamed(answers: Sequence[Answer], form: ResponseForm, limits: Limits) -> Response:
    """The answers as server-sent events."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(answers, form, limits), media_type="text/event-stream", headers=headers)


async def _events(answers: Sequence[Answer], form: ResponseForm, limits: Limits) -> AsyncIterator[str]:
    """Leaving the iteration cancels the requests."""
    try:
        yield "".join(form.opened(len(answers)))
        async for index, delta in _merged(answers, limits.silence):
            yield ": keep-alive\n\n" if delta is None else "".join(form.events(index, delta))
        yield "".join(form.closed(usage_of(answers)))
    except EngineError as error:
        yield "".join(form.failed(openai_error(str(error), kind="server_error")))
    except Exception as error:  # noqa: BLE001 - the headers are gone: here is the only place to say it
        number = recorded(error, "An answer could not be written")
        told = openai_error(unexpected_message(number), kind="server_error", code="internal_error")
        yield "".join(form.failed(told))
    finally:
        for answer in answers:
            answer.cancel()


async def _merged(answers: Sequence[Answer], silence: float) -> AsyncIterator[tuple[int, Delta | None]]:
    """What the answers say, each with its index, as it comes; None for each time in which nothing came."""
    said: asyncio.Queue[tuple[int, Delta | BaseException]] = asyncio.Queue()

    async def read(index: int, answer: Answer) -> None:
        try:
            async for delta in answer.deltas():
                if delta is not None:
                    said.put_nowait((index, delta))
        except Exception as error:  # noqa: BLE001 - raised below, where somebody listens
            said.put_nowait((index, error))

    reading = [asyncio.ensure_future(read(*each)) for each in enumerate(answers)]
    open_ones = len(answers)
    try:
        while open_ones:
            try:
                index, found = await asyncio.wait_for(said.get(), silence)
            except TimeoutError:
                yield 0, None
                continue
            if isinstance(found, BaseException):
                raise found
            open_ones -= found.finish is not None
            yield index, found
    finally:
        for task in reading:
            task.cancel()


async def whole(answers: Sequence[Answer], form: ResponseForm, limits: Limits, request: Request) -> Response:
    """The whole answers at once; a client that leaves meanwhile frees their places."""
    limit = max(limits.whole - request.scope.get(WAITED, 0.0), 0.0)  # a held request has waited already
    collecting = asyncio.ensure_future(_collected(answers))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({collecting, leaving}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
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
            choices = collecting.result()
        except EngineError as error:
            return error_response(error.status, str(error))
    finally:
        for answer in answers:
            answer.cancel()
        for task in (collecting, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, EngineError):
                await task
    return JSONResponse(form.whole(choices, usage_of(answers)))


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


async def _collected(answers: Sequence[Answer]) -> list[Delta]:
    return list(await asyncio.gather(*(_whole(each) for each in answers)))


async def _whole(answer: Answer) -> Delta:
    """All that it says, as one."""
    said = [delta async for delta in answer.deltas() if delta is not None]
    finish: Finish | None = said[-1].finish if said else "stop"
    return Delta(
        "".join(each.text for each in said),
        "".join(each.reasoning for each in said),
        tuple(call for each in said for call in each.calls),
        tuple(logprob for each in said for logprob in each.logprobs),
        finish,
    )


async def _gone(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def usage_of(answers: Sequence[Answer]) -> dict[str, int]:
    """Tokens read and written; choices of one prompt share it."""
    prompts = {id(each.generation.prompt): len(each.generation.prompt) for each in answers}
    asked, answered = sum(prompts.values()), sum(each.generation.tokens for each in answers)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
