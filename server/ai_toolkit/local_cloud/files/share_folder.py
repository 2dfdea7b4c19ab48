"""File shares as ordinary folders, out of which no path leads."""

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.files.usage import Usage

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
SHARE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
FORBIDDEN = re.compile(r'["\\/:|<>*?\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffe\uffff]')
# Source: learn.microsoft.com/rest/api/storageservices/naming-and-referencing-shares--directories--files--and-metadata
RESERVED = re.compile(r"(lpt[1-9]|com[1-9]|prn|aux|nul|con|clock\$)", re.IGNORECASE)
LONGEST_NAME = 255
LONGEST_PATH = 2048

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

    def root(self, account: str, share: str) -> Path:
        """The share's folder, whether it exists or not; StorageError for names that lead elsewhere."""
        if not ACCOUNT_NAME.fullmatch(account.lower()) or not SHARE_NAME.fullmatch(share.lower()):
            raise StorageError("InvalidResourceName")
        return self.folder / account.lower() / share.lower()

    def exists(self, account: str, share: str) -> bool:
        """Whether the share's folder is there."""
        return self.root(account, share).is_dir()

    async def create(self, account: str, share: str) -> None:
        """Create the share's folder where it is missing."""
        await asyncio.to_thread(self.root(account, share).mkdir, parents=True, exist_ok=True)

    async def delete(self, account: str, share: str) -> None:
        """Delete the share with everything in it."""
        await asyncio.to_thread(shutil.rmtree, self.root(account, share), ignore_errors=True)
        self.side_data.forget(account.lower(), share.lower(), "")

    async def delete_account(self, account: str) -> None:
        """Delete all shares of an account."""
        await asyncio.to_thread(shutil.rmtree, self.folder / account.lower(), ignore_errors=True)

    def path(self, account: str, share: str, text: str, *, keep_trailing_dots: bool = False) -> SharePath:
        """The path that a URL names; StorageError for one that cannot be in a share.

        Names are found without regard to case, as on Azure. A link on the way is treated as if
        nothing were there, because it may lead out of the share.
        """
        if not self.exists(account, share):
            raise StorageError("ShareNotFound")
        root = self.root(account, share)
        names: list[str] = []
        folder = str(root)
        for name in (part for part in text.split("/") if part):
            found, is_link = _find(folder, _checked(name, keep_trailing_dots=keep_trailing_dots))
            if is_link:
                raise StorageError("ResourceNotFound")
            names.append(found)
            folder = f"{folder}/{found}"
        if sum(len(name) + 1 for name in names) > LONGEST_PATH:
            raise StorageError("InvalidResourceName")
        return SharePath(account.lower(), share.lower(), tuple(names), root)


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


def _find(folder: str, name: str) -> tuple[str, bool]:
    """The name as it is on disk, and whether it is a link; the given one where there is none in any case."""
    if mode := _mode(f"{folder}/{name}"):
        return name, stat.S_ISLNK(mode)
    folded = name.casefold()
    try:
        names = os.listdir(folder)  # noqa: PTH208  # for each new file, so without a Path for every name
        same = [entry for entry in names if entry.casefold() == folded]
    except (FileNotFoundError, NotADirectoryError):
        return name, False
    return (same[0], stat.S_ISLNK(_mode(f"{folder}/{same[0]}"))) if same else (name, False)
