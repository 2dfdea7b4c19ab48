"""The commit that a workspace is at, for the record of what was deployed."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

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
    process = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        str(folder),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _LIMIT_SECONDS)
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace").strip() if process.returncode == 0 else ""
