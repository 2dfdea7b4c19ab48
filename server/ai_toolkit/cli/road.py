"""`aitk` as a whole: its help in the order of the road, and how every run of it ends."""

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn

import click

from ai_toolkit.azure.explain import for_people
from ai_toolkit.cli.outcome import CANCELLED, FAILED, tell
from ai_toolkit.cli.own_log import keep_log, own_log
from ai_toolkit.errors import AiToolkitError, UsageError

log = logging.getLogger(__name__)

SECTIONS: Final = {
    "The road": ("init", "provision", "deploy", "chat", "eval"),
    "What runs": ("status", "models", "logs", "key", "link"),
    "What is billed": ("prices", "stop", "start", "down"),
    "This computer": ("demo", "local-cloud"),
    "For programs": ("mcp", "schema", "serve"),
}
"""The commands as a person meets them; one that is named nowhere stands among the last of them."""
_REST: Final = "More"


def example(*commands: str) -> str:
    """What a command's help ends with; each is tried by a test."""
    return "\b\nFor example:\n" + "\n".join(f"  {one}" for one in commands)


class RoadGroup(click.Group):
    """The commands in their order, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the road."""
        del ctx
        return [name for _, names in _sections(self.commands) for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        for title, names in _sections(self.commands):
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=1000)) for name in names])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  (click's own)
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Runs a command and ends the process: with 0, 1, 2 or 130, and never with a traceback."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        given = list(sys.argv[1:] if args is None else args)
        signal.signal(signal.SIGINT, leave_at_once)
        _write_what_cannot_be_written_as_escapes()
        code = _guarded(lambda: super(RoadGroup, self).main(given, "aitk", complete_var, standalone_mode=False), given)
        signal.signal(signal.SIGINT, partial(_end_at_once, code))  # all is done and said
        sys.exit(code)


def leave_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ctrl+C while nothing was begun."""
    os.write(2, b"\nCancelled: nothing was changed.\n")
    os._exit(CANCELLED)


def _write_what_cannot_be_written_as_escapes() -> None:
    """In the locale C, or a code page of Windows, a folder's name may have letters that the output has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end_at_once(code: int, _number: int, _frame: FrameType | None) -> NoReturn:
    """Ctrl+C while Python clears up: the command ended as it ended."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _sections(commands: Iterable[str]) -> list[tuple[str, list[str]]]:
    there = set(commands)
    rest = sorted(there - {name for names in SECTIONS.values() for name in names})
    found = [(title, [name for name in names if name in there]) for title, names in {**SECTIONS, _REST: rest}.items()]
    return [(title, names) for title, names in found if names]


def _guarded(command: Callable[[], Any], given: Sequence[str]) -> int:  # noqa: PLR0911  (one for each end)
    """The exit code of the command; whatever it raises is told."""
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    try:
        code = command()
    except click.exceptions.Abort:
        tell(AiToolkitError("Cancelled."), as_json=False)
        return CANCELLED
    except click.ClickException as error:
        if as_json:
            tell(UsageError(error.format_message(), _help_of(error)), as_json=True)
        else:
            error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return CANCELLED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAILED
    except BrokenPipeError:
        return _nobody_reads()
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _nobody_reads()
        return _failed(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001  (the edge: every error becomes a sentence and an exit code)
        return _failed(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _failed(error: Exception, *, as_json: bool) -> int:
    keep_log(debug=False)
    log.debug("The command failed", exc_info=error)
    tell(for_people(error, f"{own_log()} (aitk logs --own)"), as_json=as_json)
    return FAILED


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"See {context.command_path} --help." if context is not None else "See aitk --help."


def _nobody_reads() -> int:
    """`aitk logs | head`: whoever read has enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return FAILED
