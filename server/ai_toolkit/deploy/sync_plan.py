"""What a deploy will send, move aside and remove: the difference between the workspace, the manifest and the share."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ai_toolkit.deploy.local_files import LocalFile, local_files
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Entry, Manifest
from ai_toolkit.workspace.workspace import CODE, MODELS

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare, RemoteFile

WHOLE_BYTES: Final = 64 * 1024 * 1024
"""A file of the share above this is recognised by its size and its first mebibyte: reading gigabytes back costs more
than sending them, and a safetensors header, which lists every tensor, stands at the beginning."""
_HEAD_BYTES: Final = 1024 * 1024
_LISTINGS_AT_A_TIME: Final = 8


@dataclass(frozen=True)
class Plan:
    """What a synchronisation will do.

    `added`, `changed`, `removed` and `conflicting` are paths on the share. `replaced` says what stands now where
    something is sent or removed, which is kept; `theirs` says it of the conflicting ones. `left` are files of an
    earlier deploy that somebody changed on the share since, and that are not here any more: they are not ours now.
    `manifest` is what the share holds afterwards.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    conflicting: tuple[str, ...]
    left: tuple[str, ...]
    unchanged: int
    replaced: Mapping[str, Entry]
    theirs: Mapping[str, Entry]
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
        """Whether the share holds what it should already."""
        return not (self.uploads or self.removed) and self.manifest.files == self.before.files

    @property
    def up_to_date(self) -> bool:
        """Whether the manifest needs no word changed either: the share's own times tell the next run what is whole."""
        then, now = self.before.files, self.manifest.files
        return self.empty and all(then[path].written == entry.written for path, entry in now.items())

    @property
    def removes_most(self) -> bool:
        """Whether more than half of what an earlier deploy put there goes away."""
        return len(self.removed) * 2 > len(self.before.files)

    def replacing_conflicts(self) -> "Plan":
        """The plan that replaces the conflicting files too; what they hold now is kept where it could be read."""
        after = {**self.manifest.files, **{path: self.files[path].entry for path in self.conflicting}}
        return replace(
            self,
            changed=self.changed + self.conflicting,
            conflicting=(),
            replaced={**self.replaced, **self.theirs},
            manifest=Manifest(after, self.manifest.origin).undo_to(self.before),
        )


async def plan_sync(share: "FileShare", files: Mapping[str, LocalFile]) -> Plan:
    """The plan for the files, after one listing of each directory that they, or the manifest, name."""
    before = Manifest.parse(await share.read(MANIFEST_PATH))
    there = await _list(share, {*files, *before.files})
    added: list[str] = []
    changed: list[str] = []
    conflicting: list[str] = []
    replaced: dict[str, Entry] = {}
    theirs: dict[str, Entry] = {}
    after: dict[str, Entry] = {}
    unchanged = 0
    for path, file in files.items():
        found, known = there.get(path), before.files.get(path)
        if found is None:
            added.append(path)
            after[path] = file.entry
            continue
        content = await _content(share, path, found, known, file)
        if content == file.entry:
            unchanged += 1
            if known is not None or not path.startswith(MODELS):  # what fine-tuning left is not ours
                after[path] = replace(file.entry, written=found.written)
        elif path.startswith(f"{CODE}/") or content == known:
            changed.append(path)
            replaced[path] = content
            after[path] = file.entry
        else:
            conflicting.append(path)
            theirs[path] = content
    removed, left, kept = _gone_here(before, files, there)
    after.update(kept)
    replaced.update({path: before.files[path] for path in removed})
    manifest = Manifest(after, before.origin, before.undo)
    if after != before.files:
        manifest = manifest.undo_to(before)
    return Plan(
        tuple(added), tuple(changed), tuple(removed), tuple(conflicting), tuple(left), unchanged, replaced, theirs,
        files, before, manifest,
    )  # fmt: skip


def _gone_here(
    before: Manifest, files: Mapping[str, LocalFile], there: "Mapping[str, RemoteFile]"
) -> tuple[list[str], list[str], dict[str, Entry]]:
    """Earlier deploys' files that are gone here: to remove, to leave because somebody changed them, to keep.

    A model that was trained anew on the share is neither: from then on it is not ours.
    """
    removed, left = [], []
    kept: dict[str, Entry] = {}
    for path, known in before.files.items():
        found = there.get(path)
        if path in files or found is None:
            continue
        if path.startswith(MODELS):
            kept.update({path: known} if _is(found, known) else {})
        elif _is(found, known):
            removed.append(path)
        else:
            left.append(path)
    return removed, left, kept


async def _list(share: "FileShare", paths: Iterable[str]) -> "dict[str, RemoteFile]":
    """The files of the share in the directories of the paths, by path."""
    directories = sorted({PurePosixPath(path).parent for path in paths})
    places = asyncio.Semaphore(_LISTINGS_AT_A_TIME)
    there: dict[str, RemoteFile] = {}

    async def look(directory: PurePosixPath) -> None:
        async with places:
            for name, found in (await share.list_directory(directory)).items():
                if found is not None:
                    there[str(directory / name)] = found

    async with asyncio.TaskGroup() as looks:
        for directory in directories:
            looks.create_task(look(directory))
    return there


def _is(found: "RemoteFile", known: Entry | None) -> bool:
    """Whether the file on the share is still the one that the manifest describes, as far as a listing tells."""
    return known is not None and (found.size, found.written) == (known.size, known.written)


async def _content(share: "FileShare", path: str, found: "RemoteFile", known: Entry | None, file: LocalFile) -> Entry:
    """What the file on the share holds; read where neither the manifest nor the size tells.

    That is the case after an interrupted deploy, for what fine-tuning left there, and for what somebody edited there.
    """
    if known is not None and _is(found, known):
        return known
    place = PurePosixPath(path)
    if found.size <= WHOLE_BYTES:
        return Entry(found.size, await share.sha256(place), found.written)
    if found.size != file.entry.size:
        return Entry(found.size, "", found.written)
    head = await share.sha256(place, _HEAD_BYTES)
    same = head == await asyncio.to_thread(_head_sha256, file)
    return replace(file.entry, written=found.written) if same else Entry(found.size, "", found.written)


def _head_sha256(file: LocalFile) -> str:
    with file.source.open("rb") as stream:
        return hashlib.sha256(stream.read(_HEAD_BYTES)).hexdigest()


def newer_files(folder: Path, deployed: Manifest) -> list[str]:
    """Files whose content is not what was deployed, and code that only one side has. Raises ValueImpossible."""
    here = local_files(folder)
    newer = [path for path, file in here.items() if path in deployed.files and deployed.files[path] != file.entry]
    code = [path for path in {*here} ^ {*deployed.files} if path.startswith(f"{CODE}/")]
    return sorted(newer + code)


def in_words(plan: Plan) -> str:
    """The plan in one line."""
    if plan.empty and not plan.conflicting:
        return f"Nothing changed in {plan.unchanged} files."
    parts = [
        f"{len(plan.added)} added",
        f"{len(plan.changed)} changed",
        f"{len(plan.removed)} removed",
        *([f"{len(plan.conflicting)} in conflict"] if plan.conflicting else []),
        f"{plan.unchanged} unchanged",
    ]
    left = "".join(f"\nNo longer managed by Deploy, because it was changed on the share: {path}" for path in plan.left)
    return f"{', '.join(parts)}; {plan.bytes / 1e6:.1f} MB to send.{left}"
