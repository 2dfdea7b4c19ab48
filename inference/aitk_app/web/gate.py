"""The door of the app: `/health` and `/ready` for everyone, the rest with the key and once it is ready.

Plain ASGI around the app proper, so that it answers before FastAPI, Gradio and PyTorch are imported, and so
that no route inside, ours or Gradio's, can be reached past it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aitk_app.web.access import SESSION_BODY_LIMIT_BYTES, openai_error
from aitk_app.web.pages import REFRESH_SECONDS, login_page, waiting_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from aitk_app.readiness import Readiness
    from aitk_app.web.access import Access

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODY_LIMIT_BYTES = 16 << 20
_THIS_COMPUTER = {"localhost", "127.0.0.1", "[::1]"}
_JSON, _HTML = "application/json", "text/html; charset=utf-8"


class Front:
    """An ASGI app; `inner` is set when the model is ready."""

    def __init__(self, access: Access, readiness: Readiness) -> None:
        self._access = access
        self._readiness = readiness
        self.inner: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            # Nothing inside uses them; refused before the handshake.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        path, state = scope["path"].removeprefix(scope.get("root_path", "")), self._readiness.state
        for_people = "text/html" in headers.get("accept", "")
        if path == "/health":
            await _answer(send, 200, b'{"status": "ok"}', _JSON)
        elif path == "/ready":
            body = json.dumps(state.as_json()).encode()
            await _answer(send, 200 if state.ready else 503, body, _JSON, retry=not state.ready)
        elif path == "/session" and scope["method"] == "POST":
            await self._open_session(receive, send, secure=_by_https(scope, headers))
        elif self._access.key is None and not _from_here(headers):
            message = "Without a key this endpoint answers only this computer. Set AITK_API_KEY to answer others."
            await _answer(send, 403, openai_error(message, kind="invalid_request_error", code="foreign_host"), _JSON)
        elif not self._access.allows(headers):
            if for_people:
                await _answer(send, 401, login_page(path), _HTML)
            else:
                message = "A key is needed: Authorization: Bearer KEY. `aitk key` prints it."
                body = openai_error(message, kind="invalid_request_error", code="invalid_api_key")
                await _answer(send, 401, body, _JSON, {"www-authenticate": "Bearer"})
        elif self.inner is not None and state.ready:
            await self._pass_on(self.inner, headers, scope, receive, send)
        elif for_people:
            page = waiting_page(state.stage, state.detail, state.reason, state.progress)
            await _answer(send, 503, page, _HTML, retry=True)
        else:
            message = f"Not ready: {state.stage}. {state.reason or state.detail}"
            body = openai_error(message, kind="server_error", code="not_ready")
            await _answer(send, 503, body, _JSON, retry=True)

    async def _pass_on(self, inner: App, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """To the app proper, but no body larger than a long conversation."""
        length, received = headers.get("content-length", "0"), 0
        if length.isdecimal() and int(length) > _BODY_LIMIT_BYTES:
            message = f"The request is larger than {_BODY_LIMIT_BYTES} bytes."
            body = openai_error(message, kind="invalid_request_error", code="request_too_large")
            await _answer(send, 413, body, _JSON, {"connection": "close"})
            return

        async def limited() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _BODY_LIMIT_BYTES:  # sent in pieces, without a length: the app sees a client that left
                return {"type": "http.disconnect"}
            return message

        await inner(scope, limited, send)

    async def _open_session(self, receive: Receive, send: Send, *, secure: bool) -> None:
        body, more = b"", True
        while more and len(body) <= SESSION_BODY_LIMIT_BYTES:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        cookie = self._access.session_cookie(body, secure=secure)
        if cookie:
            await _answer(send, 204, b"", _JSON, {"set-cookie": cookie})
        else:
            refusal = openai_error("Not this endpoint's key, or a link that has expired.", kind="invalid_request_error")
            await _answer(send, 401, refusal, _JSON)


def _from_here(headers: dict[str, str]) -> bool:
    """Whether a browser on this computer asks from a page of this computer: no other page may, by any name."""
    names = [_host(headers.get("host", ""))]
    if "origin" in headers:
        names.append(_host(headers["origin"].partition("://")[2]))
    return all(name in _THIS_COMPUTER for name in names)


def _host(address: str) -> str:
    return address.partition("]")[0] + "]" if address.startswith("[") else address.partition(":")[0]


def _by_https(scope: Scope, headers: dict[str, str]) -> bool:
    return "https" in {scope.get("scheme"), headers.get("x-forwarded-proto")}


async def _answer(  # noqa: PLR0913 - the parts of a response
    send: Send,
    status: int,
    body: bytes,
    kind: str,
    extra: dict[str, str] | None = None,
    *,
    retry: bool = False,
) -> None:
    headers = {"cache-control": "no-store"} | (extra or {})
    if status != 204:  # noqa: PLR2004 - 204 has no body
        headers |= {"content-type": kind, "content-length": str(len(body))}
    if retry:
        headers["retry-after"] = str(REFRESH_SECONDS)
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
