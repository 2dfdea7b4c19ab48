"""Asking again until something is so."""

from datetime import timedelta

import pytest

from ai_toolkit.polling import poll

SOON = timedelta(milliseconds=1)


async def test_the_first_result_that_is_one_is_returned():
    """None asks again; anything else, also what is false, ends it."""
    answers = iter([None, None, 0, 1])

    async def look():
        return next(answers)

    assert await poll(look, every=SOON) == 0
    assert next(answers) == 1


async def test_a_limit_ends_it():
    """With TimeoutError, which says that it was never so."""

    async def look():
        return None

    with pytest.raises(TimeoutError):
        await poll(look, every=SOON, limit=timedelta(milliseconds=20))


async def test_an_error_of_the_look_ends_it():
    """It is the caller's to know which errors pass."""

    async def look():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await poll(look, every=SOON)
