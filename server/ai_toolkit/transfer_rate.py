"""How far an upload is, and how fast it goes."""

import time
from typing import Final

from ai_toolkit.ui import Ui

UPLOAD_PERCENT: Final = 60
"""How much of the progress bar the upload takes; the rest is the replica's start."""


class TransferRate:
    """Reports bytes of the total and the rate, at most once per percent."""

    def __init__(self, total_bytes: int, files: int, ui: Ui) -> None:
        self._total_bytes = total_bytes
        self._files = files
        self._ui = ui
        self._began = time.monotonic()
        self._sent_bytes = 0
        self._shown_percent = -1

    def sent(self, count: int) -> None:
        """Hears of `count` more bytes."""
        self._sent_bytes += count
        percent = UPLOAD_PERCENT * self._sent_bytes // max(self._total_bytes, 1)
        if percent > self._shown_percent:
            self._shown_percent = percent
            rate = self._sent_bytes / 1e6 / max(time.monotonic() - self._began, 0.001)
            done, total = self._sent_bytes / 1e6, self._total_bytes / 1e6
            self._ui.report(f"uploading {self._files} files: {done:.1f} of {total:.1f} MB, {rate:.1f} MB/s", percent)
