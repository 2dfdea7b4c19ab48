"""What a deploy put on the share: `.aitk/manifest.json`, read by the next deploy and by the app's start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from ai_toolkit.errors import ShareError

MANIFEST_PATH: Final = PurePosixPath(".aitk/manifest.json")
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
    """Where a deploy came from: when (ISO 8601), by which version of which tool, from which commit."""

    deployed: str
    tool: str
    commit: str | None

    @classmethod
    def now(cls, tool: str, commit: str | None) -> "Origin":
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), tool, commit)


@dataclass(frozen=True)
class Manifest:
    """The deployed files by their path on the share, and those of the deploy before."""

    files: Mapping[str, Entry]
    origin: Origin | None = None
    previous: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes | None) -> "Manifest":
        """The manifest as it stands on the share; empty when there is none. Raises ShareError."""
        if content is None:
            return cls({})
        try:
            document = json.loads(content)
            newer = document["version"] != _VERSION
            files = {} if newer else _entries(document["files"])
            previous = {} if newer else _entries(document.get("previous") or {})
            origin = Origin(str(document.get("deployed")), str(document.get("tool")), document.get("commit"))
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
        return cls(files, origin, previous)

    def to_json(self) -> bytes:
        """The document for the share."""
        origin = self.origin or Origin("", "", None)
        document = {
            "version": _VERSION,
            "deployed": origin.deployed,
            "tool": origin.tool,
            "commit": origin.commit,
            "files": _plain(self.files),
            "previous": _plain(self.previous),
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def _entries(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    return {
        str(path): Entry(int(entry["size"]), str(entry["sha256"]), str(entry.get("written") or ""))
        for path, entry in document.items()
    }


def _plain(files: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    document: dict[str, dict[str, Any]] = {}
    for path, entry in sorted(files.items()):
        document[path] = {"size": entry.size, "sha256": entry.sha256}
        if entry.written:
            document[path]["written"] = entry.written
    return document
