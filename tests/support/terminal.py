"""A command at a terminal of its own, and what a person sees there."""

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text
from tests.support.waiting import wait_for

LIMIT_SECONDS: Final = 60.0
_LINES: Final = 200


def _colour(name: str) -> str | None:
    """A colour of pyte's as rich calls it; None for the terminal's own."""
    if name == "default":
        return None
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else {"brown": "yellow"}.get(name, name)


class Terminal:
    """A command on a pseudo terminal; `screen` is what a person sees, `shown` every byte that was written.

    With `split` stdout is a pipe, as in `aitk … > file`, and `printed` is what came there.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        columns: int = 80,
        kind: str = "xterm-256color",
        split: bool = False,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        own = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self._read, write = os.pipe() if split else (None, None)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs if write is None else write,
            stderr=theirs,
            env={**own, "TERM": kind},
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        if write is not None:
            os.close(write)
        self.shown = ""
        self.printed = ""
        self._screen = pyte.Screen(columns, _LINES)
        self._stream = pyte.Stream(self._screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def screen(self) -> list[str]:
        """The lines that are visible, without what is blank at their ends and at the end of all."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def picture(self, path: Path, title: str) -> None:
        """Draws what is visible, with its colours, as SVG; it loads no font from elsewhere."""
        lines = self.screen
        text = Text()
        for number in range(len(lines)):
            row = self._screen.buffer[number]
            for column in range(len(lines[number])):
                cell = row[column]
                text.append(cell.data, Style(color=_colour(cell.fg), bold=cell.bold))
            text.append("\n")
        console = Console(record=True, width=self._screen.columns, file=io.StringIO(), legacy_windows=False)
        console.print(text, end="")
        form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(console.export_svg(title=title, code_format=form, unique_id="terminal"))

    def keep(self, name: str, title: str) -> None:
        """The picture, in the folder that `AITK_PICTURES` names; none where it names none."""
        if folder := os.environ.get("AITK_PICTURES"):
            self.picture(Path(folder) / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.svg", title)

    @property
    def cursor_is_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def wait_for(self, text: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        """Returns when the text was written."""
        deadline = time.monotonic() + limit_seconds
        while text not in self.shown:
            assert self._take(deadline - time.monotonic()), f"{text!r} was not shown, but: {self.shown}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Sends the signal once the command waits for an answer, not in the moment between prompt and reading."""
        state = Path(f"/proc/{self.process.pid}/stat")
        wait_for(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "S", LIMIT_SECONDS)
        self.process.send_signal(number)

    def look_for(self, seconds: float) -> bool:
        """Takes in what is shown for that long; whether the command still runs then."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([one for one in (self._ours, self._read) if one is not None], [], [], left)
            if ready and not self._take(left):
                self.process.wait(LIMIT_SECONDS)
                return False
        return self.process.poll() is None

    def press_ctrl_c(self) -> None:
        """As the terminal does it: to the command and to what it started in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def is_as_it_was(self) -> bool:
        """Whether what is typed is seen again, and the cursor as well."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO) and not self.cursor_is_hidden

    def end(self, limit_seconds: float = LIMIT_SECONDS) -> int:
        """The exit code, after everything that was shown."""
        deadline = time.monotonic() + limit_seconds
        while self._take(deadline - time.monotonic()):
            pass
        return self.process.wait(LIMIT_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for descriptor in (self._ours, self._read):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _take(self, seconds: float) -> bool:
        """Whether there may be more; takes in what there is."""
        ready, _, _ = select.select([one for one in (self._ours, self._read) if one is not None], [], [], seconds)
        assert ready, f"nothing more came, after: {self.shown}"
        if self._read in ready:
            piece = os.read(self._read, 65536)
            self.printed += piece.decode()
            if not piece:
                os.close(self._read)
                self._read = None
        if self._ours not in ready:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # how a terminal says that nobody is left
            return self._read is not None
        text = piece.decode(errors="replace")
        self.shown += text
        self._stream.feed(text)
        return bool(piece)
