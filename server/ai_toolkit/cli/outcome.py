"""Runs a command's work to its end: a result, or one sentence and an exit code."""

import asyncio
import dataclasses
import json
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

import click

from ai_toolkit.azure.explain import for_people
from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import chosen
from ai_toolkit.cli.own_log import keep_log, own_log
from ai_toolkit.errors import AiToolkitError, Dismissed, Interrupted, UsageError
from ai_toolkit.evaluation.errors import BelowMinimum
from ai_toolkit.operating_system import on_interruption
from ai_toolkit.ui import Tone

log = logging.getLogger(__name__)
Result = TypeVar("Result")

FAILED: Final = 1
WRONG_COMMAND_LINE: Final = 2
CANCELLED: Final = 130


def run(
    work: Callable[[TerminalUi], Awaitable[Result]],
    *,
    as_json: bool,
    agreed: bool = False,
    show: Callable[[Result, TerminalUi], None] | None = None,
    failed: int = FAILED,
) -> None:
    """Runs a command to its exit code; an error is one sentence, or one JSON object with `--json`.

    `show` prints the result for a person, once nothing else is on the screen. `failed` is the exit code of what could
    not be done, for a command whose own answer may be 1.
    """
    keep_log(debug=chosen("debug"))
    ui = TerminalUi(quiet=as_json, agreed=agreed, verbose=chosen("verbose"))
    try:
        with ui, asyncio.Runner() as runner:
            try:
                result = runner.run(_until_interrupted(work(ui), ui))
            except BaseException as error:
                log.debug("The command ended", exc_info=error)
                ui.__exit__(None, None, None)
                _end(error, as_json=as_json, failed=failed)
        if as_json:
            print_json(plain(result))
        elif show is not None:
            show(result, ui)
    except KeyboardInterrupt as error:
        _end(error, as_json=as_json)


def print_json(document: object) -> None:
    """One JSON object on a line of its own."""
    click.echo(json.dumps(document))


def plain(result: object) -> Any:  # noqa: ANN401  (any JSON)
    """A result as JSON takes it: by its own `as_json`, else by its fields."""
    if hasattr(result, "as_json"):
        return result.as_json()
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) else result  # type: ignore[arg-type]


def tell(error: AiToolkitError, *, as_json: bool) -> None:
    """Prints the error: as JSON on stdout, or for a person on stderr."""
    if as_json:
        told = {"code": error.code, "message": error.message, "advice": error.advice, "details": list(error.details)}
        print_json({"error": told})
        return
    ui = TerminalUi(quiet=False)
    ui.announce(error.message, Tone.BAD)
    for line in error.details:
        ui.announce(f"    {line}")
    if error.advice:
        ui.announce(error.advice)


async def _until_interrupted(work: Awaitable[Result], ui: TerminalUi) -> Result:
    """The result of the work, which Ctrl+C and SIGTERM cancel so that it cleans up; a second one does not wait."""
    task = asyncio.ensure_future(work)
    asked = False

    def interrupt() -> None:
        nonlocal asked
        if asked:
            _leave("Left at once: what was done stays, and the next run goes on from there.")
        asked = True
        ui.report("stopping (Ctrl+C again leaves at once)")
        task.cancel()

    on_interruption(asyncio.get_running_loop(), interrupt)
    return await task


def _exit_code(error: AiToolkitError, failed: int) -> int:
    match error:
        case Dismissed() | Interrupted():
            return CANCELLED
        case UsageError():
            return WRONG_COMMAND_LINE
        case BelowMinimum():
            return FAILED
    return failed


def _end(error: BaseException, *, as_json: bool, failed: int = FAILED) -> NoReturn:
    """Tells the error and ends the process with its exit code."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        told: AiToolkitError = Interrupted()
    else:
        told = for_people(error, f"{own_log()} (aitk logs --own)")
    exit_code = _exit_code(told, failed)
    tell(told, as_json=as_json)
    if exit_code == CANCELLED and threading.active_count() > 1:
        _leave()  # a thread that converts or reads would be waited for; what it writes is put in place in one step
    sys.exit(exit_code)


def _leave(message: str = "") -> NoReturn:
    if message:
        click.echo(message, err=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(CANCELLED)
