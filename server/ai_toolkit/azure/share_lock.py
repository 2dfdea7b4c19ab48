"""One deploy at a time: a lease on a file of the share, with its owner and a heartbeat in the file's metadata.

A file lease never expires by itself, so that a killed deploy leaves it behind; the heartbeat tells that it is dead.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.fileshare.aio import ShareFileClient, ShareLeaseClient

from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.share_failures import code_of
from ai_toolkit.errors import DeployRunning, NetworkProblem
from ai_toolkit.operating_system import has_ended, user_name

log = logging.getLogger(__name__)

LOCK_PATH: Final = PurePosixPath(".aitk/lock")
HEARTBEAT: Final = timedelta(seconds=30)
DEAD_AFTER: Final = timedelta(minutes=2)
_SURE_AFTER_SECONDS: Final = 2.0
_UNKNOWN: Final = "an unknown time"
_AFTER_BREAK_SECONDS: Final = 0.5
_MOST_ROUNDS: Final = 6
"""So often the lease is asked for: made, suspected, broken, and as often again for whoever comes in between."""
_HELD: Final = "LeaseAlreadyPresent"
_LEASE: Final = "Lease"
"""What the service's codes begin with where another one's lease is in the way; other conflicts are no lock's."""
_LET_GO: Final = frozenset({"ResourceNotFound", "LeaseNotPresentWithLeaseOperation"})
"""What breaking a lease is answered that its holder has just let go of."""


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, since when, and how long ago it last said so (by the service's own clock).

    `gone` when it was a process of this computer that has ended without letting go.
    """

    owner: str
    since: str
    silent: timedelta
    gone: bool


class ShareLock:
    """A lock that is held: it says by whom, now and at every heartbeat."""

    def __init__(self, file: ShareFileClient, lease: ShareLeaseClient, heartbeat: timedelta) -> None:
        self._file = file
        self._lease = lease
        self._heartbeat = heartbeat
        self._identity = {
            "owner": f"{user_name()}@{socket.gethostname()}",
            "since": datetime.now(UTC).isoformat("T", "seconds"),
            "process": str(os.getpid()),
        }
        self._beating: asyncio.Task[None] | None = None
        self.lost: DeployRunning | None = None
        """Who took the lock away."""

    async def claim(self) -> None:
        """Says who holds the lock, and goes on saying so for the current task, which ends when the lock is lost.

        Raises DeployRunning when somebody has taken it for dead meanwhile.
        """
        await self._say()
        self._beating = asyncio.create_task(self._beat(asyncio.current_task()))

    async def release(self) -> None:
        """Lets go of the lock; one that was taken away already is no error."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        try:
            await self._lease.release()
        except (AzureError, NetworkProblem) as error:
            log.warning("The lock on the share was not released: %s", error)

    async def _beat(self, holder: "asyncio.Task[Any] | None") -> None:
        while True:
            await asyncio.sleep(self._heartbeat.total_seconds())
            try:
                await self._say()
            except DeployRunning as error:
                self.lost = error
                if holder is not None:
                    holder.cancel()
                return
            except (
                AzureError,
                NetworkProblem,
            ) as error:  # the next beat may get through; two minutes of silence end the lock
                log.info("A heartbeat did not get through: %s", error)

    async def _say(self) -> None:
        beat = {**self._identity, "heartbeat": datetime.now(UTC).isoformat("T", "seconds")}
        try:
            await self._file.set_file_metadata(beat, lease=self._lease)
        except HttpResponseError as error:
            if not code_of(error).startswith(_LEASE):
                raise
            holder = await _holder(self._file)
            raise DeployRunning(holder.owner, holder.since) from error


@asynccontextmanager
async def share_lock(
    share: FileShare, broken: Callable[[Holder], None], heartbeat: timedelta = HEARTBEAT
) -> AsyncIterator[None]:
    """Holds the share's lock, and says so at every heartbeat. Raises DeployRunning naming who has it.

    A lock whose heartbeat is two minutes old is broken, which `broken` hears.
    """
    file = share.file(LOCK_PATH)
    lock = ShareLock(file, await _acquire(share, file, broken), heartbeat)
    try:
        await lock.claim()
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if lock.lost is None or task is None:
            raise
        task.uncancel()
        raise lock.lost from None
    finally:
        await asyncio.shield(lock.release())


async def _acquire(share: FileShare, file: ShareFileClient, broken: Callable[[Holder], None]) -> ShareLeaseClient:
    """The lease, which says nothing of its holder until that claims it, a moment later.

    What the lock says may thus be of the holder before, who has let go: it is dead if a look some seconds later finds
    the same. Whoever claims in between is seen; whoever claims after the lease was broken is refused.
    """
    suspect: Holder | None = None
    made = is_broken = False
    for _ in range(_MOST_ROUNDS):
        try:
            return await file.acquire_lease()
        except ResourceNotFoundError as error:
            share.raise_if_missing(error)
            if made:  # it was there a moment ago: somebody deletes it, or it cannot be made
                raise
            made = True
            await _make(share)
            continue
        except HttpResponseError as error:
            if code_of(error) != _HELD:
                raise
        holder = await _holder(file)
        is_alive = holder.silent < DEAD_AFTER and not holder.gone
        if is_alive and (suspect is not None or holder.since != _UNKNOWN):
            raise DeployRunning(holder.owner, holder.since)
        if suspect is None or (suspect.owner, suspect.since) != (holder.owner, holder.since):
            suspect = holder
            await asyncio.sleep(_SURE_AFTER_SECONDS)
            continue
        if not is_broken:
            broken(holder)
        is_broken = True
        await _break(file)
        await asyncio.sleep(_AFTER_BREAK_SECONDS)
    holder = await _holder(file)
    raise DeployRunning(holder.owner, holder.since)


async def _make(share: FileShare) -> None:
    try:
        await share.write(LOCK_PATH, b"")
    except HttpResponseError as error:
        if not code_of(error).startswith(_LEASE):  # another one made it, and holds it already
            raise


async def _break(file: ShareFileClient) -> None:
    try:
        await ShareLeaseClient(file).break_lease()
    except HttpResponseError as error:
        if code_of(error) not in _LET_GO:
            raise


async def _holder(file: ShareFileClient) -> Holder:
    now: list[datetime] = []

    def note(response: Any) -> None:  # noqa: ANN401  (the SDK's pipeline response)
        now.append(parsedate_to_datetime(response.http_response.headers["Date"]))

    found = await file.get_file_properties(raw_response_hook=note)
    metadata = found.metadata or {}
    silent = now[-1] - found.last_modified if found.last_modified and now else timedelta()
    owner = metadata.get("owner") or "somebody"
    return Holder(owner, metadata.get("since") or _UNKNOWN, silent, _has_ended(owner, metadata))


def _has_ended(owner: str, metadata: Mapping[str, str]) -> bool:
    """Whether the lock was this computer's, and its process is no more; a number used again counts as alive."""
    process = metadata.get("process", "")
    is_here = owner.rpartition("@")[2] == socket.gethostname() and process.isdecimal()
    return is_here and has_ended(int(process))
