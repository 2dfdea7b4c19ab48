"""File shares as ordinary folders, out of which no path leads."""

import asyncio
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.files.usage import Usage

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
SHARE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
SNAPSHOT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
FORBIDDEN = re.compile(r'["\\/:|<>*?\x00-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffe\uffff]')
# Source: learn.microsoft.com/rest/api/storageservices/naming-and-referencing-shares--directories--files--and-metadata
RESERVED = re.compile(r"(lpt[1-9]|com[1-9]|prn|aux|nul|con|clock\$)", re.IGNORECASE)
LONGEST_NAME = 255
LONGEST_PATH = 2048
LONGEST_ON_DISK_BYTES = 255
DEEPEST = 250
BEING_DELETED_SECONDS = 0.5  # Azure's half a minute

# Azure mounts a share with `file_mode=0777,dir_mode=0777`. Around it lies a folder that is closed to other users.
OPEN_TO_ALL: Final = 0o777


@dataclass(frozen=True)
class SharePath:
    """A file or directory of a share: its names as they are on disk, where they exist."""

    account: str
    share: str
    names: tuple[str, ...]
    root: Path

    @cached_property
    def on_disk(self) -> Path:
        """Where it lies."""
        return self.root.joinpath(*self.names)

    @property
    def name(self) -> str:
        """The last name; empty for the share's root."""
        return self.names[-1] if self.names else ""

    @cached_property
    def parent(self) -> "SharePath":
        """The directory that holds it."""
        return SharePath(self.account, self.share, self.names[:-1], self.root)

    @cached_property
    def text(self) -> str:
        """The path in the share, with slashes."""
        return "/".join(self.names)

    def is_file(self) -> bool:
        """Whether a file is there (a link is none)."""
        return stat.S_ISREG(_mode(self.on_disk))

    def is_directory(self) -> bool:
        """Whether a directory is there (a link is none)."""
        return stat.S_ISDIR(_mode(self.on_disk))


def _mode(path: Path | str) -> int:
    """The file's mode; 0, which is no kind of file, where there is none."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


@dataclass(frozen=True)
class ShareRecords:
    """What the Resource Manager keeps of shares: each function takes account and share."""

    quota_gib: Callable[[str, str], int]
    record: Callable[[str, str, int | None], None]  # with a quota in GiB, where one was given
    forget: Callable[[str, str], None]


class Shares:
    """All shares of all accounts, below one folder."""

    def __init__(self, folder: Path, side_data: SideData) -> None:
        self.folder = folder
        self.side_data = side_data
        self.usage = Usage()
        self._deleted: dict[tuple[str, str], float] = {}  # until when a name is not free

    def root(self, account: str, share: str, snapshot: str = "") -> Path:
        """The folder of a share or snapshot, whether it exists or not; StorageError for names that lead elsewhere."""
        if not ACCOUNT_NAME.fullmatch(account.lower()) or not SHARE_NAME.fullmatch(share.lower()):
            raise StorageError("InvalidResourceName")
        if snapshot and not SNAPSHOT.fullmatch(snapshot):
            raise StorageError("InvalidQueryParameterValue", "sharesnapshot is a time.")
        if snapshot:
            return self._snapshots(account, share) / snapshot
        return self.folder / account.lower() / share.lower()

    def _snapshots(self, account: str, share: str) -> Path:
        return self.folder / ".snapshots" / account.lower() / share.lower()

    def exists(self, account: str, share: str, snapshot: str = "") -> bool:
        """Whether the folder of the share or snapshot is there."""
        return self.root(account, share, snapshot).is_dir()

    def snapshots(self, account: str, share: str) -> list[str]:
        """The share's snapshots, the oldest first."""
        folder = self._snapshots(account, share)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    async def make_snapshot(self, account: str, share: str) -> str:
        """The name, which is its time, of a new snapshot: a copy of the share as it is."""
        name = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        root, copy = self.root(account, share), self.root(account, share, name)
        by_path = await asyncio.to_thread(_copy_tree, root, copy)
        self.side_data.copy(account.lower(), share.lower(), f"{share.lower()}@{name}", by_path.get)
        return name

    async def delete_snapshot(self, account: str, share: str, snapshot: str) -> None:
        """Delete one snapshot."""
        await asyncio.to_thread(shutil.rmtree, self.root(account, share, snapshot), ignore_errors=True)
        self.side_data.forget(account.lower(), f"{share.lower()}@{snapshot}", "")

    async def create(self, account: str, share: str) -> None:
        """Create the share's folder where it is missing."""
        await asyncio.to_thread(self.root(account, share).mkdir, parents=True, exist_ok=True)

    def check_free(self, account: str, share: str) -> None:
        """Raise StorageError while a share of that name is being deleted."""
        if time.monotonic() < self._deleted.get((account.lower(), share.lower()), 0):
            raise StorageError("ShareBeingDeleted")

    async def delete(self, account: str, share: str) -> None:
        """Delete the share with everything in it, and its snapshots."""
        self._deleted[account.lower(), share.lower()] = time.monotonic() + BEING_DELETED_SECONDS
        for snapshot in self.snapshots(account, share):
            await self.delete_snapshot(account, share, snapshot)
        await asyncio.to_thread(shutil.rmtree, self.root(account, share), ignore_errors=True)
        self.side_data.forget(account.lower(), share.lower(), "")

    async def delete_account(self, account: str) -> None:
        """Delete all shares of an account."""
        for folder in (self.folder, self.folder / ".snapshots"):
            await asyncio.to_thread(shutil.rmtree, folder / account.lower(), ignore_errors=True)

    def path(
        self, account: str, share: str, text: str, *, keep_trailing_dots: bool = False, snapshot: str = ""
    ) -> SharePath:
        """The path that a URL names; StorageError for one that cannot be in a share.

        Names are found without regard to case, as on Azure. A link on the way is treated as if
        nothing were there, because it may lead out of the share.
        """
        if not self.exists(account, share, snapshot):
            raise StorageError("ShareNotFound")
        root = self.root(account, share, snapshot)
        names: list[str] = []
        folder = str(root)
        for name in (part for part in text.split("/") if part):
            found, is_link = _find(folder, _checked(name, keep_trailing_dots=keep_trailing_dots))
            if is_link:
                raise StorageError("ResourceNotFound")
            names.append(found)
            folder = f"{folder}/{found}"
        if len(text) > LONGEST_PATH or len(names) > DEEPEST:
            raise StorageError("InvalidResourceName")
        key = f"{share.lower()}@{snapshot}" if snapshot else share.lower()
        return SharePath(account.lower(), key, tuple(names), root)


def _checked(name: str, *, keep_trailing_dots: bool) -> str:
    """The name as Azure stores it, or StorageError."""
    trimmed = name.rstrip(". ")
    if (
        not trimmed
        or FORBIDDEN.search(name)
        or RESERVED.fullmatch(name)
        or len(name.encode("utf-16-le")) // 2 > LONGEST_NAME
    ):
        raise StorageError("InvalidResourceName")
    return name if keep_trailing_dots else trimmed


def _copy_tree(root: Path, copy: Path) -> dict[str, int]:
    """The inodes of a copied folder, by path in lower case."""
    shutil.copytree(root, copy, symlinks=True)
    found = {str(path.relative_to(copy)).casefold(): path.lstat().st_ino for path in copy.rglob("*")}
    return {**found, "": copy.stat().st_ino}


def on_disk_name(name: str) -> str:
    """The name that a file or directory has on disk: Azure takes 255 characters, a disk 255 bytes.

    Of a longer one it is the beginning and a hash, the same for every case.
    """
    if len(name.encode(errors="surrogatepass")) <= LONGEST_ON_DISK_BYTES:
        return name
    folded = name.casefold().encode()
    return f"{folded[:200].decode(errors='ignore')}~{hashlib.sha256(folded).hexdigest()[:16]}"


def _find(folder: str, name: str) -> tuple[str, bool]:
    """The name as it is on disk, and whether it is a link; the given one where there is none in any case."""
    name = on_disk_name(name)
    if mode := _mode(f"{folder}/{name}"):
        return name, stat.S_ISLNK(mode)
    folded = name.casefold()
    try:
        names = os.listdir(folder)  # noqa: PTH208  # for each new file, so without a Path for every name
        same = [entry for entry in names if entry.casefold() == folded]
    except (FileNotFoundError, NotADirectoryError):
        return name, False
    return (same[0], stat.S_ISLNK(_mode(f"{folder}/{same[0]}"))) if same else (name, False)
