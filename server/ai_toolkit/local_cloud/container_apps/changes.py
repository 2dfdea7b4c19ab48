"""Waiting for something to change, without polling."""

import asyncio


class Changes:
    """Those who wait are woken by every `notify`; what changed they look up themselves."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake everyone who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, limit_seconds: float | None = None) -> bool:
        """True after the next `notify`, False when the limit passed first."""
        event = self._event
        try:
            async with asyncio.timeout(limit_seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True
