"""How far an upload is, and how fast it goes."""

import time
from typing import Final

from ai_toolkit.ui import Ui

UPLOAD_PERCENT: Final = 60
"""How much of the progress bar the upload takes; the rest is the replica's start."""
_TELL_AGAIN_SECONDS: Final = 0.25


class TransferRate:
    """Reports files and bytes of the totals, and the rate, a few times per second."""

    def __init__(self, total_bytes: int, total_files: int, ui: Ui) -> None:
        self._total_bytes = total_bytes
        self._total_files = total_files
        self._ui = ui
        self._began = time.monotonic()
        self._told = 0.0
        self._sent_bytes = 0
        self._sent_files = 0

    def sent(self, count: int, files: int) -> None:
        """Hears of `count` more bytes, and of `files` more that are whole."""
        self._sent_bytes += count
        self._sent_files += files
        now = time.monotonic()
        if now - self._told < _TELL_AGAIN_SECONDS and self._sent_files < self._total_files:
            return
        self._told = now
        done, total = self._sent_bytes / 1e6, self._total_bytes / 1e6
        rate = done / max(now - self._began, 0.001)
        self._ui.report(
            f"uploading: {self._sent_files} of {self._total_files} files, "
            f"{done:.1f} of {total:.1f} MB, {rate:.1f} MB/s",
            UPLOAD_PERCENT * self._sent_bytes // max(self._total_bytes, 1),
        )
