"""One Azure file share: directories, whole files, atomic renames."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.fileshare.aio import ShareClient

_RANGES_AT_A_TIME: Final = 2
"""4 MiB ranges of one file in flight; several files go side by side as well."""


class FileShare:
    """A file share by its account key. Paths are POSIX paths below the share's root."""

    def __init__(self, client: ShareClient) -> None:
        self._client = client
        self._directories: set[PurePosixPath] = {PurePosixPath()}
        self._making = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, file_endpoint: str, account: str, key: str, share: str) -> "AsyncIterator[FileShare]":
        client = ShareClient(
            file_endpoint,
            share_name=share,
            credential=AzureNamedKeyCredential(account, key),
            allow_trailing_dot=True,
        )
        async with client:
            yield cls(client)

    async def exists(self) -> bool:
        try:
            await self._client.get_share_properties()
        except ResourceNotFoundError:
            return False
        return True

    async def read(self, path: PurePosixPath) -> bytes | None:
        """The file's content, for small files; None when it does not exist."""
        try:
            download = await self._client.get_file_client(str(path)).download_file()
            content: bytes = await download.readall()
        except ResourceNotFoundError:
            return None
        return content

    async def size(self, path: PurePosixPath) -> int | None:
        """The file's size in bytes; None when it does not exist."""
        try:
            found = await self._client.get_file_client(str(path)).get_file_properties()
        except ResourceNotFoundError:
            return None
        return int(found.size)

    async def write(self, path: PurePosixPath, content: bytes) -> None:
        """Puts a small file, replacing one of that name."""
        await self.make_directory(path.parent)
        await self._client.get_file_client(str(path)).upload_file(content, length=len(content))

    async def upload(self, source: Path, path: PurePosixPath, sent: Callable[[int], None]) -> None:
        """Puts a local file of any size in 4 MiB ranges; `sent` hears how many bytes have gone so far."""
        await self.make_directory(path.parent)
        size = (await asyncio.to_thread(source.stat)).st_size

        async def progress(current: int, _total: int | None) -> None:
            sent(current)

        with source.open("rb") as stream:  # not in a thread: its result would be lost, open, on cancellation
            await self._client.get_file_client(str(path)).upload_file(
                stream,
                length=size,
                max_concurrency=_RANGES_AT_A_TIME,
                validate_content=True,
                progress_hook=progress,
            )

    async def rename(self, source: PurePosixPath, target: PurePosixPath) -> None:
        """Moves one file in one step, replacing what is at `target`."""
        await self.make_directory(target.parent)
        await self._client.get_file_client(str(source)).rename_file(str(target), overwrite=True)

    async def delete(self, path: PurePosixPath) -> None:
        """Deletes one file; one that is not there is no error."""
        with suppress(ResourceNotFoundError):
            await self._client.get_file_client(str(path)).delete_file()

    async def make_directory(self, path: PurePosixPath) -> None:
        """Makes the directory and those above it; existing ones are no error."""
        async with self._making:
            for directory in [*reversed(path.parents), path]:
                if directory not in self._directories:
                    with suppress(ResourceExistsError):
                        await self._client.create_directory(str(directory))
                    self._directories.add(directory)
