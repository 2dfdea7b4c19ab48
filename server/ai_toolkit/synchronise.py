"""Brings the workspace's files to the file share, so that a replica sees the old deploy or the new, never a mixture.

The order is what makes it safe. New content goes beside, to `.aitk/incoming/`. Then, file by file, the old content
moves to `.aitk/replaced/<sha256>` and the new moves in. The manifest comes last, by one rename. A replica copies what
the manifest names: before the last rename that is the old deploy, and a file of it that has moved already is found
under `.aitk/replaced/`; after it, every file is in place.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ai_toolkit.errors import ShareConflict, ValueImpossible
from ai_toolkit.manifest import MANIFEST_PATH, Entry, Manifest

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_UPLOADS_AT_A_TIME: Final = 8
_CODE: Final = "inference"
_MODELS: Final = ("models", "model-cache")
_LEFT_OUT: Final = frozenset(
    {
        "__pycache__",
        ".git",
        ".venv",
        "venv",
        "node_modules",
        ".vscode",
        ".idea",
        ".mypy_cache",
        ".ruff_cache",
        ".env",
    }
)
_SECRET_SUFFIXES: Final = frozenset({".pem", ".key", ".pfx", ".pyc"})
_INCOMING: Final = PurePosixPath(".aitk/incoming")
_REPLACED: Final = PurePosixPath(".aitk/replaced")


@dataclass(frozen=True)
class LocalFile:
    """A file of the workspace that belongs on the share, at the same relative path."""

    source: Path
    entry: Entry


@dataclass(frozen=True)
class Plan:
    """What a synchronisation will do; `manifest` is what the share holds afterwards."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    files: Mapping[str, LocalFile]
    before: Manifest
    manifest: Manifest

    @property
    def uploads(self) -> tuple[str, ...]:
        return self.added + self.changed

    @property
    def bytes(self) -> int:
        """Content to send."""
        return sum(self.files[path].entry.size for path in self.uploads)

    @property
    def empty(self) -> bool:
        return not (self.uploads or self.removed)


def local_files(folder: Path) -> dict[str, LocalFile]:
    """The workspace's files that go to the share, hashed, by their path there. Raises ValueImpossible."""
    root = folder.resolve()
    code, models, cache = folder / _CODE, folder / _MODELS[0], folder / _MODELS[1]
    sources = [*_walk(code, root), *_adapters(models, root), *_walk(cache, root)]
    return {source.relative_to(folder).as_posix(): LocalFile(source, _entry(source)) for source in sources}


def _walk(folder: Path, root: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files below a folder of the workspace `root`, that lies in the folders `above`; both resolved.

    A link is judged before it is followed: one may lead to the whole disk, or around in circles.
    """
    if not folder.is_dir():
        return
    here = _resolved(folder, root)
    if here in above:
        raise ValueImpossible(folder, "symbolic link", "it leads back to a folder that it lies in")
    for item in sorted(folder.iterdir()):
        if item.name in _LEFT_OUT or item.suffix in _SECRET_SUFFIXES:
            continue
        if item.is_dir():
            yield from _walk(item, root, (*above, here))
        elif item.is_file():
            _resolved(item, root)
            yield item


def _resolved(path: Path, root: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(root):
        raise ValueImpossible(path, "symbolic link", "it leads out of the workspace, which a deploy never follows")
    return real


def _adapters(models: Path, root: Path) -> Iterator[Path]:
    for config in sorted(models.rglob("adapter_config.json")):
        yield from _walk(config.parent, root)


def _entry(source: Path) -> Entry:
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return Entry(stream.tell(), digest.hexdigest())


async def make_plan(share: "FileShare", files: Mapping[str, LocalFile]) -> Plan:
    """The difference between the files here and the share. Raises ShareConflict."""
    before = Manifest.parse(await share.read(MANIFEST_PATH))
    added, changed, conflicting, theirs = [], [], [], set()
    for path, file in files.items():
        known = before.files.get(path)
        if known is None:
            size = await share.size(PurePosixPath(path)) if path.startswith(_MODELS) else None
            if size is None:
                added.append(path)
            elif size == file.entry.size:
                theirs.add(path)  # fine-tuning left it there; it is not ours to replace
            else:
                conflicting.append(path)
        elif known != file.entry:
            changed.append(path)
    if conflicting:
        raise ShareConflict(conflicting)
    removed = tuple(path for path in before.files if path not in files and not path.startswith(_MODELS))
    kept = {path: entry for path, entry in before.files.items() if path not in removed}
    after = kept | {path: file.entry for path, file in files.items() if path not in theirs}
    unchanged = len(files) - len(added) - len(changed)
    return Plan(tuple(added), tuple(changed), removed, unchanged, files, before, Manifest(after))


async def synchronise(share: "FileShare", plan: Plan, tool: str, sent: Callable[[int], None]) -> None:
    """Carries the plan out; `sent` hears the bytes that have gone so far, of `plan.bytes`."""
    if plan.empty:
        return
    await _upload(share, plan, sent)
    for path in (*plan.changed, *plan.removed):
        await _keep_replaced(share, PurePosixPath(path), plan.before.files[path])
    for path in plan.uploads:
        await share.rename(_incoming(path, plan), PurePosixPath(path))
    await share.write(_INCOMING / "manifest.json", plan.manifest.to_json(tool, None))
    await share.rename(_INCOMING / "manifest.json", MANIFEST_PATH)


async def _upload(share: "FileShare", plan: Plan, sent: Callable[[int], None]) -> None:
    gone: dict[str, int] = {}
    places = asyncio.Semaphore(_UPLOADS_AT_A_TIME)

    async def upload(path: str) -> None:
        def progress(count: int) -> None:
            gone[path] = count
            sent(sum(gone.values()))

        file = plan.files[path]
        async with places:
            await share.upload(file.source, _incoming(path, plan), progress)

    async with asyncio.TaskGroup() as uploads:
        for path in plan.uploads:
            uploads.create_task(upload(path))


async def _keep_replaced(share: "FileShare", path: PurePosixPath, old: Entry) -> None:
    """Moves the old content aside, unless an interrupted deploy did: then what stands there now is not the old."""
    kept = _REPLACED / old.sha256
    if await share.size(kept) != old.size and await share.size(path) == old.size:
        await share.rename(path, kept)
    else:
        await share.delete(path)


def _incoming(path: str, plan: Plan) -> PurePosixPath:
    """Where new content waits: named by place and content, so that two files of the same content do not meet."""
    return _INCOMING / hashlib.sha256(f"{path}\0{plan.files[path].entry.sha256}".encode()).hexdigest()
