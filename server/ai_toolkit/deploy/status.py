"""Looks at the provisioned target without waking it, and reads its key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.azure.connect import open_cloud, raise_if_stopped
from ai_toolkit.azure.explain import for_people
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.deploy.sync_plan import newer_files
from ai_toolkit.endpoint.address import check_own
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import AiToolkitError, EndpointRefused, LocalCloudFailed, ResourceMissing, SignInNeeded
from ai_toolkit.local_cloud import control
from ai_toolkit.workspace.workspace import Target, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.azure.file_share import FileShare


@dataclass(frozen=True)
class Found:
    """What there is; `ready` is False also while the model sleeps, because nothing is woken in order to look."""

    provisioned: bool
    local: bool
    endpoint: str | None
    ready: bool
    detail: str
    revision: str | None = None
    replicas: tuple[str, ...] = ()
    deployed: str | None = None
    commit: str | None = None
    base_model: str | None = None
    adapters: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The four facts that are always known, and `live`, what is deployed and runs, where that could be read."""
        facts = {"provisioned": self.provisioned, "local": self.local, "endpoint": self.endpoint, "ready": self.ready}
        if self.revision is None:
            return facts
        live = {
            "detail": self.detail,
            "revision": self.revision,
            "replicas": list(self.replicas),
            "deployed": self.deployed,
            "commit": self.commit,
            "baseModel": self.base_model,
            "adapters": list(self.adapters),
            "newer": list(self.newer),
        }
        return {**facts, "live": live}

    def in_words(self) -> str:
        if not self.provisioned:
            return "Nothing is provisioned yet: run aitk provision."
        where = "on this computer" if self.local else "on Azure"
        commit = f" from commit {self.commit}" if self.commit else ""
        lines = (
            f"{self.endpoint} {where}: {'ready' if self.ready else self.detail}",
            f"deployed: {self.deployed}{commit}" if self.deployed else "",
            f"revision: {self.revision}, replicas: {', '.join(self.replicas) or 'none'}" if self.revision else "",
            f"base model: {self.base_model}" if self.base_model else "",
            *(f"adapter: {adapter}" for adapter in self.adapters),
            *(f"newer here: {path}" for path in self.newer),
        )
        return "\n".join(line for line in lines if line)


async def look(workspace: Workspace) -> Found:
    """What is provisioned and whether it is ready. Raises for files that cannot be read."""
    target = workspace.target_or_none()
    if target is None:
        return Found(provisioned=False, local=False, endpoint=None, ready=False, detail="not provisioned")
    try:
        await raise_if_stopped(target)
        return await _at_cloud(workspace, target)
    except (LocalCloudFailed, ResourceMissing) as error:
        return Found(provisioned=True, local=target.local, endpoint=target.endpoint, ready=False, detail=str(error))


async def _at_cloud(workspace: Workspace, target: Target) -> Found:
    """What the management plane and the share tell; the app is asked only while a replica runs."""
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
        cloud.file_share(target) as share,
    ):
        app = await apps.app(target.app)
        check_own(workspace, target, f"{cloud.endpoint_scheme}://{app.host}")
        replicas = tuple(replica.name for replica in await apps.replicas(app.name, app.active_revision))
        key = await apps.key(app.name) if replicas else None
        manifest = Manifest.parse(await share.read(MANIFEST_PATH))
    origin = manifest.origin
    found = Found(
        provisioned=True,
        local=target.local,
        endpoint=target.endpoint,
        ready=False,
        detail="asleep, no GPU is billed; the next request starts a replica",
        revision=app.active_revision,
        replicas=replicas,
        deployed=origin.deployed if origin else None,
        commit=origin.commit if origin else None,
        newer=tuple(await asyncio.to_thread(newer_files, workspace.folder, manifest)) if origin else (),
    )
    return await _with_what_is_loaded(found, target, key) if replicas else found


async def _with_what_is_loaded(found: Found, target: Target, key: str | None) -> Found:
    async with Endpoint.open(target.endpoint, key) as endpoint:
        try:
            readiness = await endpoint.readiness()
            version = await endpoint.version() if readiness.ready and not readiness.foreign else None
        except EndpointRefused as error:
            return replace(found, ready=False, detail=error.message)
    detail = readiness.reason or readiness.detail or readiness.stage
    if version is None:
        return replace(found, ready=readiness.ready, detail=detail)
    base = (version.get("base_model") or {}).get("id")
    adapters = tuple(_adapter_in_words(adapter) for adapter in version.get("adapters") or ())
    return replace(found, ready=True, detail=detail, base_model=base, adapters=adapters)


def _adapter_in_words(adapter: Mapping[str, Any]) -> str:
    """Its name and the first characters of the hash of its weights: enough to tell which training it is."""
    files: Mapping[str, str] = adapter.get("files") or {}
    weights = next((sha256 for name, sha256 in files.items() if name.endswith(".safetensors")), "")
    return f"{adapter.get('id')} (SHA-256 {weights[:12]}…)"


_MOST_NAMES: Final = 5
_MARKS: Final = {"models": "adapter_config.json", "model-cache": "config.json"}
"""The folders, and the file that makes an adapter or a base model of a folder below."""
_DEEPEST: Final = 8
"""Folders below those two that are looked into: a share can be large, and each folder is a request."""


class State(StrEnum):
    """In the order of the road."""

    NOT_PROVISIONED = "not provisioned"
    PROVISIONED = "provisioned"
    DEPLOYING = "deploying"
    LIVE = "live"
    NEWER_FILES = "newer files here"
    FAILED = "failed"


@dataclass(frozen=True)
class InferenceState:
    """`on_share` are paths on the share: what deploys put there and its models; None when the share was not seen."""

    state: State
    detail: str
    on_share: frozenset[str] | None = None


async def look_from_outside(  # noqa: PLR0911  (one return per state)
    workspace: Workspace, *, at_cloud: bool = True
) -> InferenceState:
    """The state; neither the app nor the local cloud is woken. Without `at_cloud` only the files are read."""
    try:
        target = workspace.target_or_none()
        if target is None:
            return InferenceState(State.NOT_PROVISIONED, "Nothing is provisioned yet.")
        if not at_cloud:
            return InferenceState(State.PROVISIONED, f"Provisioned: {target.endpoint}")
        if target.local and not (await control.status(control.home())).running:
            return InferenceState(State.PROVISIONED, f"{target.endpoint}: the local cloud is stopped.")
        return await _state_at_cloud(workspace, target)
    except (SignInNeeded, LocalCloudFailed) as error:
        return InferenceState(State.PROVISIONED, str(error))
    except AiToolkitError as error:
        return InferenceState(State.FAILED, str(error))
    except Exception as error:  # noqa: BLE001  (a look must not end in an error)
        return InferenceState(State.FAILED, str(for_people(error)))


async def _state_at_cloud(workspace: Workspace, target: Target) -> InferenceState:
    async with open_cloud(target.subscription) as cloud:
        async with cloud.file_share(target) as share:
            deployed = Manifest.parse(await share.read(MANIFEST_PATH))
            paths = frozenset(deployed.files) | await models_on_share(share)
        async with cloud.container_apps(target.subscription, target.resource_group) as apps:
            running, failure = await _replica(apps, target)
    if not deployed.files:
        return InferenceState(State.PROVISIONED, f"{target.endpoint}: nothing is deployed yet.", paths)
    if failure:
        return InferenceState(State.FAILED, failure, paths)
    newer = await asyncio.to_thread(newer_files, workspace.folder, deployed)
    if newer:
        more = " …" if len(newer) > _MOST_NAMES else ""
        return InferenceState(State.NEWER_FILES, f"Not deployed yet: {', '.join(newer[:_MOST_NAMES])}{more}", paths)
    doing = "a replica runs" if running else "asleep, no GPU is billed; the next request wakes it"
    return InferenceState(State.LIVE, f"{target.endpoint}: {doing}.", paths)


async def _replica(apps: "ContainerApps", target: Target) -> tuple[bool, str]:
    """Whether a replica runs, and why none can."""
    app = await apps.app(target.app)
    replicas = await apps.replicas(app.name, app.active_revision)
    state, reason = await apps.revision(app.name, app.active_revision)
    if state in {"Failed", "Degraded"}:
        return False, reason or next((one.reason for one in replicas if one.reason), f"The revision is {state}.")
    return bool(replicas), ""


async def models_on_share(share: "FileShare") -> frozenset[str]:
    """The paths of the files that mark an adapter or a base model."""
    found = await asyncio.gather(*(_below(share, PurePosixPath(folder), _MARKS[folder]) for folder in _MARKS))
    return frozenset().union(*found)


async def _below(share: "FileShare", folder: PurePosixPath, mark: str) -> frozenset[str]:
    entries = await share.list_directory(folder)
    if mark in entries:
        return frozenset({str(folder / mark)})
    if len(folder.parts) > _DEEPEST:
        return frozenset()
    folders = [folder / name for name, file in entries.items() if file is None]
    found = await asyncio.gather(*(_below(share, one, mark) for one in folders))
    return frozenset().union(*found)
