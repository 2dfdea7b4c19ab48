"""The OpenAI-compatible API: its routes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from aitk_app.incidents import recorded
from aitk_app.web.access import unexpected_message
from aitk_app.web.answering import Completions, RequestError
from aitk_app.web.body_reading import BodyError, most_prompts, read_json
from aitk_app.web.chat_answers import begin_chat
from aitk_app.web.model_list import model_json
from aitk_app.web.openapi_document import DescribedApi
from aitk_app.web.openapi_page import openapi_page
from aitk_app.web.refusals import refusal
from aitk_app.web.request_bodies import (
    ChatRequest,
    CompletionRequest,
    LoadAdapter,
    TokenizeRequest,
    UnloadAdapter,
)
from aitk_app.web.response_forms import Form
from aitk_app.web.responses_bodies import ResponsesRequest
from aitk_app.web.responses_form import ResponsesForm
from aitk_app.web.sending import Limits, ResponseForm, error_response, streamed, whole
from aitk_app.web.text_answers import begin_texts
from aitk_app.web.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aitk_app.web.answer import Answer
    from aitk_app.web.answering import ServedModel
    from aitk_app.web.metrics import Metrics

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_DESCRIPTION = """Every route needs the endpoint's key: Authorization: Bearer KEY (`aitk key` prints it).

curl ENDPOINT/v1/chat/completions -H "Authorization: Bearer KEY" -H "Content-Type: application/json" \\
  -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'"""


def build_api(  # noqa: C901 - one short function per route
    completions: Completions, version: Callable[[], dict[str, object]], metrics: Metrics, limits: Limits
) -> FastAPI:
    """The routes below `/v1`, `/version`, `/metrics`, and `/openapi.json` (the page is below `/docs`)."""
    # The pages of FastAPI take their script from elsewhere: the chat page links the description itself.
    app = DescribedApi(title="AI Toolkit inference", description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.router.route_class = route_with_checked_body(completions)
    begun = int(time.time())

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        return error_response(error.status, str(error), code=error.code, param=error.param)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        message, param = refusal(error.errors(), error.body)
        return error_response(400, message, param=param)

    @app.exception_handler(HTTPException)
    async def refused_by_framework(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}."
        return error_response(error.status_code, message, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        number = recorded(error, "A request failed")
        return error_response(500, unexpected_message(number), code="internal_error")

    def described_model(model: ServedModel) -> dict[str, object]:
        return model_json(model, begun) | {
            "max_model_len": completions.context_length,
            "default": model.default,
            "default_sampling": asdict(completions.sampling_defaults(model)),
            "aliases": [alias for alias, name in completions.aliases.items() if name == model.id],
        }

    async def answered(answers: list[Answer], form: ResponseForm, request: Request, *, stream: bool) -> Response:
        return streamed(answers, form, limits) if stream else await whole(answers, form, limits, request)

    @app.get("/v1/models", summary="The models that are served; an adapter names its base model as parent")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [described_model(each) for each in completions.served]}

    @app.get("/v1/models/{name:path}", summary="One model")
    async def model(name: str) -> dict[str, object]:
        return described_model(completions.model(name))

    @app.post("/v1/chat/completions", response_model=None, summary="Answer a conversation")
    async def chat(asked: ChatRequest, request: Request) -> Response:
        served = completions.model(asked.model)
        answers = await begin_chat(completions, served, asked)
        token_bytes = completions.speech(served).token_bytes
        form = Form(served.id, token_bytes, chat=True, include_usage=asked.wants_usage)
        return await answered(answers, form, request, stream=asked.stream)

    @app.post("/v1/completions", response_model=None, summary="Continue a text")
    async def complete(asked: CompletionRequest, request: Request) -> Response:
        served = completions.model(asked.model)
        answers = await begin_texts(completions, served, asked)
        token_bytes = completions.speech(served).token_bytes
        form = Form(served.id, token_bytes, chat=False, include_usage=asked.wants_usage)
        return await answered(answers, form, request, stream=asked.stream)

    @app.post("/v1/responses", response_model=None, summary="Answer, as OpenAI's newer API has it; nothing is stored")
    async def respond(asked: ResponsesRequest, request: Request) -> Response:
        served = completions.model(asked.model)
        try:
            as_chat = asked.as_chat()
        except ValidationError as error:
            message, param = refusal(error.errors(), asked.model_dump(by_alias=True))
            raise RequestError(400, message, param=param) from error
        answers = await begin_chat(completions, served, as_chat)
        return await answered(answers, ResponsesForm(served.id, asked), request, stream=asked.stream)

    @app.post("/tokenize", summary="The tokens of a text, or of a conversation as the chat template writes it")
    async def tokenize(asked: TokenizeRequest) -> dict[str, object]:
        return await tokens_of(completions, completions.model(asked.model), asked)

    @app.post("/v1/load_lora_adapter", summary="Serve an adapter below models/, or replace one of that name")
    async def load_adapter(asked: LoadAdapter) -> dict[str, object]:
        return await completions.load_adapter(asked.lora_name, asked.lora_path)

    @app.post("/v1/unload_lora_adapter", summary="Serve an adapter no longer")
    async def unload_adapter(asked: UnloadAdapter) -> dict[str, object]:
        return await completions.unload_adapter(asked.lora_name)

    @app.get("/version", summary="What is running, by hash")
    def versions() -> dict[str, object]:  # in a thread: it looks at the share
        return version()

    @app.get("/metrics", response_model=None, summary="Counters for Prometheus")
    async def measured() -> Response:
        body, kind = metrics.text()
        return Response(body, media_type=kind)

    @app.get("/docs", response_model=None, summary="This description as a page")
    async def described() -> Response:
        return Response(openapi_page(app.openapi()), media_type="text/html")

    # Else the chat page, which is mounted below all the rest, would answer for them.
    async def unknown(request: Request) -> Response:
        others = [each for each in app.routes if each.matches(request.scope)[0] is Match.PARTIAL]
        allowed = sorted({method for each in others for method in getattr(each, "methods", None) or ()})
        if allowed:
            message = f"{request.url.path} takes {', '.join(allowed)}, not {request.method}."
            return error_response(405, message, code="method_not_allowed", headers={"Allow": ", ".join(allowed)})
        return error_response(404, f"There is no {request.url.path} here. /docs lists what there is.", code="not_found")

    others = [path for each in app.routes if not (path := getattr(each, "path", "")).startswith("/v1/")]
    for path in ("/v1", "/v1/{rest:path}", *others):
        app.add_api_route(path, unknown, methods=_METHODS, response_model=None, include_in_schema=False)
    return app


def route_with_checked_body(completions: Completions) -> type[APIRoute]:
    """Routes that look at a body before it is parsed: its length, and whether it is text."""

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()
            if self.body_field is None:
                return handler

            async def checked(request: Request) -> Response:
                one_prompt = request.url.path != "/v1/completions"
                length = request.headers.get("content-length", "0")
                try:
                    if one_prompt and length.isdecimal():
                        try:
                            completions.check_size(int(length), None)
                        except RequestError:
                            async for _ in request.stream():  # a client that still writes would not read the answer
                                pass
                            raise
                    body = await request.body()
                except ClientDisconnect as error:  # which is what the gate says of a body without end
                    raise RequestError(413, "The request is too large.", code="request_too_large") from error
                completions.check_size(len(body), None, 1 if one_prompt else most_prompts(body))
                try:
                    await asyncio.to_thread(read_json, body)
                except BodyError as error:
                    raise RequestError(400, str(error), param=error.param) from error
                return await handler(request)

            return checked

    return Route
