"""Waiting for a resource on which Azure still carries out an earlier change: it takes one at a time."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.failures import innermost_of
from ai_toolkit.polling import poll

Result = TypeVar("Result")

BUSY: Final = frozenset({"ContainerAppOperationInProgress", "ManagedEnvironmentOperationInProgress"})
_LOOK_AGAIN: Final = timedelta(seconds=1)
_LIMIT: Final = timedelta(minutes=25)
"""Longer than Azure follows one change itself (`x-ms-async-operation-timeout`), and a start that never ends."""


async def when_free(send: Callable[[], Awaitable[Result]]) -> Result:
    """What `send` returns, sent again as long as Azure answers that another change is under way.

    Raises HttpResponseError, also that one where it is still so after 25 minutes.
    """
    refused: HttpResponseError | None = None

    async def attempt() -> tuple[Result] | None:
        nonlocal refused
        try:
            return (await send(),)
        except HttpResponseError as error:
            if innermost_of(error)[0] not in BUSY:
                raise
            refused = error
            return None

    try:
        (found,) = await poll(attempt, every=_LOOK_AGAIN, limit=_LIMIT)
    except TimeoutError as error:
        raise refused or error from error
    return found
