"""The gate of the app: `/health` and `/ready` for everyone, the rest with the key and once it is ready.

Plain ASGI around the app proper, so that it answers before FastAPI, Gradio and PyTorch are imported, and so
that no route inside, ours or Gradio's, can be reached past it. What it answers stands in `entrance.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aitk_app.web.access import SESSION_BODY_LIMIT_BYTES, openai_error, unexpected_message
from aitk_app.web.entrance import SESSION, Answer, entrance, open_session
from aitk_app.web.origins import AllowedOrigins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from aitk_app.readiness import Readiness
    from aitk_app.web.access import Access

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)

_BODY_LIMIT_BYTES = 16 << 20


class Gate:
    """An ASGI app; `inner` is set when the model is ready."""

    def __init__(self, access: Access, readiness: Readiness, origins: AllowedOrigins | None = None) -> None:
        self._access = access
        self._origins = origins or AllowedOrigins("")
        self._readiness = readiness
        self.inner: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on; whatever fails on the way is answered in OpenAI's shape, once."""
        begun = False
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        more = [(name.encode(), value.encode("latin-1")) for name, value in self._origins.headers(headers).items()]

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            if more and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            await self._answer(scope, headers, receive, noting)
        except Exception as error:  # the edge
            logger.exception("A request failed")
            if not begun and scope["type"] == "http":
                body = openai_error(unexpected_message(error), kind="server_error", code="internal_error")
                await _send(noting, Answer(500, body))

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # Nothing inside uses them; refused before the handshake.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        told = self._origins.preflight(scope["method"], headers)
        if told is not None:
            await _send(send, Answer(204, headers=told))
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == SESSION and scope["method"] == "POST":
            body = await _small_body(receive)
            await _send(send, open_session(body, self._access, secure=_by_https(scope, headers)))
            return
        answer = entrance(path, headers, self._access, self._readiness.state)
        if answer is not None:
            await _send(send, answer)
        elif self.inner is not None:
            await self._pass_on(self.inner, headers, scope, receive, send)

    async def _pass_on(self, inner: App, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """To the app proper, but no body larger than a long conversation."""
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", ""}:
            message = f"The body is encoded as {encoding!r}. Send it as it is, without a Content-Encoding."
            body = openai_error(message, kind="invalid_request_error", code="unsupported_encoding")
            await _send(send, Answer(415, body, headers={"accept-encoding": "identity", "connection": "close"}))
            return
        length, received = headers.get("content-length", "0"), 0
        if length.isdecimal() and int(length) > _BODY_LIMIT_BYTES:
            message = f"The request is larger than {_BODY_LIMIT_BYTES} bytes."
            body = openai_error(message, kind="invalid_request_error", code="request_too_large")
            await _send(send, Answer(413, body, headers={"connection": "close"}))
            return

        async def limited() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _BODY_LIMIT_BYTES:  # sent in pieces, without a length: the app sees a client that left
                return {"type": "http.disconnect"}
            return message

        await inner(scope, limited, send)


async def _small_body(receive: Receive) -> bytes:
    """The body, as far as one that signs in can be long."""
    body, more = b"", True
    while more and len(body) <= SESSION_BODY_LIMIT_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _by_https(scope: Scope, headers: dict[str, str]) -> bool:
    return "https" in {scope.get("scheme"), headers.get("x-forwarded-proto")}


async def _send(send: Send, answer: Answer) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in answer.all_headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})
