"""Warns of commands that install into the image when a replica starts, which a replica with a GPU may not do."""

import re
from collections.abc import Iterable
from typing import Final

from ai_toolkit.command_titles import Title

_INSTALLS: Final = re.compile(
    r"(?:^|[;&|(\s])(?:sudo\s+)?"
    r"(?:(?:pip[\d.]*|python[\d.]*\s+-m\s+pip|uv\s+pip|conda|mamba|npm|apt|apt-get|apk|yum|dnf)\s+(?:-\S+\s+)*"
    r"(?:install|add|i|ci|update|upgrade)\b)"
)
# Where it may write: the folder in which it starts, /tmp, and mounts.
_ELSEWHERE: Final = re.compile(r"(?:\s(?:--target|-t|--prefix|--root|-p)[\s=]\S+|\bvenv\b|/bin/pip\b)")
WHY: Final = (
    "Since June 2026 Azure runs replicas with a GPU as a user who is not root: nothing can be installed into the "
    "image's own folders, and the container then ends, with a line such as “Permission denied” in its log or with none."
)


def installs(commands: Iterable[object]) -> list[str]:
    """Those of the commands that install into the image's own folders."""
    lines = (line.strip() for command in commands for line in str(command).splitlines())
    return [line for line in lines if _INSTALLS.search(line) and not _ELSEWHERE.search(line)]


def warning(commands: object) -> str:
    """What to know before such commands are provisioned; empty where there are none."""
    found = installs(commands) if isinstance(commands, list | tuple) else []
    if not found:
        return ""
    return (
        f"Warning: defaultCommands install packages when a replica starts ({'; '.join(found)}). {WHY} "
        "Let inference/requirements.txt name the packages and “python3 start.py” start the app: it installs them where "
        f"it may, once. {Title.PROVISION} sends the commands as they are."
    )
