"""One deploy at a time: a lease on a file of the share, with its owner and a heartbeat in the file's metadata.

A file lease never expires by itself, so that a killed deploy leaves it behind; the heartbeat tells that it is dead.
"""

import asyncio
import getpass
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.fileshare.aio import ShareFileClient, ShareLeaseClient

from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.errors import DeployRunning

log = logging.getLogger(__name__)

LOCK_PATH: Final = PurePosixPath(".aitk/lock")
HEARTBEAT: Final = timedelta(seconds=30)
DEAD_AFTER: Final = timedelta(minutes=2)


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, since when, and how long ago it last said so (by the service's own clock)."""

    owner: str
    since: str
    silent: timedelta


@asynccontextmanager
async def share_lock(share: FileShare, broken: Callable[[Holder], None]) -> AsyncIterator[None]:
    """Holds the share's lock. Raises DeployRunning naming who has it.

    A lock whose heartbeat is two minutes old is broken, which `broken` hears.
    """
    file = share.file(LOCK_PATH)
    lease = await _acquire(share, file, broken)
    identity = {"owner": f"{getpass.getuser()}@{socket.gethostname()}", "since": datetime.now(UTC).isoformat("T", "seconds")}
    beating = asyncio.create_task(_beat(file, lease, identity))
    try:
        await _say(file, lease, identity)
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError, AzureError):
            await beating
        try:
            await asyncio.shield(lease.release())
        except AzureError as error:
            log.warning("The lock on the share was not released: %s", error)


async def _acquire(share: FileShare, file: ShareFileClient, broken: Callable[[Holder], None]) -> ShareLeaseClient:
    try:
        return await file.acquire_lease()
    except ResourceNotFoundError:
        await share.write(LOCK_PATH, b"")
        return await file.acquire_lease()
    except HttpResponseError as error:
        if error.status_code != _CONFLICT:
            raise
    holder = await _holder(file)
    if holder.silent < DEAD_AFTER:
        raise DeployRunning(holder.owner, holder.since)
    broken(holder)
    await ShareLeaseClient(file).break_lease()
    return await file.acquire_lease()


_CONFLICT: Final = 409


async def _holder(file: ShareFileClient) -> Holder:
    now: list[datetime] = []

    def note(response: Any) -> None:  # noqa: ANN401  (the SDK's pipeline response)
        now.append(parsedate_to_datetime(response.http_response.headers["Date"]))

    found = await file.get_file_properties(raw_response_hook=note)
    metadata = found.metadata or {}
    silent = now[-1] - found.last_modified if found.last_modified and now else timedelta()
    return Holder(metadata.get("owner") or "somebody", metadata.get("since") or "an unknown time", silent)


async def _beat(file: ShareFileClient, lease: ShareLeaseClient, identity: dict[str, str]) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT.total_seconds())
        with suppress(AzureError):  # the next beat may get through; two minutes of silence end the lock
            await _say(file, lease, identity)


async def _say(file: ShareFileClient, lease: ShareLeaseClient, identity: dict[str, str]) -> None:
    beat = {**identity, "heartbeat": datetime.now(UTC).isoformat("T", "seconds")}
    await file.set_file_metadata(beat, lease=lease)
