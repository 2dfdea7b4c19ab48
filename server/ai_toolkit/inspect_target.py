"""Looks at the provisioned target without waking it, and reads its key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ai_toolkit.cloud import open_cloud
from ai_toolkit.endpoint import Endpoint
from ai_toolkit.errors import AiToolkitError, EndpointRefused, LocalCloudFailed, ResourceMissing
from ai_toolkit.local_cloud import control
from ai_toolkit.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.own_endpoint import check_own
from ai_toolkit.plan_sync import newer_files
from ai_toolkit.workspace import Target, Workspace

_STOPPED: Final = LocalCloudFailed("The local cloud is stopped.", "Start it with aitk local-cloud start.")


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


async def endpoint_key(workspace: Workspace) -> str:
    """The endpoint's key, from the management plane. Raises ResourceMissing."""
    target = workspace.target()
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        found = await apps.key(target.app)
    if found is None:
        raise ResourceMissing("key secret (api-key) of container app", target.app, target.resource_group)
    return found


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


async def raise_if_stopped(target: Target) -> None:
    """Raises LocalCloudFailed when the target is on this computer and the local cloud does not run."""
    if target.local:
        try:
            running = (await control.status(control.home())).running
        except control.LocalCloudError as error:
            raise AiToolkitError(error.message, error.advice) from error
        if not running:
            raise _STOPPED
