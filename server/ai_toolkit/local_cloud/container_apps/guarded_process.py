"""A process group that cannot outlive the local cloud: a command started through `guard.py`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ai_toolkit.local_cloud.container_apps import guard


@dataclass(frozen=True)
class GuardedProcess:
    """The process, which leads its group, and the descriptor to read its output from.

    Closing `lifeline` kills what is left of the group.
    """

    process: asyncio.subprocess.Process
    output: int
    lifeline: int


async def start_guarded(
    command: Sequence[str], variables: Mapping[str, str], folder: Path | None = None
) -> GuardedProcess:
    """Starts the command with just these environment variables; whoever reads `output` closes it. Raises OSError."""
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
    return GuardedProcess(process, output, lifeline)
