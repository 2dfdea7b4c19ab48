"""Requests of the API that reach `start.py`: held unread in their connections, which the app then takes over.

Standard library only. What waits is answered by the app (`holding.py`), which has the models' names and checks bodies;
here only what is no JSON at all is told at once.
"""

from __future__ import annotations

import io
import json
import os
import select
import socket
import threading
import time
from http.client import HTTPException, parse_headers
from typing import TYPE_CHECKING, Any

from aitk_app.web.entrance import may_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitk_app.readiness import State
    from aitk_app.web.access import Access

VARIABLE = "AITK_HELD"
TAKES_OVER = "aitk_app.web.service"  # the module that does; a program without it would leave them unanswered
_PLACES = 64
_SECONDS = 200
_LOOK_SECONDS = 0.1
_PIECE_SECONDS = 0.005
_HEAD_BYTES, _BODY_BYTES = 65536, 4 << 20
_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_END = b"\r\n\r\n"


class Head:
    """The head of a request, and as much of its body as is there; raises ValueError or HTTPException for none."""

    def __init__(self, read: bytes) -> None:
        line, _, rest = read.partition(b"\r\n")
        self.method, target, _ = line.decode("latin-1").split(" ", 2)
        self.path = target.partition("?")[0]
        self.headers = {name.lower(): value for name, value in parse_headers(io.BytesIO(rest)).items()}
        length = self.headers.get("content-length", "0")
        self.length = int(length) if length.isdecimal() else 0
        self._body = read.partition(_END)[2]

    @property
    def whole(self) -> bool:
        """Whether all of the body is there."""
        return len(self._body) >= self.length

    def problem(self) -> str | None:
        """Why the body is no JSON, if all of it is there."""
        if self.method != "POST" or not self.length or not self.whole:
            return None
        try:
            json.loads(self._body[: self.length].decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
            return f"The body is not JSON: {error.msg} at {place}."
        except UnicodeDecodeError as error:
            return f"The body is not UTF-8 at byte {error.start}."
        except RecursionError:
            return "The body is not JSON that can be read: it is nested too deeply."
        return None


def head_of(connection: socket.socket, limit_seconds: float) -> Head | None:
    """The request in a connection, which stays unread there; None where none has come in time."""
    end = time.monotonic() + limit_seconds
    wanted, head = _HEAD_BYTES, None
    try:
        while time.monotonic() < end:
            read = connection.recv(wanted, socket.MSG_PEEK)
            if _END in read:
                head = Head(read)
                if head.whole or head.length > _BODY_BYTES:
                    break
                wanted = _HEAD_BYTES + head.length
            elif not read or len(read) >= _HEAD_BYTES:
                break
            time.sleep(_PIECE_SECONDS)  # the rest is on its way
    except (OSError, ValueError, HTTPException):
        return head
    return head


class Early:
    """The connections that wait for the app; a thread each."""

    def __init__(self, access: Callable[[], Access], state: Callable[[], State]) -> None:
        self._access = access
        self._state = state
        self._lock = threading.Lock()
        self._count = 0
        self._over = threading.Event()
        self._is_taken = False
        self._taken: list[tuple[int, float]] = []  # descriptor, time of arrival
        self._kept: set[socket.socket] = set()

    def hold(self, connection: socket.socket, limit_seconds: float) -> tuple[bool, str | None]:
        """Whether nothing is left to do: the client has left, or the app gets the connection.

        Else it is to be answered: its body may be at fault, which the second value says.
        """
        arrived, head = time.monotonic(), head_of(connection, limit_seconds)
        if head is None or not self._may_wait(head):
            return False, None
        if problem := head.problem():
            return False, problem
        with self._lock:
            if self._count >= _PLACES:
                return False, None
            self._count += 1
        try:
            while self._may_wait(head) and time.monotonic() < arrived + _SECONDS:
                if self._over.wait(_LOOK_SECONDS):
                    return self._keep(connection, arrived), None
                if _has_left(connection):
                    return True, None
            return False, None
        finally:
            with self._lock:
                self._count -= 1

    def end(self, entry: str) -> None:
        """Nobody waits here any longer: the app whose text is `entry` takes over, or else they are answered."""
        self._is_taken = TAKES_OVER in entry
        self._over.set()

    def environment(self) -> dict[str, str]:
        """For the app, which inherits the descriptors."""
        for descriptor, _ in self._taken:
            os.set_inheritable(descriptor, True)
        return {VARIABLE: json.dumps(self._taken)}

    def is_kept(self, connection: socket.socket) -> bool:
        """Whether the app gets it, so that it must not be shut down."""
        return connection in self._kept

    def _keep(self, connection: socket.socket, arrived: float) -> bool:
        if self._is_taken:
            with self._lock:
                self._kept.add(connection)
                self._taken.append((os.dup(connection.fileno()), arrived))
        return self._is_taken

    def _may_wait(self, head: Head) -> bool:
        return may_wait(head.method, head.path, head.headers, self._access(), self._state())


def handed_over() -> list[tuple[socket.socket, float]]:
    """In the app: the connections, each with the time of its arrival (`time.monotonic`)."""
    held = json.loads(os.environ.pop(VARIABLE, "[]"))
    return [(socket.socket(fileno=descriptor), arrived) for descriptor, arrived in held]


def _has_left(connection: socket.socket) -> bool:
    asked: Any = select.poll()
    asked.register(connection, _GONE)
    return bool(asked.poll(0))
