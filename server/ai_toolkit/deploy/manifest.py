"""What a deploy put on the share: `.aitk/manifest.json`, read by the next deploy and by the app's start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from ai_toolkit.errors import ShareError

MANIFEST_PATH: Final = PurePosixPath(".aitk/manifest.json")
CANDIDATES: Final = PurePosixPath(".aitk/candidates")
"""Adapters that are only evaluated: the app loads from there too, and no deploy counts them."""
_VERSION: Final = 1


@dataclass(frozen=True)
class Entry:
    """One file: size in bytes and SHA-256 of its content.

    `written` is the share's last-write time of it, as the service spells it; empty for a file that is not there yet.
    """

    size: int
    sha256: str
    written: str = field(default="", compare=False)


@dataclass(frozen=True)
class Origin:
    """Where a deploy came from: when (ISO 8601), by which version of which tool, from which commit.

    `folder` is the workspace, said on this computer alone.
    """

    deployed: str
    tool: str
    commit: str | None
    folder: str | None = None

    @classmethod
    def now(cls, tool: str, commit: str | None, folder: str | None = None) -> "Origin":
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), tool, commit, folder)


@dataclass(frozen=True)
class Manifest:
    """The deployed files by their path on the share.

    `undo` leads back to the deploy before: what stood at a path then, or None where nothing did.
    """

    files: Mapping[str, Entry]
    origin: Origin | None = None
    undo: Mapping[str, Entry | None] = field(default_factory=dict)

    @property
    def newest_file(self) -> datetime | None:
        """When the newest file was written, by the share's own clock."""
        times = [entry.written for entry in self.files.values() if entry.written]
        return max((datetime.fromisoformat(time) for time in times), default=None)

    @property
    def newest_code(self) -> datetime | None:
        """When the newest file of `inference/` was written, by the share's own clock."""
        times = [entry.written for path, entry in self.files.items() if path.startswith("inference/") and entry.written]
        return max((datetime.fromisoformat(time) for time in times), default=None)

    @classmethod
    def parse(cls, content: bytes | None) -> "Manifest":
        """The manifest as it stands on the share; empty when there is none. Raises ShareError."""
        if content is None:
            return cls({})
        try:
            document = json.loads(content)
            newer = document["version"] != _VERSION
            files = {} if newer else _entries(document["files"])
            undo = {} if newer else {path: _entry(entry) for path, entry in (document.get("undo") or {}).items()}
            origin = Origin(
                str(document.get("deployed")),
                str(document.get("tool")),
                document.get("commit"),
                document.get("workspace"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ShareError(
                f"{MANIFEST_PATH} on the share cannot be read.",
                "Delete it there; the next deploy writes it anew.",
            ) from error
        if newer:
            raise ShareError(
                f"{MANIFEST_PATH} on the share was written by a newer version.",
                "Update AI Toolkit and deploy again.",
            )
        return cls(files, origin, undo)

    def to_json(self) -> bytes:
        """The document for the share."""
        origin = self.origin or Origin("", "", None)
        document = {
            "version": _VERSION,
            "deployed": origin.deployed,
            "tool": origin.tool,
            "commit": origin.commit,
            **({"workspace": origin.folder} if origin.folder else {}),
            "files": {path: _plain(entry) for path, entry in sorted(self.files.items())},
            "undo": {path: entry and _plain(entry) for path, entry in sorted(self.undo.items())},
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    def undo_to(self, before: "Manifest") -> "Manifest":
        """The same files, with a way back to the manifest before, if there was one."""
        if before.origin is None:
            return replace(self, undo={})
        paths = self.files.keys() | before.files.keys()
        undo = {path: before.files.get(path) for path in paths if before.files.get(path) != self.files.get(path)}
        return replace(self, undo=undo)


def _entries(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    return {str(path): _entry_of(entry) for path, entry in document.items()}


def _entry(document: Mapping[str, Any] | None) -> Entry | None:
    return None if document is None else _entry_of(document)


def _entry_of(document: Mapping[str, Any]) -> Entry:
    return Entry(int(document["size"]), str(document["sha256"]), str(document.get("written") or ""))


def _plain(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {"size": entry.size, "sha256": entry.sha256}
    return document | {"written": entry.written} if entry.written else document
