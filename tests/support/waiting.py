"""Waiting for what sends no event: looked at again and again, with a pause that leaves the processor to others."""

import asyncio
import time
import urllib.error

import pytest

PAUSE_SECONDS = 0.05


def wait_for(condition, limit_seconds=60):
    """Returns when the condition holds; an endpoint that changes its revision may be away meanwhile."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(PAUSE_SECONDS)
    pytest.fail(f"the condition never held within {limit_seconds} s")


async def until(condition, limit_seconds=60):
    """The same beside other tasks: the condition is looked at in a thread."""
    await asyncio.to_thread(wait_for, condition, limit_seconds)
