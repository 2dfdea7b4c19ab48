"""A disk of this computer that is full, told as what it is: Azure has no such answer, and trying again is of no use."""

import errno
import shutil
import sqlite3
from pathlib import Path
from typing import Final

CODE: Final = "LocalDiskFull"
NO_RETRY_STATUS: Final = 507
"""HTTP's "Insufficient Storage", which the SDKs of the Resource Manager do not try again."""
_NUMBERS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether a write failed for want of room: also in a group of errors, and in SQLite's words."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_full, error.exceptions))
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _NUMBERS


def in_words(folder: Path, wanted_bytes: int | None = None) -> str:
    """Where there is no room, how much there is, and how much is wanted, as far as that is known."""
    free = shutil.disk_usage(folder).free / 1e6
    wanted = f", and {wanted_bytes / 1e6:.1f} MB are wanted" if wanted_bytes else ""
    return f"This computer's disk is full (No space left on device): {free:.1f} MB are free in {folder}{wanted}."
