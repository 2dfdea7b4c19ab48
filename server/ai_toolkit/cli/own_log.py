"""`aitk`'s own log: a file that a person finds, for what a sentence on the screen does not tell."""

import logging
import logging.handlers
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Final

import platformdirs

from ai_toolkit import __version__

log = logging.getLogger(__name__)

_LARGEST_BYTES: Final = 1 << 20
_FORM: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def own_log() -> Path:
    """The file; `AITK_LOG` names another."""
    named = os.environ.get("AITK_LOG")
    return Path(named).expanduser() if named else platformdirs.user_log_path("ai-toolkit") / "aitk.log"


def keep_log(*, debug: bool) -> None:
    """From now on everything is logged to the file, and with `debug` to stderr as well.

    What libraries warn of goes there and not to the screen. A file that cannot be written is left out.
    """
    warnings.simplefilter("default")
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    logging.getLogger("ai_toolkit").setLevel(logging.DEBUG)
    logging.getLogger("azure").setLevel(logging.WARNING)  # at INFO it writes every request, with what is in it
    file = _file_handler(own_log())
    if file is not None:
        root.addHandler(file)
    if debug:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.addHandler(shown)
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    log.info("aitk %s (ai-toolkit-server %s, Python %s)", _command(), __version__, platform.python_version())


def last_lines(lines: int) -> list[str]:
    """The end of the file; empty where there is none yet."""
    try:
        return own_log().read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def _command() -> str:
    """The command's name alone: what follows may be a question to the model, or a secret."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _file_handler(path: Path) -> logging.Handler | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_LARGEST_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
    except OSError:
        return None
    handler.setFormatter(logging.Formatter(_FORM))
    logging.raiseExceptions = False  # a disk that is full must not put a traceback on the screen
    return handler
