"""What a deploy did or would do, and what serves afterwards: as an app and its replica say it themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.deploy.action import Action
from ai_toolkit.errors import EndpointRefused, NetworkProblem
from ai_toolkit.workspace.workspace import ADAPTERS

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.deploy.current_app import Running
    from ai_toolkit.deploy.manifest import Manifest
    from ai_toolkit.deploy.sync_plan import Plan

_WEIGHTS: Final = "adapter_model.safetensors"


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter that a replica loaded, and the SHA-256 of its weights; empty where the app does not tell."""

    name: str
    sha256: str

    def in_words(self) -> str:
        """Its name and the first characters of its hash: enough to tell which training it is."""
        return f"{self.name} (SHA-256 {self.sha256[:12]}…)" if self.sha256 else self.name


@dataclass(frozen=True)
class Serving:
    """The revision that serves, or would; base model and adapters are None and empty while no replica tells."""

    revision: str | None = None
    base_model: str | None = None
    adapters: tuple[ServedAdapter, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "baseModel": self.base_model,
            "adapters": [asdict(one) for one in self.adapters],
        }


@dataclass(frozen=True)
class Files:
    """Paths on the share, by what a synchronisation does with them, how many stay as they are, and bytes to send."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    unchanged: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, plan: "Plan") -> "Files":
        return cls(plan.added, plan.changed, plan.removed, plan.conflicting, plan.unchanged, plan.bytes)


@dataclass(frozen=True)
class Deployed:
    """What a deploy did, or with `dry_run` would do; `uploaded` counts the files that were sent."""

    endpoint: str
    action: Action
    uploaded: int = 0
    files: Files = field(default_factory=Files)
    serving: Serving = field(default_factory=Serving)
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def bytes(self) -> int:
        """Content that was sent, or would be."""
        return self.files.bytes

    @property
    def did_nothing(self) -> bool:
        """Whether all was as it should be already."""
        return self.action is Action.NOTHING and not (self.uploaded or self.files.removed)

    def as_json(self) -> dict[str, Any]:
        """One shape, of a deploy and of its dry run."""
        lists = {name: list(getattr(self.files, name)) for name in ("added", "changed", "removed", "conflicting")}
        return {
            "dryRun": self.dry_run,
            "endpoint": self.endpoint,
            "action": self.action.value,
            "uploaded": self.uploaded,
            "bytes": self.bytes,
            **lists,
            "unchanged": self.files.unchanged,
            **self.serving.as_json(),
            "seconds": round(self.seconds, 1),
        }


def sent_adapters(manifest: "Manifest") -> Iterator[ServedAdapter]:
    """The adapters that deploys put on the share, by their paths below `models/`."""
    for path, entry in manifest.files.items():
        parts = PurePosixPath(path)
        if parts.name == _WEIGHTS and parts.parts[0] == ADAPTERS:
            yield ServedAdapter(parts.parent.relative_to(ADAPTERS).as_posix(), entry.sha256)


def adapters_of(version: Mapping[str, Any]) -> tuple[ServedAdapter, ...]:
    """The adapters that `/version` names."""
    return tuple(_adapter(one) for one in version.get("adapters") or ())


def base_model_of(version: Mapping[str, Any]) -> str | None:
    """The base model that `/version` names."""
    found = (version.get("base_model") or {}).get("id")
    return str(found) if found else None


async def what_serves(apps: "ContainerApps", running: "Running", action: Action) -> Serving:
    """What serves after the action; the app is asked only where a replica of it runs."""
    app = await apps.app(running.app.name)
    serving = tuple(one.name for one in app.serving) or ((app.current.name,) if app.current else ())
    revision = ", ".join(serving) or None
    version = running.loaded if action is Action.NOTHING else None
    if action not in {Action.NOTHING, Action.LATER}:
        from ai_toolkit.endpoint.client import Endpoint  # noqa: PLC0415  (aiohttp)

        async with Endpoint.open(running.endpoint, running.key) as endpoint:
            try:
                version = await endpoint.version()
            except (EndpointRefused, NetworkProblem):  # it was proven a moment ago; what it is called is no condition
                version = None
    return serving_of(revision, version)


def serving_of(revision: str | None, version: Mapping[str, Any] | None) -> Serving:
    """The same from a revision and what its replica answered at `/version`."""
    if not version:
        return Serving(revision)
    return Serving(revision, base_model_of(version), adapters_of(version))


def _adapter(loaded: Mapping[str, Any]) -> ServedAdapter:
    files: Mapping[str, str] = loaded.get("files") or {}
    weights = next((sha256 for name, sha256 in files.items() if name.endswith(".safetensors")), "")
    return ServedAdapter(str(loaded.get("id")), weights)
