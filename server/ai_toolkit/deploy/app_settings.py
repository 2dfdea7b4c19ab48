"""Whether the app would start with `inference/settings.toml`: said before the replica that runs is stopped."""

import asyncio
import re
import sys
import tomllib
from pathlib import Path
from typing import Final

from ai_toolkit.deploy.short_command import said_by
from ai_toolkit.errors import FileMalformed, ValueImpossible
from ai_toolkit.workspace.text_file import read_text
from ai_toolkit.workspace.workspace import CODE

_LIMIT_SECONDS: Final = 20
_WRONG: Final = 3
# The app's own rules, from the very code that is going to be sent: it needs the standard library only.
_READ: Final = f"""
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from aitk_app.settings import SettingsError, read_settings
try:
    read_settings(Path(sys.argv[1], "settings.toml"), [], {{}})
except SettingsError as error:
    sys.stdout.write(str(error))
    sys.exit({_WRONG})
"""


async def check_settings(folder: Path) -> None:
    """Raises FileMalformed for what is not TOML, ValueImpossible for what the app's own code would refuse.

    Settings of an app of another make are its own: of those only the form is looked at.
    """
    path = folder / CODE / "settings.toml"
    if not path.is_file():
        return
    try:
        await asyncio.to_thread(lambda: tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        problem = str(error).partition(" (at ")[0]
        raise FileMalformed(path, f"this is not TOML: {problem}.", line=line, column=column) from error
    problem = await _refusal(folder / CODE)
    if problem:
        name, _, said = problem.partition(": ")
        raise ValueImpossible(path, "settings", said if name == path.name else problem)


async def _refusal(code: Path) -> str:
    """What the app's own reader says of its settings; empty where it takes them, or is not ours."""
    if not (code / "aitk_app" / "settings.py").is_file():
        return ""
    said = await said_by((sys.executable, "-I", "-B", "-c", _READ, str(code)), _LIMIT_SECONDS)
    return said[1] if said is not None and said[0] == _WRONG else ""
