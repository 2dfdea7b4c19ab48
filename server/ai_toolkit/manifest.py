"""What a deploy put on the share: `.aitk/manifest.json`, read by the next deploy and by the app's start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from ai_toolkit.errors import ShareError

MANIFEST_PATH: Final = PurePosixPath(".aitk/manifest.json")
_VERSION: Final = 1


@dataclass(frozen=True)
class Entry:
    """One file: size in bytes and SHA-256 of its content."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The deployed files by their path on the share."""

    files: Mapping[str, Entry]

    @classmethod
    def parse(cls, content: bytes | None) -> "Manifest":
        """The manifest as it stands on the share; empty when there is none. Raises ShareError."""
        if content is None:
            return cls({})
        try:
            document = json.loads(content)
            newer = document["version"] != _VERSION
            entries = {} if newer else document["files"]
            files = {str(path): Entry(int(entry["size"]), str(entry["sha256"])) for path, entry in entries.items()}
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
        return cls(files)

    def to_json(self, tool: str, commit: str | None) -> bytes:
        """The document for the share; `tool` and `commit` say what deployed it, and from where."""
        document = {
            "version": _VERSION,
            "deployed": datetime.now(UTC).isoformat(timespec="seconds"),
            "tool": tool,
            "commit": commit,
            "files": {path: {"size": e.size, "sha256": e.sha256} for path, e in sorted(self.files.items())},
        }
        return json.dumps(document, indent=1).encode() + b"\n"
