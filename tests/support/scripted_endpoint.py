"""An endpoint that answers by script: over real HTTP, in the test's own process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class ScriptedEndpoint:
    """Its model is `tuned`, on `base`; each stream of `streams` answers one question, the last one all further ones."""

    def __init__(self) -> None:
        self.url = ""
        self.key = "the-key"
        self.stages: list[dict[str, Any]] = []
        """What `/ready` answers before it is ready."""
        self.models: list[dict[str, Any]] = [{"id": "base"}, {"id": "tuned", "parent": "base"}]
        self.streams: list[list[Any]] = [[{"content": "Ahoy"}]]
        self.asked: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        """Somebody left in the middle of an answer that hangs (a stream with "hang")."""

    async def ready(self, _request: web.Request) -> web.Response:
        if self.stages:
            return web.json_response({"ready": False, **self.stages.pop(0)}, status=503)
        return web.json_response({"ready": True, "stage": "ready"})

    async def list(self, request: web.Request) -> web.Response:
        return self._refusal(request) or web.json_response({"data": self.models})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        self.asked.append(await request.json())
        stream = self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for delta in stream:
            if delta == "hang":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.left.set()
                    raise
            event = delta if "error" in delta else {"choices": [{"delta": delta}]}
            await answer.write(f"data: {json.dumps(event)}\n\n".encode())
        await answer.write(b': keep-alive\n\ndata: {"choices": [], "usage": {"prompt_tokens": 50}}\n\n')
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return web.json_response({"error": {"message": "The key is wrong."}}, status=401)


@asynccontextmanager
async def scripted_endpoint() -> AsyncIterator[ScriptedEndpoint]:
    endpoint = ScriptedEndpoint()
    application = web.Application()
    application.router.add_get("/ready", endpoint.ready)
    application.router.add_get("/v1/models", endpoint.list)
    application.router.add_post("/v1/chat/completions", endpoint.chat)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield endpoint
    finally:
        await runner.cleanup()
