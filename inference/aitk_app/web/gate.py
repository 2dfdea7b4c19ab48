"""The gate of the app: `/health` and `/ready` for everyone, the rest with the key and once it is ready.

Plain ASGI around the app proper, so that it answers before FastAPI, Gradio and PyTorch are imported, and so
that no route inside, ours or Gradio's, can be reached past it. What it answers stands in `entrance.py`, and how
requests of the API wait until it is ready in `holding.py`.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aitk_app.incidents import recorded
from aitk_app.web.access import SESSION_BODY_LIMIT_BYTES, openai_error, unexpected_message
from aitk_app.web.entrance import PAGE_HEADERS, SESSION, Answer, entrance, may_wait, open_session
from aitk_app.web.holding import LeftError, RefusedError, Stream, WaitingRoom
from aitk_app.web.origins import AllowedOrigins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from aitk_app.readiness import Readiness
    from aitk_app.web.access import Access

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]
    Known = Callable[[str], Answer | None]
    BodyCheck = Callable[[str, bytes], None]

_BODY_LIMIT_BYTES = 16 << 20
_DRAINED_BYTES = 4 * _BODY_LIMIT_BYTES


class Gate:
    """An ASGI app; `inner` is set when the model is ready, `known` answers what is known before, by path."""

    def __init__(
        self,
        access: Access,
        readiness: Readiness,
        origins: AllowedOrigins | None = None,
        *,
        room: WaitingRoom | None = None,
        check: BodyCheck | None = None,
    ) -> None:
        self._access = access
        self._origins = origins or AllowedOrigins("")
        self._readiness = readiness
        self._room = room or WaitingRoom(readiness)
        self._check = check
        self._known: Known = lambda _: None
        self.inner: App | None = None

    def learn(self, known: Known) -> None:
        """From now on answer what `known` answers while the model is not ready; from any thread."""
        self._known = known
        self._room.changed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on; whatever fails on the way is answered in OpenAI's shape, once."""
        begun = False
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        more = [(name.encode(), value.encode("latin-1")) for name, value in self._origins.headers(headers).items()]

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_page_headers(message["headers"]), *more]}
            await send(message)

        try:
            await self._answer(scope, headers, receive, noting)
        except Exception as error:  # noqa: BLE001 - the edge
            number = recorded(error, "A request failed")
            if not begun and scope["type"] == "http":
                body = openai_error(unexpected_message(number), kind="server_error", code="internal_error")
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
        state = self._readiness.state
        if may_wait(scope["method"], path, headers, self._access, state):
            await self._hold(path, headers, scope, receive, send)
            return
        answer = entrance(path, headers, self._access, state, scope["method"])
        if answer is not None:
            await _send(send, answer)
        elif self.inner is not None:
            await self._pass_on(self.inner, headers, scope, receive, send)

    async def _pass_on(self, inner: App, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """To the app proper, but no body larger than a long conversation."""
        if refused := _refused_by_its_headers(headers):
            await _drained(receive)
            await _send(send, refused)
            return
        received = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _BODY_LIMIT_BYTES:  # sent in pieces, without a length: the app sees a client that left
                return {"type": "http.disconnect"}
            return message

        await inner(scope, limited, send)

    async def _hold(self, path: str, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the request until the app can answer it."""
        if refused := _refused_by_its_headers(headers):
            await _drained(receive)
            await _send(send, refused)
            return
        is_post = scope["method"] == "POST"
        stream: Stream | None = None
        with suppress(LeftError):
            try:
                body = await _whole_body(receive)
                if is_post:
                    streams = await asyncio.to_thread(self._checked, path, body)
                    stream = Stream(send, path) if streams else None

                def there() -> bool:
                    known = not is_post and self._known(path) is not None
                    return known or (self._readiness.state.ready and self.inner is not None)

                await self._room.wait(scope, receive, there, body, stream)
            except RefusedError as error:
                await _send(stream.send if stream else send, error.answer)
                return
            answer = None if is_post or self._readiness.state.ready else self._known(path)
            if answer is not None:
                await _send(send, answer)
            elif self.inner is not None:
                await self.inner(scope, _replayed(body, receive), stream.send if stream else send)

    def _checked(self, path: str, body: bytes) -> bool:
        """Whether a body asks for a stream. Raises `RefusedError` for one that the app would refuse."""
        if self._check is not None:
            self._check(path, body)
        try:
            asked = json.loads(body)
        except ValueError:
            return False  # which the app says in its words
        return isinstance(asked, dict) and asked.get("stream") is True


def _page_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What a page of the app proper gets besides; ours have it."""
    given = {name.lower(): value for name, value in headers}
    if not given.get(b"content-type", b"").startswith(b"text/html"):
        return []
    return [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items() if name.encode() not in given]


def _refused_by_its_headers(headers: dict[str, str]) -> Answer | None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", ""}:
        message = f"The body is encoded as {encoding!r}. Send it as it is, without a Content-Encoding."
        body = openai_error(message, kind="invalid_request_error", code="unsupported_encoding")
        return Answer(415, body, headers={"accept-encoding": "identity", "connection": "close"})
    length = headers.get("content-length", "0")
    return _too_large() if length.isdecimal() and int(length) > _BODY_LIMIT_BYTES else None


def _too_large() -> Answer:
    message = f"The request is larger than {_BODY_LIMIT_BYTES} bytes."
    body = openai_error(message, kind="invalid_request_error", code="request_too_large")
    return Answer(413, body, headers={"connection": "close"})


async def _drained(receive: Receive) -> None:
    """Read a refused body away, within reason: a client that still writes would not read the answer."""
    length, more = 0, True
    while more and length < _DRAINED_BYTES:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _whole_body(receive: Receive) -> bytes:
    """The body. Raises `RefusedError` for one that is too large, and `LeftError`."""
    pieces, length, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise LeftError
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        if length > _BODY_LIMIT_BYTES:
            raise RefusedError(_too_large())
        more = message.get("more_body", False)
    return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was received already, and then what comes."""
    given = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


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
