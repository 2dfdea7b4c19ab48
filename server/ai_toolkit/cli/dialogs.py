"""The person at a terminal: questions by number, what happens on stderr, results on stdout."""

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

from ai_toolkit.cli.terminal import Bar, say
from ai_toolkit.errors import Dismissed, UsageError
from ai_toolkit.ui import Input, Pick, Tone, WentBack

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
    """A Ui on the terminal: what happens is told on stderr, so that stdout carries results only.

    With `quiet` (for `--json`) nothing but questions and progress is shown, with `verbose` details too.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        agreed: bool = False,
        verbose: bool = False,
        tell_again_seconds: float = _TELL_AGAIN_SECONDS,
    ) -> None:
        self._agreed = agreed
        self._quiet = quiet
        self._verbose = verbose
        self._told_on = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._results = Console(highlight=False, emoji=False, markup=False)
        live = self._told_on.is_terminal and not self._told_on.is_dumb_terminal
        self._bar = Bar(self._told_on) if live else None
        self._shown = ""
        self._told = 0.0
        self._tell_again_seconds = tell_again_seconds

    def __enter__(self) -> Self:
        self._restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def quiet(self) -> bool:
        """Whether a program reads the result."""
        return self._quiet

    async def pick(self, question: Pick) -> str:
        possible = [item for item in question.items if not item.disabled]
        if self._agreed and question.option == "--yes":
            return possible[0].id
        self._need_terminal(question.option, question.placeholder)
        self._stop()
        try:
            self._say(question.placeholder if question.title in question.placeholder else _both(question))
            if question.can_go_back:
                self._say("  0. Back")
            for number, item in enumerate(question.items, 1):
                note = f"  ({item.description})" if item.description else ""
                tone = Tone.DETAIL if item.disabled else Tone.PLAIN
                self._say(f"  {'-' if item.disabled else number}. {item.label}{note}", tone)
            first = 0 if question.can_go_back else 1
            while True:
                with _interruptible():
                    number = click.prompt("Number", type=click.IntRange(first, len(question.items)), err=True)
                if number == 0:
                    raise WentBack
                chosen = question.items[number - 1]
                if not chosen.disabled:
                    return chosen.id
                self._say(f"{number} cannot be chosen: {chosen.description or chosen.label}.", Tone.WARNING)
        except click.Abort as error:
            click.echo(err=True)  # the prompt's own line has no end
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
                self._say(f"That does not fit: {question.hint}", Tone.WARNING)
        except click.Abort as error:
            click.echo(err=True)
            raise Dismissed from error
        finally:
            self._restart()

    def ask_line(self, prompt: str) -> str | None:
        """A line that the person typed; None at the end of input. Raises Dismissed."""
        self._stop()
        try:
            with _interruptible():
                return input(prompt)
        except EOFError:
            return None
        except KeyboardInterrupt as error:
            raise Dismissed from error

    def report(self, message: str, percentage: int | None = None) -> None:
        if self._bar is not None:
            self._bar.update(message, percentage)
            return
        # A log file gets a line per step and, of a long one, a line every few seconds: not one per megabyte.
        step, now = message.split(" ", 1)[0], time.monotonic()
        if step != self._shown or now - self._told >= self._tell_again_seconds:
            self._shown, self._told = step, now
            click.echo(f"… {message}", err=True)

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        if not self._quiet and (self._verbose or tone is not Tone.DETAIL):
            self._say(message, tone)

    def result(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        """Prints some lines of the result, on stdout; the bar is gone before."""
        self._stop()
        if not self._quiet:
            say(self._results, message, tone)
            self._results.file.flush()

    def next(self, *steps: str) -> None:
        """Says what may come next, on stderr: it is no result."""
        for number, step in enumerate(steps):
            self.announce(f"{'Next:' if number == 0 else '     '} {step}", Tone.NEXT)

    def piece(self, text: str) -> None:
        """Prints a part of a line of the result, as it comes."""
        self._stop()
        if not self._quiet:
            click.echo(text, nl=False)

    def _say(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        say(self._told_on, message, tone)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.end()

    def _restart(self) -> None:
        if self._bar is not None:
            self._bar.begin()

    def _need_terminal(self, option: str, question: str) -> None:
        nobody = ("there is no terminal to ask on",) if not sys.stdin.isatty() else tuple(_machines())
        if nobody:
            raise UsageError(f"{question}: {nobody[0]}.", f"Answer with {option or 'an option'}.")


def _both(question: Pick) -> str:
    return f"{question.title}: {question.placeholder}"


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
