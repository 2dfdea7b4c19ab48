"""What is shown on a terminal: sentences in lines that fit, and a bar for what takes longer than half a second."""

import textwrap
import threading
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from ai_toolkit.ui import Tone

SHOWN_AFTER_SECONDS: Final = 0.5
"""What ends sooner gets no bar: it would only flash."""
_STYLES: Final = {
    Tone.PLAIN: "",
    Tone.DETAIL: "dim",
    Tone.GOOD: "green",
    Tone.WARNING: "yellow",
    Tone.BAD: "red",
    Tone.NEXT: "cyan",
}


def say(console: Console, message: str, tone: Tone = Tone.PLAIN) -> None:
    """Prints lines of whole words; an address or a command that is longer than a line stays in one piece.

    What goes to a file or a pipe is not broken at all: a program that reads it looks for lines.
    """
    width = console.width if console.is_terminal else 0
    for line in message.split("\n"):
        for part in _lines(line, width):
            console.print(Text(part, style=_STYLES[tone]), soft_wrap=True)


def _lines(line: str, width: int) -> list[str]:
    if not width or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    hanging = f"{indent}    " if indent and len(indent) < width // 2 else indent
    return textwrap.wrap(
        line,
        width,
        initial_indent="",
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]


class Bar:
    """How far the work is, in one line below everything else; it leaves no trace when it ends."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Shows it in half a second, unless it ends before."""
        with self._lock:
            if self._timer is not None:
                return
            self._timer = threading.Timer(SHOWN_AFTER_SECONDS, self._show)
            self._timer.daemon = True
            self._timer.start()

    def update(self, message: str, percentage: int | None) -> None:
        """What it says; `percentage` of the whole, where known."""
        self._progress.update(self._task, description=" ".join(message.split()))
        if percentage is not None:
            self._progress.update(self._task, total=100, completed=percentage)

    def end(self) -> None:
        """Takes it away, at once and wholly: what is printed next begins at the line's begin."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._progress.stop()

    def _show(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._progress.start()
