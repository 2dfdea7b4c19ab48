"""A process group that cannot outlive the local cloud: a command started through `guard.py`."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.container_apps import guard
from ai_toolkit.local_cloud.container_apps.replica_log import read_lines
from ai_toolkit.local_cloud.core.processes import kill_group
from ai_toolkit.operating_system import end_group

LAST_WORDS_SECONDS: Final = 5.0  # how long what a killed group wrote last is waited for


@dataclass(frozen=True)
class _Started:
    """A process, which leads its group, and the descriptors of its output and of what keeps it alive."""

    process: asyncio.subprocess.Process
    output: int
    lifeline: int


@contextlib.asynccontextmanager
async def guarded(
    command: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None], folder: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with just these environment variables, each line that it writes being said; raises OSError.

    On leaving, whatever is left of its group is killed.
    """
    started = await _start(command, variables, folder)
    process = started.process
    reading = asyncio.create_task(read_lines(started.output, say))
    try:
        yield process
    finally:
        kill_group(process.pid)
        await process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await asyncio.gather(reading, return_exceptions=True)
        reading.cancel()
        os.close(started.lifeline)


async def end(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    """Ask the group to end, and kill what is left of it after a while."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        end_group(process.pid, politely=True)
        async with asyncio.timeout(grace_seconds):
            await process.wait()
    kill_group(process.pid)
    await process.wait()


async def _start(command: Sequence[str], variables: Mapping[str, str], folder: Path | None) -> _Started:
    # Pipes of our own: asyncio's would hold `wait` back until every grandchild has closed them.
    lifeline_read, lifeline = os.pipe()
    output, output_write = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            guard.__file__,
            *command,
            stdin=lifeline_read,
            stdout=output_write,
            stderr=output_write,
            env=variables,
            cwd=folder,
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline)
        os.close(output)
        raise
    finally:
        os.close(lifeline_read)
        os.close(output_write)
    return _Started(process, output, lifeline)
