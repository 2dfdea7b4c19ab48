"""One Azure file share: directories, listings, resumable uploads, atomic renames."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, TypeVar

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.fileshare import FileProperties
from azure.storage.fileshare.aio import ShareClient, ShareFileClient

from ai_toolkit.azure.network import Transport
from ai_toolkit.azure.share_failures import code_of
from ai_toolkit.errors import ResourceMissing
from ai_toolkit.operating_system import read_at

RANGE_BYTES: Final = 4 * 1024 * 1024
"""The most that the service takes in one request."""
_RANGES_AT_A_TIME: Final = 8
_NO_SHARE: Final = "ShareNotFound"


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFile:
    """A file on the share: size in bytes, and when it was last written, to the millisecond (ISO 8601, UTC)."""

    size: int
    written: str


@dataclass(frozen=True)
class Patience:
    """How often a request that is throttled or cut off is sent again; the nth time after `pause_seconds` to the nth.

    The SDK's own pauses begin with 15 s.
    """

    retries: int = 5
    pause_seconds: float = 2.0


class FileShare:
    """A file share by its account key. Paths are POSIX paths below the share's root."""

    def __init__(self, client: ShareClient) -> None:
        self._client = client
        self._directories: set[PurePosixPath] = {PurePosixPath()}
        self._making = asyncio.Lock()
        self._ranges = asyncio.Semaphore(_RANGES_AT_A_TIME)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, file_endpoint: str, account: str, key: str, share: str, patience: Patience = Patience()
    ) -> "AsyncIterator[FileShare]":
        """The share of that name."""
        client = ShareClient(
            file_endpoint,
            share_name=share,
            credential=AzureNamedKeyCredential(account, key),
            transport=Transport(pages=True),  # what lies on the share may be one
            allow_trailing_dot=True,
            initial_backoff=0,
            increment_base=patience.pause_seconds,
            random_jitter_range=0.1,
            retry_total=patience.retries,
        )
        async with client:
            yield cls(client)

    async def read(self, path: PurePosixPath) -> bytes | None:
        """The file's content, for small files; None when it does not exist. Raises ResourceMissing for the share."""
        try:
            download = await self.file(path).download_file()
            content: bytes = await download.readall()
        except ResourceNotFoundError as error:
            self.raise_if_missing(error)
            return None
        return content

    def raise_if_missing(self, error: ResourceNotFoundError) -> None:
        """Raises ResourceMissing when what was not found is the share itself, and not something in it."""
        if code_of(error) == _NO_SHARE:
            raise ResourceMissing("file share", self._client.share_name, f"{self._client.account_name}") from error

    async def sha256(self, path: PurePosixPath, length: int | None = None) -> str:
        """The SHA-256 of the file's content, or of its first `length` bytes, read in pieces."""
        digest = hashlib.sha256()
        download = await self.file(path).download_file(offset=0, length=length)
        async for piece in download.chunks():
            digest.update(piece)
        return digest.hexdigest()

    async def list_directory(self, path: PurePosixPath) -> Mapping[str, RemoteFile | None]:
        """The directory's entries by name: a file, or None for a directory. Empty when it does not exist.

        Raises ResourceMissing for the share.
        """
        directory = self._client.get_directory_client("" if path == PurePosixPath() else str(path))
        entries: dict[str, RemoteFile | None] = {}
        try:
            async for item in directory.list_directories_and_files(include=["timestamps"]):
                entries[item.name] = (
                    RemoteFile(int(item.size), _moment(item.last_write_time))
                    if isinstance(item, FileProperties)
                    else None
                )
        except ResourceNotFoundError as error:
            self.raise_if_missing(error)
            return {}
        return entries

    async def write(self, path: PurePosixPath, content: bytes) -> str:
        """Puts a small file, replacing one of that name; returns its last-write time. Raises ResourceMissing."""
        file = self.file(path)
        answer = await self._in_directory(
            path.parent, lambda: file.upload_file(content, length=len(content), validate_content=True)
        )
        return _moment(answer.get("file_last_write_time"))

    async def upload(self, source: Path, path: PurePosixPath, size: int, sent: Callable[[int], None]) -> str:
        """Puts a large local file in 4 MiB ranges, each with its MD5; `sent` hears each range's bytes.

        Ranges that an interrupted upload of the same file left there are not sent again. Returns the last-write time.
        """
        file = self.file(path)
        there = await self._ranges_there(path, size)
        for offset in there:
            sent(min(RANGE_BYTES, size - offset))
        written = [""]
        with source.open("rb") as stream:  # not in a thread: its result would be lost, open, on cancellation
            async with asyncio.TaskGroup() as ranges:
                for offset in range(0, size, RANGE_BYTES):
                    if offset not in there:
                        await self._ranges.acquire()
                        ranges.create_task(self._put_range(file, stream, offset, sent, written))
        return written[0] or _moment((await file.get_file_properties()).last_write_time)

    async def _ranges_there(self, path: PurePosixPath, size: int) -> set[int]:
        """Offsets of the whole 4 MiB ranges that are on the share already; makes the file when it is not there."""
        file = self.file(path)
        try:
            found = await file.get_file_properties()
        except ResourceNotFoundError:
            found = None
        if found is None or found.size != size:
            await self._in_directory(path.parent, lambda: file.create_file(size))
            return set()
        there: set[int] = set()
        async for span in file.list_ranges():
            first = -(-span.start // RANGE_BYTES) * RANGE_BYTES
            for offset in range(first, span.end + 1, RANGE_BYTES):
                if min(offset + RANGE_BYTES, size) - 1 <= span.end:
                    there.add(offset)
        return there

    async def _put_range(
        self, file: ShareFileClient, stream: BinaryIO, offset: int, sent: Callable[[int], None], written: list[str]
    ) -> None:
        try:
            piece = await asyncio.to_thread(_read_at, stream, offset)
            answer = await file.upload_range(piece, offset, len(piece), validate_content=True)
            written[0] = max(written[0], _moment(answer.get("file_last_write_time")))
        finally:
            self._ranges.release()
        sent(len(piece))

    async def rename(self, source: PurePosixPath, target: PurePosixPath, written: str | None = None) -> None:
        """Moves one file in one step, replacing what is at `target`. Raises ResourceNotFoundError.

        A rename whose answer was lost on the way is sent again and finds no source; it counts as done when the file at
        `target` was `written` then, or, where that is not given, when there is one.
        """
        file = self.file(source)
        try:
            await self._in_directory(target.parent, lambda: file.rename_file(str(target), overwrite=True))
        except ResourceNotFoundError:
            there = await self._written(target)
            if there is None or there != (written or there):
                raise

    async def _written(self, path: PurePosixPath) -> str | None:
        try:
            return _moment((await self.file(path).get_file_properties()).last_write_time)
        except ResourceNotFoundError:
            return None

    async def delete(self, path: PurePosixPath) -> None:
        """Deletes one file; one that is not there is no error. Raises ResourceMissing for the share."""
        try:
            await self.file(path).delete_file()
        except ResourceNotFoundError as error:
            self.raise_if_missing(error)

    async def remove_directory(self, path: PurePosixPath) -> None:
        """Removes an empty directory; one that is not there, or that holds something, is no error."""
        try:
            await self._client.get_directory_client(str(path)).delete_directory()
        except ResourceNotFoundError as error:
            self.raise_if_missing(error)
        except ResourceExistsError as error:
            if code_of(error) != "DirectoryNotEmpty":
                raise
            return
        self._directories.discard(path)

    async def _in_directory(self, directory: PurePosixPath, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The work's answer; a directory that it lacks is made first, once it is known to be missing."""
        try:
            return await work()
        except ResourceNotFoundError as error:
            self.raise_if_missing(error)
            if code_of(error) != "ParentNotFound":
                raise
        await self.make_directory(directory)
        return await work()

    async def make_directory(self, path: PurePosixPath) -> None:
        """Makes the directory and those above it; existing ones are no error."""
        async with self._making:
            for directory in [*reversed(path.parents), path]:
                if directory not in self._directories:
                    try:
                        await self._client.create_directory(str(directory))
                    except ResourceExistsError as error:
                        if code_of(error) != "ResourceAlreadyExists":  # the share may be being deleted
                            raise
                    self._directories.add(directory)

    def file(self, path: PurePosixPath) -> ShareFileClient:
        """The SDK's client of one file."""
        return self._client.get_file_client(str(path))


def _read_at(stream: BinaryIO, offset: int) -> bytes:
    return read_at(stream.fileno(), RANGE_BYTES, offset)


def _moment(value: Any) -> str:  # noqa: ANN401  (the SDK gives a datetime in listings, a string in headers)
    if value is None:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
