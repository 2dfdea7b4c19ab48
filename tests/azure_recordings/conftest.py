"""Answers that Azure gave, given again over HTTP to the product's own adapters."""

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AccessToken
from tests.support.recordings import Exchange, exchanges

from ai_toolkit.azure.connection import Connection

DROPPED = frozenset({"content-length", "transfer-encoding", "content-encoding", "retry-after", "location"})


class AnyToken:
    """A credential that a server which looks at no token accepts."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)

    async def get_token_info(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)

    async def refused(self, _tenant: str | None) -> bool:
        return False

    async def close(self) -> None:
        pass


class Azure:
    """A server that gives recorded answers: whatever is asked gets what `answers` chooses for its path."""

    def __init__(self) -> None:
        self.choose: Callable[[str, str], Exchange | None] = lambda _method, _path: None
        self.url = ""

    @property
    def connection(self) -> Connection:
        return Connection(self.url, AnyToken(), f"{self.url}/.default")

    def always(self, exchange: Exchange) -> None:
        """One answer to everything."""
        self.choose = lambda _method, _path: exchange

    async def answer(self, request: web.Request) -> web.Response:
        exchange = self.choose(request.method, request.path)
        if exchange is None:
            body = {"error": {"code": "ResourceNotFound", "message": f"There is no {request.path}."}}
            return web.json_response(body, status=404)
        headers = {name: value for name, value in exchange.headers.items() if name.lower() not in DROPPED}
        body = exchange.body
        if isinstance(body, dict) and "nextLink" in body:
            body = {name: value for name, value in body.items() if name != "nextLink"}
        data = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        return web.Response(status=exchange.status, headers=headers, body=data)


@pytest.fixture
async def azure() -> AsyncIterator[Azure]:
    """The server, listening."""
    recorded = Azure()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", recorded.answer)
    async with TestServer(application) as server:
        recorded.url = str(server.make_url("")).rstrip("/")
        yield recorded


@pytest.fixture(scope="session")
def recordings() -> list[Exchange]:
    return exchanges()
