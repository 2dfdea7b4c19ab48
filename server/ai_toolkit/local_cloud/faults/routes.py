"""Faults over HTTP: the control route, and what a request sees that one happens to."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.faults.model import Fault, Faults, Half, Kind, Port

CONTROL = "/local-cloud"  # requests below it are not counted, and nothing happens to them
UNAUTHORIZED, NOT_FOUND, THROTTLED, UNAVAILABLE = 401, 404, 429, 503


def add_routes(router: web.UrlDispatcher, faults: Faults) -> None:
    """Add the control route: POST a fault, GET all with their counts, DELETE one or all."""

    async def add(request: web.Request) -> web.Response:
        body = await request.json()
        if not isinstance(body, dict):
            raise ArmError("InvalidFault", "A fault is a JSON object.")
        fault = Fault.read(body)
        faults.add(fault)
        return web.json_response(fault.document(), status=201)

    async def show(_request: web.Request) -> web.Response:
        return web.json_response({"value": [fault.document() for fault in faults.all()]})

    async def remove(request: web.Request) -> web.Response:
        faults.remove(request.match_info.get("id"))
        return web.Response(status=204)

    router.add_post(f"{CONTROL}/faults", add)
    router.add_get(f"{CONTROL}/faults", show)
    router.add_delete(f"{CONTROL}/faults", remove)
    router.add_delete(f"{CONTROL}/faults/{{id}}", remove)


Refusal = Callable[[Fault, web.Request], web.Response]


def misbehaving(faults: Faults, port: Port, refusal: Refusal | None = None) -> Middleware:
    """A middleware that lets faults happen to the requests of one port.

    `refusal` is the answer of such a request in the port's own shape; plain text without.
    """
    refuse = refusal or _plain_refusal

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        if port is Port.MANAGEMENT and request.path.startswith(CONTROL):
            return await handler(request)
        fault = faults.for_request(port, request.method, request.path_qs)
        if fault is None:
            return await handler(request)
        if fault.kind is Kind.LATENCY:
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        if fault.kind is Kind.CUT:
            return await _cut(fault, request, handler)
        await _drain(request)
        response = refuse(fault, request)
        if fault.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(fault.retry_after_seconds)
        return response

    return misbehave


async def _drain(request: web.Request) -> None:
    """Read what the client still sends, so that it can read the answer."""
    async for _ in request.content.iter_chunked(1 << 20):
        pass


def management_refusal(fault: Fault, request: web.Request) -> web.Response:
    """The answer to a request that a fault happens to in Resource Manager's shape."""
    status, code = fault.status, fault.code
    if fault.kind is Kind.NOT_FOUND:
        status = NOT_FOUND
        code = code or ("DeploymentNotFound" if "/deployments/" in request.path else "ResourceNotFound")
    if fault.kind is Kind.EXPIRED_TOKEN:
        status, code = UNAUTHORIZED, "ExpiredAuthenticationToken"
    default = {THROTTLED: "TooManyRequests", UNAVAILABLE: "ServiceUnavailable"}.get(status, "InternalServerError")
    response = ArmError(code or default, fault.message, status=status).response()
    if status == UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return response


def _plain_refusal(fault: Fault, _request: web.Request) -> web.Response:
    status = NOT_FOUND if fault.kind is Kind.NOT_FOUND else fault.status
    return web.Response(status=status, text=f"{fault.message}\n")


class _CutTransport:
    """A connection that ends after so many more bytes."""

    def __init__(self, transport: asyncio.Transport, left: int) -> None:
        self._transport = transport
        self._left = left

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the wrapped one has
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass on what may still go, and cut."""
        self._transport.write(bytes(data)[: self._left])
        self._left -= len(data)
        if self._left < 0:
            # close() sends what was written, abort() would drop it; the client sees a body that is too short.
            self._transport.close()

    def writelines(self, parts: list[bytes]) -> None:
        """Pass on what may still go, and cut."""
        self.write(b"".join(parts))


async def _cut(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    protocol = request.protocol
    transport = protocol.transport
    if transport is None:
        return await handler(request)
    if fault.of is Half.REQUEST:
        left = fault.bytes
        while left > 0 and (data := await request.content.read(left)):
            left -= len(data)
        transport.abort()
        return web.Response(status=UNAVAILABLE)
    protocol.transport = cast("asyncio.Transport", _CutTransport(transport, fault.bytes))
    response = await handler(request)
    if not response.prepared:
        await response.prepare(request)
        await response.write_eof()
    if protocol.transport is not None:
        protocol.transport = transport
    return response
