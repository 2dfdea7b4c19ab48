"""Carries a plan out so that a replica that starts in the middle gets the old deploy or the new, never a mixture.

Azure Files has no transactions, its writes take no conditions, and one rename is the largest step that is atomic. Four
things make that enough:

1. New content is sent beside, to `.aitk/incoming/`, under a name made of its place and its hash. Nothing reads there.
2. Then, file by file, the old content moves to `.aitk/replaced/<sha256>` and the new moves in.
3. The manifest comes last, by one rename. A replica's start copies what the manifest names, by hash: before that rename
   this is the old deploy, and a file of it that has moved already is under `.aitk/replaced/`; after it, the new deploy,
   of which every file is in place.
4. Each step leaves the share in a state from which the next run's plan, which looks at what is there, leads on. So it
   does not matter where a run is killed: the listing tells, and what was sent is not sent again.

Content that is replaced or removed stays in `.aitk/replaced/`, which is how the deploy before can be brought back.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ai_toolkit.deploy.manifest import MANIFEST_PATH, Entry, Manifest, Origin
from ai_toolkit.deploy.sync_plan import Plan
from ai_toolkit.errors import FileChanged, PreviousMissing

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_FILES_AT_A_TIME: Final = 8
_MOVES_AT_A_TIME: Final = 32
_SMALL_BYTES: Final = 4 * 1024 * 1024
INCOMING: Final = PurePosixPath(".aitk/incoming")
REPLACED: Final = PurePosixPath(".aitk/replaced")
_TIDY_ABOVE: Final = 8
"""A deploy of more files than this also looks for what interrupted ones left in `.aitk/incoming/`."""


async def synchronise(share: "FileShare", plan: Plan, origin: Origin, sent: Callable[[int, int], None]) -> Manifest:
    """The new manifest, which is on the share when this returns; `sent` hears of bytes, and of files that are whole.

    Raises FileChanged when a file here changes meanwhile; nothing is in place then.
    """
    written = await _send(share, plan, sent)
    if plan.before.origin is None:
        await share.make_directory(REPLACED)  # once, so that no later deploy has to find out that it lacks
    await _each(plan.replaced, lambda path: _move_aside(share, path, plan.replaced[path]), _MOVES_AT_A_TIME)
    await _each(
        plan.uploads,
        lambda path: share.rename(_incoming(path, plan), PurePosixPath(path), written[path]),
        _MOVES_AT_A_TIME,
    )
    files = {path: replace(e, written=written.get(path, e.written)) for path, e in plan.manifest.files.items()}
    manifest = Manifest(files, origin, plan.manifest.undo)
    await _write_manifest(share, manifest)
    if len(plan.uploads) > _TIDY_ABOVE:
        for name in await share.list_directory(INCOMING):
            await share.delete(INCOMING / name)
    return manifest


async def bring_back_previous(
    share: "FileShare", now: Manifest, origin: Origin, *, models_too: bool = False
) -> Manifest:
    """Undoes the last deploy of `inference/`, whose content is under `.aitk/replaced/`. Raises PreviousMissing.

    With `models_too` all that it sent, models and what `.aitkinclude` lists as well.
    """
    undo = {path: entry for path, entry in now.undo.items() if models_too or path.startswith("inference/")}
    kept = await share.list_directory(REPLACED)
    if not undo or any(entry is not None and entry.sha256 not in kept for entry in undo.values()):
        raise PreviousMissing
    aside = [path for path in undo if path in now.files]
    await _each(aside, lambda path: _move_aside(share, path, now.files[path]), _MOVES_AT_A_TIME)
    files = {path: entry for path, entry in now.files.items() if path not in undo}
    for path, entry in undo.items():  # two places may want the same content, so each takes a copy, not the only one
        if entry is not None:
            content = await share.read(REPLACED / entry.sha256) or b""
            files[path] = replace(entry, written=await share.write(PurePosixPath(path), content))
    manifest = Manifest(files, origin).undo_to(now)
    await _write_manifest(share, manifest)
    return manifest


async def _send(share: "FileShare", plan: Plan, sent: Callable[[int, int], None]) -> dict[str, str]:
    """Sends the new content beside; returns each path's last-write time."""
    written: dict[str, str] = {}

    async def send(path: str) -> None:
        file, place = plan.files[path], _incoming(path, plan)
        if file.entry.size <= _SMALL_BYTES:
            content = await asyncio.to_thread(_read, file.source)
            if hashlib.sha256(content).hexdigest() != file.entry.sha256:
                raise FileChanged(file.source)
            written[path] = await share.write(place, content)
            sent(len(content), 1)
        else:
            written[path] = await share.upload(file.source, place, file.entry.size, lambda count: sent(count, 0))
            if not file.unchanged:
                await share.delete(place)
                raise FileChanged(file.source)
            sent(0, 1)

    await _each(plan.uploads, send, _FILES_AT_A_TIME)
    return written


async def _move_aside(share: "FileShare", path: str, old: Entry) -> None:
    if old.sha256:
        await share.rename(PurePosixPath(path), REPLACED / old.sha256)
    else:
        await share.delete(PurePosixPath(path))


async def _write_manifest(share: "FileShare", manifest: Manifest) -> None:
    beside = INCOMING / "manifest.json"
    await share.rename(beside, MANIFEST_PATH, await share.write(beside, manifest.to_json()))


async def _each(paths: Iterable[str], work: Callable[[str], Awaitable[object]], at_a_time: int) -> None:
    """The work for every path, so many at a time; the first failure ends the others."""
    places = asyncio.Semaphore(at_a_time)

    async def one(path: str) -> None:
        async with places:
            await work(path)

    async with asyncio.TaskGroup() as tasks:
        for path in paths:
            tasks.create_task(one(path))


def _incoming(path: str, plan: Plan) -> PurePosixPath:
    return waiting_place(path, plan.files[path].entry.sha256)


def waiting_place(path: str, sha256: str) -> PurePosixPath:
    """Where new content waits: named by place and content, so that two files of the same content do not meet.

    A large file that lies there whole is not sent again.
    """
    return INCOMING / hashlib.sha256(f"{path}\0{sha256}".encode()).hexdigest()


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise FileChanged(source) from error
