"""What a replica says that it loaded (`/version`), held against what was deployed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ai_toolkit.local_files import CODE
from ai_toolkit.manifest import Manifest
from ai_toolkit.plan_sync import Plan


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter as the replica serves it: its name, its folder on the share."""

    id: str
    path: str


def loaded_is(version: Mapping[str, Any] | None, manifest: Manifest) -> bool:
    """Whether the replica's own hashes are the deployed ones; an app without `/version` cannot be asked."""
    return version is None or not (_code_differs(version, manifest) or any(stale_adapters(version, manifest)))


def stale_adapters(version: Mapping[str, Any], manifest: Manifest) -> Iterator[LoadedAdapter]:
    """The adapters that the replica loaded with other content than what was deployed since."""
    for adapter in version.get("adapters") or ():
        files: Mapping[str, str] = adapter.get("files") or {}
        if any(_differs(manifest, f"{adapter.get('path')}/{name}", sha256) for name, sha256 in files.items()):
            yield LoadedAdapter(str(adapter.get("id")), str(adapter.get("path")))


def only_adapters_changed(version: Mapping[str, Any] | None, plan: Plan) -> bool:
    """Whether new content of adapters that the replica serves already is all that the plan brings to it."""
    if version is None or _code_differs(version, plan.manifest):
        return False
    served = tuple(f"{adapter.get('path')}/" for adapter in version.get("adapters") or ())
    touched = (*plan.uploads, *plan.removed)
    return (
        bool(served)
        and all(path.startswith(served) for path in touched)
        and any(stale_adapters(version, plan.manifest))
    )


def _code_differs(version: Mapping[str, Any], manifest: Manifest) -> bool:
    code: Mapping[str, str] = version.get("code") or {}
    return any(path.startswith(f"{CODE}/") and _differs(manifest, path, sha256) for path, sha256 in code.items())


def _differs(manifest: Manifest, path: str, sha256: str) -> bool:
    entry = manifest.files.get(path)
    return entry is not None and entry.sha256 != sha256
