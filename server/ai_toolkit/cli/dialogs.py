"""The person at a terminal: questions by number, progress on stderr, announcements on stdout."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ai_toolkit.errors import Dismissed, UsageError
from ai_toolkit.ui import Input, Pick, WentBack

_BACK: Final = ".."
MACHINES: Final = {
    "CI": "a CI",
    "TF_BUILD": "Azure Pipelines",
    "AI_AGENT": "an agent",
    "AGENT": "an agent",
    "CLAUDECODE": "an agent",
    "CODEX_SANDBOX": "an agent",
    "CURSOR_AGENT": "an agent",
    "GEMINI_CLI": "an agent",
    "OPENCODE": "an agent",
}
"""What machines set for the programs that they run, often in a terminal that nobody reads."""
_TELL_AGAIN_SECONDS: Final = 5.0


class TerminalUi:
    """A Ui on the terminal. With `quiet` (for `--json`) nothing but questions and progress is shown, on stderr."""

    def __init__(self, *, quiet: bool, agreed: bool = False, tell_again_seconds: float = _TELL_AGAIN_SECONDS) -> None:
        self._agreed = agreed
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._quiet = quiet
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what is piped on must not end on stderr
        )
        self._task = self._progress.add_task("", total=None, start=True)
        self._shown = ""
        self._told = 0.0
        self._tell_again_seconds = tell_again_seconds

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    async def pick(self, question: Pick) -> str:
        possible = [item for item in question.items if not item.disabled]
        if self._agreed and question.option == "--yes":
            return possible[0].id
        self._need_terminal(question.option, question.placeholder)
        self._stop()
        try:
            click.echo(f"{question.title}: {question.placeholder}", err=True)
            if question.can_go_back:
                click.echo("  0. Back", err=True)
            for number, item in enumerate(question.items, 1):
                note = f"  ({item.description})" if item.description else ""
                click.echo(f"  {'-' if item.disabled else number}. {item.label}{note}", err=True)
            first = 0 if question.can_go_back else 1
            while True:
                with _interruptible():
                    number = click.prompt("Number", type=click.IntRange(first, len(question.items)), err=True)
                if number == 0:
                    raise WentBack
                chosen = question.items[number - 1]
                if not chosen.disabled:
                    return chosen.id
        except click.Abort as error:
            raise Dismissed from error
        finally:
            self._restart()

    async def input(self, question: Input) -> str:
        self._need_terminal(question.option, question.prompt)
        self._stop()
        try:
            default = question.value or None
            back = _BACK if question.can_go_back and not question.password else None
            prompt = f"{question.prompt} ({_BACK} goes back)" if back else question.prompt
            while True:
                with _interruptible():
                    answer: str = click.prompt(prompt, default=default, hide_input=question.password, err=True)
                if answer == back:
                    raise WentBack
                if question.pattern is None or re.fullmatch(question.pattern, answer):
                    return answer
                click.echo(f"That does not fit: {question.hint}", err=True)
        except click.Abort as error:
            raise Dismissed from error
        finally:
            self._restart()

    def report(self, message: str, percentage: int | None = None) -> None:
        if self._console.is_terminal:
            self._progress.update(self._task, description=message)
            if percentage is not None:
                self._progress.update(self._task, total=100, completed=percentage)
            return
        # A log file gets a line per step and, of a long one, a line every few seconds: not one per megabyte.
        step, now = message.split(" ", 1)[0], time.monotonic()
        if step != self._shown or now - self._told >= self._tell_again_seconds:
            self._shown, self._told = step, now
            click.echo(f"… {message}", err=True)

    def announce(self, message: str) -> None:
        if not self._quiet:
            click.echo(message)

    def _stop(self) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def _restart(self) -> None:
        if self._console.is_terminal:
            self._progress.start()

    def _need_terminal(self, option: str, question: str) -> None:
        nobody = ("there is no terminal to ask on",) if not sys.stdin.isatty() else tuple(_machines())
        if nobody:
            raise UsageError(f"{question}: {nobody[0]}.", f"Answer with {option or 'an option'}.")


def _machines() -> Iterator[str]:
    """Why a terminal has no person before it, in words: a question would wait for ever there."""
    for variable, who in MACHINES.items():
        if os.environ.get(variable, "").lower() not in {"", "0", "false"}:
            yield f"{who} runs this ({variable} is set), and is not asked"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lets Ctrl+C and SIGTERM end a prompt, which blocks the event loop and so the loop's own handlers."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
