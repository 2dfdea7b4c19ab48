"""What a replica wrote to its standard streams, and an app's system events: kept, and followed."""

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

from ai_toolkit.local_cloud.core import full_disk

KEPT_LINES: Final = 1000
LARGEST_LOG_BYTES: Final = 5 * 1024 * 1024
LONGEST_LINE_BYTES: Final = 1 << 20
MOST_WAITING_LINES: Final = 10_000  # a follower that reads slower loses the oldest


class LineLog:
    """Lines with their times: the last ones in memory, all of them in a file of bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: deque[tuple[datetime, str]] = deque(maxlen=KEPT_LINES)
        self._followers: set[asyncio.Queue[tuple[datetime, str] | None]] = set()
        self._closed = False
        self._file: TextIO | None = None
        with self._as_far_as_there_is_room():
            self._open()

    def add(self, text: str) -> None:
        """Append one line."""
        line = (datetime.now(UTC), text)
        self._lines.append(line)
        self._write(f"{line[0].isoformat()} {text}\n")
        for follower in self._followers:
            if follower.qsize() > MOST_WAITING_LINES:
                follower.get_nowait()
            follower.put_nowait(line)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8")

    def _write(self, text: str) -> None:
        """Keeps the text in the file; on a disk that is full it is in memory only."""
        if self._file is None:
            return
        with self._as_far_as_there_is_room():
            self._file.write(text)
            self._file.flush()
            if self._file.tell() > LARGEST_LOG_BYTES:
                self._close_file()
                self._path.replace(self._path.with_suffix(".1.log"))
                self._open()

    @contextlib.contextmanager
    def _as_far_as_there_is_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not full_disk.is_full(error):
                raise
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what it could not write a moment ago it tries again
                file.close()

    def tail(self, count: int) -> list[tuple[datetime, str]]:
        """The last lines, the oldest first."""
        return list(self._lines)[-count:] if count else []

    async def follow(self, count: int) -> AsyncIterator[tuple[datetime, str]]:
        """The last lines and then every new one, until the log is closed."""
        follower: asyncio.Queue[tuple[datetime, str] | None] = asyncio.Queue()
        for past in self.tail(count):
            follower.put_nowait(past)
        if self._closed:
            follower.put_nowait(None)
        self._followers.add(follower)
        try:
            while (line := await follower.get()) is not None:
                yield line
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        """End those who follow; the lines stay readable."""
        self._closed = True
        self._close_file()
        for follower in self._followers:
            follower.put_nowait(None)


class EventLog(LineLog):
    """The system events of one app, each a line of JSON as Azure writes it."""

    def __init__(self, path: Path, app: str) -> None:
        super().__init__(path)
        self._app = app

    def say(self, reason: str, message: str, *, revision: str = "", replica: str = "") -> None:
        """Add an event."""
        event = {
            "TimeStamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
            "Type": "Warning" if "Failed" in reason or "Terminated" in reason else "Normal",
            "ContainerAppName": self._app,
            "RevisionName": revision,
            "ReplicaName": replica,
            "Msg": message,
            "Reason": reason,
            "EventSource": "ContainerAppController",
            "Count": 1,
        }
        self.add(json.dumps(event))


def opening_events(ahead: timedelta) -> list[str]:
    """What Azure's event stream says when it is opened, in another form of time and of no app; `ahead` of the clock."""
    now = datetime.now(UTC) + ahead
    said = (
        ("StartingGettingEvents", "Connecting to the events collector..."),
        ("ConnectedToEventsServer", "Successfully connected to events server"),
    )
    return [
        json.dumps(
            {
                "TimeStamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "Type": "Normal",
                "ContainerAppName": None,
                "RevisionName": None,
                "ReplicaName": None,
                "Msg": message,
                "Reason": reason,
                "EventSource": "ContainerAppController",
                "Count": 1,
            }
        )
        for reason, message in said
    ]


async def read_lines(descriptor: int, add: Callable[[str], None]) -> None:
    """Add every line that comes through a pipe until all writers have closed it."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE_BYTES)
    transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                continue  # a line longer than the limit: its beginning was dropped
            if not line:
                return
            add(line.decode(errors="replace").rstrip("\r\n"))
    finally:
        transport.close()


def written_line(moment: datetime, text: str, form: str) -> bytes:
    """One line as the log stream sends it: JSON by default, or plain text."""
    if form == "text":
        return f"{moment.isoformat()} {text}\n".encode()
    return (json.dumps({"TimeStamp": moment.isoformat(), "Log": text}) + "\n").encode()
