"""The waiting room: requests of the API that arrive while the app starts, until it can answer them.

A stock client gives up on a 503 after two tries, which is long before a model is loaded. So a request waits here, after
its body was checked, at most `places` of them and `seconds` each; a stream gets comments meanwhile, which keep proxies
from hanging up. Then it goes on to the app, or gets 503 with a time to come back. Whoever leaves frees a place.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from aitk_app.web.entrance import Answer, not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from aitk_app.readiness import Readiness
    from aitk_app.web.gate import Receive, Scope, Send

WAITED = "aitk_waited"  # in a request's scope: for how many seconds it was held
_MOST_BYTES = 64 << 20  # of all bodies that are held


class RefusedError(Exception):
    """A request does not get in; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class LeftError(Exception):
    """The client has gone."""


class WaitingRoom:
    """Holds requests until what they wait for is there."""

    def __init__(
        self, readiness: Readiness, *, places: int = 64, seconds: float = 200.0, silence: float = 15.0
    ) -> None:
        self._readiness = readiness
        self._places = places
        self._seconds = seconds
        self._silence = silence
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._bytes = 0
        readiness.on_change(self.changed)

    @property
    def held(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def changed(self) -> None:
        """Look again; from any thread."""
        for event, loop in list(self._waiting.items()):
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(event.set)

    async def wait(
        self, scope: Scope, receive: Receive, there: Callable[[], bool], body: bytes = b"", stream: Stream | None = None
    ) -> None:
        """Returns when `there()`; the body has been received. `stream` is kept alive meanwhile.

        Raises `RefusedError` when there is no place, it takes too long, or the start has failed, and `LeftError`.
        """
        begun = _arrival(scope)
        end = begun + self._seconds
        alive = time.monotonic() + self._silence
        with self._place(len(body)) as changed:
            leaving = asyncio.ensure_future(_left(receive))
            try:
                while not there():
                    now = time.monotonic()
                    if not self._readiness.state.starting or now >= end:
                        raise RefusedError(self._told())
                    if stream is not None and now >= alive:
                        await stream.keep_alive()
                        alive = now + self._silence
                    looking = asyncio.ensure_future(changed.wait())
                    limit = end if stream is None else min(end, alive)
                    await asyncio.wait({looking, leaving}, timeout=limit - now, return_when=asyncio.FIRST_COMPLETED)
                    looking.cancel()
                    changed.clear()
                    if leaving.done():
                        raise LeftError
            finally:
                leaving.cancel()
                with suppress(asyncio.CancelledError):
                    await leaving
        scope[WAITED] = time.monotonic() - begun

    def _told(self) -> Answer:
        return not_ready(self._readiness.state, self._readiness.retry_seconds())

    @contextmanager
    def _place(self, length: int) -> Iterator[asyncio.Event]:
        if len(self._waiting) >= self._places or self._bytes + length > _MOST_BYTES:
            raise RefusedError(self._told())
        changed = asyncio.Event()
        self._waiting[changed] = asyncio.get_running_loop()
        self._bytes += length
        try:
            yield changed
        finally:
            del self._waiting[changed]
            self._bytes -= length


class Stream:
    """The response to a held request for a stream: begun with comments, it goes on as the app's own.

    The status is gone with the first comment, so that an error which comes later is the stream's last event.
    """

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path
        self._begun = False
        self._error: bytes | None = None  # the body of the app's refusal, as far as it has come

    async def keep_alive(self) -> None:
        """A comment."""
        if not self._begun:
            self._begun = True
            names = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
            headers = [(name.encode(), value.encode()) for name, value in (names | {"x-accel-buffering": "no"}).items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True})

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """What the app sends."""
        if not self._begun:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._error = None if message["status"] == 200 else b""  # noqa: PLR2004 - HTTP's number
        elif self._error is None:
            await self._send(message)
        else:
            self._error += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send({"type": "http.response.body", "body": _as_event(self._path, self._error)})


def _as_event(path: str, error: bytes) -> bytes:
    """An error's body as a stream's end, as the API of that path writes it."""
    if not path.startswith("/v1/responses"):
        return b"data: " + error + b"\n\ndata: [DONE]\n\n"
    told = json.loads(error)["error"]
    event = {"type": "error", "code": told["code"], "message": told["message"], "param": told["param"]}
    return b"event: error\ndata: " + json.dumps(event | {"sequence_number": 0}).encode() + b"\n\n"


def as_arrived(arrived: float) -> dict[str, Any]:
    """The state of a connection whose first request arrived at that time."""
    return {"arrived": [arrived]}


def _arrival(scope: Scope) -> float:
    # Taken out, as later requests of the same connection arrive later.
    known = scope.get("state", {}).get("arrived")
    return known.pop() if known else time.monotonic()


async def _left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
