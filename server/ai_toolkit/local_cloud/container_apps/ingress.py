"""An app's address on this computer: a streaming reverse proxy that wakes what sleeps.

It is for browsers, so it checks neither Host nor Origin; the app has its own key.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import CIMultiDict

from ai_toolkit.local_cloud.container_apps.ingress_rules import AFFINITY_COOKIE, IngressRules
from ai_toolkit.local_cloud.container_apps.replica import Replica
from ai_toolkit.local_cloud.core.arm_error import ArmError

log = logging.getLogger(__name__)

IDLE_LIMIT_SECONDS: Final = 240.0
HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
LARGEST_WEBSOCKET_MESSAGE_BYTES: Final = 64 * 1024 * 1024
NOT_FOUND_TEXT: Final = "Error 404 - This Container App is stopped or does not exist."


class NotServedError(Exception):
    """The app cannot answer now: a status and a sentence for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


ReplicaLease = Callable[[str | None], AbstractAsyncContextManager[Replica]]  # by affinity, where there is one


class Ingress:
    """Listens on one port and sends requests to a ready replica."""

    def __init__(
        self, replica: ReplicaLease, middleware: Middleware, idle_limit_seconds: float = IDLE_LIMIT_SECONDS
    ) -> None:
        self._idle_limit_seconds = idle_limit_seconds
        self._middleware = middleware
        self._replica = replica
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port: int | None = None
        self.rules = IngressRules()

    async def open(self, port: int | None, app_name: str) -> int:
        """The port that it listens on: the given one, or a free one.

        Raises ArmError `IngressPortInUse` when another process has taken the given one.
        """
        if self._runner is not None and self.port is not None:
            return self.port
        application = web.Application(client_max_size=0, middlewares=[self._middleware])
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0, auto_decompress=False
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port or 0, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ArmError(
                "IngressPortInUse",
                f"Another process on this computer listens on port {port}, the address of the container app "
                f"'{app_name}': end that process and try again, or delete the container app and provision it anew.",
                status=409,
                target=app_name,
            ) from error
        self._runner = runner
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._idle_limit_seconds),
        )
        self.port = runner.addresses[0][1]
        return self.port

    async def close(self) -> None:
        """Stop listening, and end the requests in flight."""
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._session = self.port = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        address = request.remote or "127.0.0.1"
        if not self.rules.is_external:
            return web.Response(status=404, text=f"{NOT_FOUND_TEXT}\n")
        if not self.rules.admits(address):
            return web.Response(status=403, text=f"RBAC: access denied ({address} may not reach this app)\n")
        preflight = self.rules.cors.preflight(request.method, request.headers)
        if preflight is not None:
            return web.Response(headers=preflight)  # the app is neither asked nor woken
        try:
            affinity = request.cookies.get(AFFINITY_COOKIE) if self.rules.is_sticky else None
            async with self._replica(affinity) as replica:
                if request.headers.get("Upgrade", "").lower() == "websocket":
                    return await self._web_socket(request, replica)
                return await self._forward(request, replica)
        except NotServedError as error:
            headers = {"Retry-After": "5"} if error.status == 503 else {}  # noqa: PLR2004  # HTTP: unavailable
            return web.Response(status=error.status, text=f"{error.message}\n", headers=headers)

    async def _forward(self, request: web.Request, replica: Replica) -> web.StreamResponse:
        if self._session is None:
            raise NotServedError(503, "The local cloud is stopping.")
        has_body = request.can_read_body
        try:
            upstream = await self._session.request(
                request.method,
                f"{replica.url}{request.raw_path}",
                headers=_forwarded_headers(request),
                data=request.content if has_body else None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            )
        except TimeoutError as error:
            raise NotServedError(504, "stream timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotServedError(
                503, f"upstream connect error or disconnect/reset before headers ({type(error).__name__})"
            ) from error
        async with upstream:
            response = self._begun_response(request, upstream, replica)
            await response.prepare(request)
            try:
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
            except (aiohttp.ClientError, TimeoutError, OSError):
                # Half an answer must not look whole: cut the connection as Azure does.
                if request.transport is not None:
                    request.transport.abort()
                return response
            await response.write_eof()
            return response

    def _begun_response(
        self, request: web.Request, upstream: aiohttp.ClientResponse, replica: Replica
    ) -> web.StreamResponse:
        """The answer's status and headers, with the cookie that keeps a client at its replica."""
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in upstream.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        response.headers.update(self.rules.cors.answered(request.headers))
        if "Content-Length" not in upstream.headers and request.version >= aiohttp.HttpVersion11:
            response.enable_chunked_encoding() if _has_body(request, upstream.status) else None
        if self.rules.is_sticky and request.cookies.get(AFFINITY_COOKIE) != replica.affinity:
            response.set_cookie(AFFINITY_COOKIE, replica.affinity, httponly=True, path="/", samesite="Lax")
        return response

    async def _web_socket(self, request: web.Request, replica: Replica) -> web.StreamResponse:
        if self._session is None:
            raise NotServedError(503, "The local cloud is stopping.")
        offered = [
            protocol.strip()
            for protocol in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            if protocol.strip()
        ]
        headers = CIMultiDict(
            (name, value)
            for name, value in _forwarded_headers(request).items()
            if not name.lower().startswith("sec-websocket")
        )
        try:
            upstream = await self._session.ws_connect(
                f"{replica.url}{request.raw_path}",
                headers=headers,
                protocols=offered,
                autoping=False,
                max_msg_size=LARGEST_WEBSOCKET_MESSAGE_BYTES,
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status, text=error.message)
        except (aiohttp.ClientError, OSError) as error:
            raise NotServedError(503, "upstream connect error or disconnect/reset before headers") from error
        chosen = (upstream.protocol,) if upstream.protocol else ()
        socket = web.WebSocketResponse(protocols=chosen, autoping=False, max_msg_size=LARGEST_WEBSOCKET_MESSAGE_BYTES)
        try:
            await socket.prepare(request)
            pumps = [
                asyncio.create_task(_pump(socket, upstream, self._idle_limit_seconds)),
                asyncio.create_task(_pump(upstream, socket, self._idle_limit_seconds)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            await upstream.close()
            with contextlib.suppress(ConnectionError):
                await socket.close()
        return socket


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: Socket, target: Socket, idle_limit_seconds: float) -> None:
    """Messages from one side to the other, until one side closes or is idle for too long."""
    while True:
        message = await source.receive(timeout=idle_limit_seconds)
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.PING:
            await target.ping(message.data)
        elif message.type is aiohttp.WSMsgType.PONG:
            await target.pong(message.data)
        else:
            code = source.close_code
            with contextlib.suppress(ConnectionError):
                await target.close(code=code if code and code not in {1005, 1006} else 1000)
            return


def _forwarded_headers(request: web.Request) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",") if name.strip()}
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        if name.lower() not in HOP_BY_HOP and name.lower() not in named:
            headers.add(name, value)
    headers["X-Forwarded-For"] = request.remote or "127.0.0.1"
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    return headers


def _has_body(request: web.Request, status: int) -> bool:
    return request.method != "HEAD" and status not in {204, 304} and status >= 200  # noqa: PLR2004
