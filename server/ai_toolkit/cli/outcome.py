"""Runs a command's work to its end: a result, or one sentence and an exit code."""

import asyncio
import dataclasses
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import click

from ai_toolkit.azure.explain import for_people
from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.errors import AiToolkitError, Dismissed, Interrupted, UsageError
from ai_toolkit.evaluation.errors import BelowMinimum
from ai_toolkit.operating_system import on_interruption

log = logging.getLogger(__name__)

FAILED: Final = 1
WRONG_COMMAND_LINE: Final = 2
CANCELLED: Final = 130


def run(
    work: Callable[[TerminalUi], Awaitable[object]], *, as_json: bool, agreed: bool = False, failed: int = FAILED
) -> None:
    """Runs a command to its exit code; an error is one sentence, or one JSON object with `--json`.

    `failed` is the exit code of what could not be done, for a command whose own answer may be 1.
    """
    try:
        with TerminalUi(quiet=as_json, agreed=agreed) as ui:
            result = asyncio.run(_until_interrupted(work(ui)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        _fail(Interrupted(), as_json=as_json, exit_code=CANCELLED)
    except Exception as error:  # (the edge: every error becomes a sentence and an exit code)
        log.debug("The command failed", exc_info=error)
        told = for_people(error)
        _fail(told, as_json=as_json, exit_code=_exit_code(told, failed))
    else:
        if as_json:
            plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) else result  # type: ignore[arg-type]
            click.echo(json.dumps(plain))


def _exit_code(error: AiToolkitError, failed: int) -> int:
    match error:
        case Dismissed() | Interrupted():
            return CANCELLED
        case UsageError():
            return WRONG_COMMAND_LINE
        case BelowMinimum():
            return FAILED
    return failed


async def _until_interrupted(work: Awaitable[object]) -> object:
    """The result of the work, which Ctrl+C and SIGTERM cancel so that it cleans up."""
    task = asyncio.ensure_future(work)
    on_interruption(asyncio.get_running_loop(), task.cancel)
    return await task


def _fail(error: AiToolkitError, *, as_json: bool, exit_code: int) -> None:
    if as_json:
        told = {"code": error.code, "message": error.message, "advice": error.advice, "details": list(error.details)}
        click.echo(json.dumps({"error": told}))
    else:
        click.secho(error.message, fg="red", err=True)
        for line in error.details:
            click.echo(f"    {line}", err=True)
        if error.advice:
            click.echo(error.advice, err=True)
    sys.exit(exit_code)
