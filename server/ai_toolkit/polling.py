"""Asking again until something is so, for what sends no event."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

Result = TypeVar("Result")


async def poll(
    look: Callable[[], Awaitable[Result | None]], *, every: timedelta, limit: timedelta | None = None
) -> Result:
    """The first result of `look` that is not None; between two looks passes `every`.

    Raises TimeoutError when there is none within `limit`, and whatever `look` raises.
    """
    async with asyncio.timeout(None if limit is None else limit.total_seconds()):
        while (found := await look()) is None:  # noqa: ASYNC110  (there is no event: that is why)
            await asyncio.sleep(every.total_seconds())
    return found
