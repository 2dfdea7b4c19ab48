"""What Azure Files knows of a file beyond its content, kept outside of the share's folder."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ai_toolkit.local_cloud.core.state import check_version

FACTS_VERSION = 2


@dataclass(frozen=True)
class FileFacts:
    """Properties and metadata that a client gave to a file, directory or share."""

    content_type: str | None = None
    content_md5: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    creation_time: str | None = None
    last_write_time: str | None = None
    attributes: str | None = None
    permission_key: str | None = None
    lease: str | None = None
    changed_ns: int = 0  # when properties or metadata were last set
    written: list[list[int]] | None = None  # [first, last] of what was written; None: all of it

    metadata: dict[str, str] = field(default_factory=dict)
    long_name: str | None = None  # the name, where the disk takes a shorter one only
    copied: dict[str, str] = field(default_factory=dict)  # of what, and when
    lease_until: float | None = None  # of a share's lease: when it ends; None: never
    lease_seconds: int = -1
    policies: list[dict[str, str]] = field(default_factory=list)  # of a share: stored access policies
    permissions: dict[str, str] = field(default_factory=dict)  # of a share: security descriptors by key
    settings: dict[str, str] = field(default_factory=dict)  # of an account's file service


class SideData:
    """Facts by account, share and path; those of a file that was replaced on disk no longer count."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        check_version(self._database, path, FACTS_VERSION, {1: ()})
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS facts (account TEXT, share TEXT, path TEXT, inode INTEGER, facts TEXT, "
            "PRIMARY KEY (account, share, path)) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def get(self, account: str, share: str, path: str, inode: int) -> FileFacts:
        """The facts of that path, empty when the file on disk is not the one they were given to."""
        row = self._database.execute(
            "SELECT facts FROM facts WHERE account = ? AND share = ? AND path = ? AND inode = ?",
            (account, share, path.casefold(), inode),
        ).fetchone()
        return FileFacts(**json.loads(row[0])) if row else FileFacts()

    def children(self, account: str, share: str, folder: str) -> dict[str, tuple[int, FileFacts]]:
        """Inode and facts of what lies directly in a folder, by case-folded name."""
        low, high = _below(folder)
        start = len(low) if folder else 0
        rows = self._database.execute(
            "SELECT substr(path, ?), inode, facts FROM facts WHERE account = ? AND share = ? AND path > ? "
            "AND path < ? AND instr(substr(path, ?), '/') = 0",
            (start + 1, account, share, low, high, start + 1),
        ).fetchall()
        return {name: (inode, FileFacts(**json.loads(facts))) for name, inode, facts in rows}

    def put(self, account: str, share: str, path: str, inode: int, facts: FileFacts) -> None:
        """Record the facts of the file that is there now."""
        self._database.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)",
            (account, share, path.casefold(), inode, json.dumps(vars(facts))),
        )

    def forget(self, account: str, share: str, path: str) -> None:
        """Drop what is known of a path and everything below it (of the whole share for an empty path)."""
        low, high = _below(path)
        self._database.execute(
            "DELETE FROM facts WHERE account = ? AND share = ? AND (path = ? OR (path >= ? AND path < ?))",
            (account, share, path.casefold(), low, high),
        )

    def copy(self, account: str, share: str, to: str, inodes: Callable[[str], int | None]) -> None:
        """Copy all facts of a share to another name of it; `inodes` tells the copied file's, by its path."""
        rows = self._database.execute(
            "SELECT path, facts FROM facts WHERE account = ? AND share = ?", (account, share)
        ).fetchall()
        copied = [(account, to, path, inode, facts) for path, facts in rows if (inode := inodes(path)) is not None]
        self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", copied)

    def move(self, account: str, share: str, source: str, destination: str) -> None:
        """Take the facts of a path, and of everything below it, to another path."""
        self.forget(account, share, destination)
        low, high = _below(source)
        self._database.execute(
            "UPDATE facts SET path = ? || substr(path, ?) "
            "WHERE account = ? AND share = ? AND (path = ? OR (path >= ? AND path < ?))",
            (
                destination.casefold(),
                len(source.casefold()) + 1,
                account,
                share,
                source.casefold(),
                low,
                high,
            ),
        )


def _below(path: str) -> tuple[str, str]:
    """The range of paths below one."""
    return (f"{path.casefold()}/", f"{path.casefold()}0") if path else ("", "\U0010ffff")
