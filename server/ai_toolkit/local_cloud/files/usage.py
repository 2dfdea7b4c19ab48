"""How full each share is, counted anew when it matters."""

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.files.storage_error import StorageError

TRUSTED_SECONDS: Final = 30.0  # replicas write to the folder without telling


class Usage:
    """Bytes per share: a count of the folder, and what was added since."""

    def __init__(self) -> None:
        self._counted: dict[Path, tuple[float, int]] = {}

    async def claim(self, root: Path, growth_bytes: int, quota_bytes: int) -> None:
        """Note that the share grows; StorageError where it would be too full, or this computer's disk."""
        if growth_bytes <= 0:
            return
        if growth_bytes > shutil.disk_usage(root).free:
            raise StorageError(full_disk.CODE, full_disk.in_words(root, growth_bytes))
        counted, used = self._counted.get(root, (float("-inf"), 0))
        if time.monotonic() - counted > TRUSTED_SECONDS or used + growth_bytes > quota_bytes:
            used = await asyncio.to_thread(used_bytes, root)
            counted = time.monotonic()
        if used + growth_bytes > quota_bytes:
            raise StorageError("ShareSizeLimitReached")
        self._counted[root] = (counted, used + growth_bytes)


def used_bytes(root: Path) -> int:
    """The sum of the sizes of all files below a folder, links not followed."""
    total, folders = 0, [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return total
