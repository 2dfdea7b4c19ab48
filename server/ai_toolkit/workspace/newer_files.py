"""What of a workspace's `infra/` and `inference/` is older than this version: taken over where nobody changed it.

`shipped.json` beside this file holds the id of every content that a file ever came with, so that a file as it was
shipped is told from one that a person changed. The app's code belongs together: where one of its modules was changed,
all of it stays. `scripts/generate` writes `shipped.json`.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.errors import WorkspaceError

SHIPPED: Final = Path(__file__).parent / "shipped.json"
FOLDERS: Final = ("infra", "inference")
_ID_DIGITS: Final = 12
_COMPILED: Final = Path("infra/provision/inference.bicep"), Path("infra/provision/inference.json")
"""The second is made of the first, and stays with it."""


@dataclass(frozen=True)
class Newer:
    """Paths of the workspace: what was as it was shipped and is this version's now, and what a person changed."""

    taken: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def content_id(content: bytes) -> str:
    """Stands for a content, whatever its line ends are."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()[:_ID_DIGITS]


def shipped() -> Mapping[str, Collection[str]]:
    """Path in a workspace → the ids of what it ever came with."""
    found: dict[str, list[str]] = json.loads(SHIPPED.read_text("utf-8"))
    return found


def take_over(folder: Path, templates: Path, known: Mapping[str, Collection[str]]) -> Newer:
    """Replaces what is older and as it was shipped by what `templates` has; a person's own files stay.

    A file is replaced whole or not at all. Raises WorkspaceError where one cannot be written.
    """
    older, changed = [], set()
    for source in sorted(each for name in FOLDERS for each in (templates / name).rglob("*") if each.is_file()):
        path = source.relative_to(templates)
        here = folder / path
        if "__pycache__" in path.parts or not here.is_file():
            continue
        before = content_id(here.read_bytes())
        if before == content_id(source.read_bytes()):
            continue
        older.append(path)
        if before not in known.get(path.as_posix(), ()):
            changed.add(path)
    if _COMPILED[0] in changed or _COMPILED[1] in changed:
        changed |= set(_COMPILED)
    if any(_is_code(path) for path in changed):
        changed |= {path for path in older if _is_code(path)}
    taken = [path for path in older if path not in changed]
    for path in taken:
        _replace(templates / path, folder / path)
    kept = [path.as_posix() for path in older if path in changed]
    return Newer(tuple(path.as_posix() for path in taken), tuple(kept))


def _is_code(path: Path) -> bool:
    return path.parts[0] == "inference" and path.suffix == ".py"


def _replace(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.aitk-new")
    try:
        shutil.copyfile(source, beside)
        os.replace(beside, target)  # noqa: PTH105  (the same on every system)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise WorkspaceError(f"{target} cannot be written: {error.strerror or error}.", "It is as it was.") from error
