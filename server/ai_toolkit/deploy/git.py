"""The commit that a workspace is at, for the record of what was deployed."""

import shutil
from pathlib import Path
from typing import Final

from ai_toolkit.deploy.short_command import said_by

_LIMIT_SECONDS: Final = 5


async def head_commit(folder: Path) -> str | None:
    """The commit's hash, with `+` when files differ from it; None outside a repository or without git."""
    if shutil.which("git") is None:
        return None
    commit = await _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = await _git(folder, "status", "--porcelain", "--", "inference", "models")
    return f"{commit}+" if changed else commit


async def _git(folder: Path, *arguments: str) -> str:
    said = await said_by(("git", "-C", str(folder), *arguments), _LIMIT_SECONDS)
    return said[1] if said is not None and said[0] == 0 else ""
