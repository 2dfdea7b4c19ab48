"""Looks at the provisioned target without waking it, asks it a question, reads its key."""

from dataclasses import dataclass
from typing import Final

from ai_toolkit.cloud import open_cloud
from ai_toolkit.endpoint import Endpoint
from ai_toolkit.errors import AiToolkitError, LocalCloudFailed, ResourceMissing
from ai_toolkit.local_cloud import control
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

    def in_words(self) -> str:
        if not self.provisioned:
            return "Nothing is provisioned yet: run aitk provision."
        where = "on this computer" if self.local else "on Azure"
        return f"{self.endpoint} {where}: {'ready' if self.ready else self.detail}"


async def look(workspace: Workspace) -> Found:
    """What is provisioned and whether it is ready. Raises for files that cannot be read."""
    target = workspace.target_or_none()
    if target is None:
        return Found(provisioned=False, local=False, endpoint=None, ready=False, detail="not provisioned")
    try:
        await _raise_if_stopped(target)
        ready, detail = await _running(target)
    except (LocalCloudFailed, ResourceMissing) as error:
        ready, detail = False, str(error)
    return Found(provisioned=True, local=target.local, endpoint=target.endpoint, ready=ready, detail=detail)


async def ask(workspace: Workspace, message: str, model: str | None) -> str:
    """The model's answer. Raises EndpointRefused, or LocalCloudFailed when the local cloud is stopped."""
    target = workspace.target()
    await _raise_if_stopped(target)
    async with Endpoint.open(target.endpoint, await endpoint_key(workspace)) as endpoint:
        return await endpoint.chat(message, model)


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


async def _running(target: Target) -> tuple[bool, str]:
    """Whether a replica is ready, and what else there is to say; the app is asked only while a replica runs."""
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        app = await apps.app(target.app)
        if not await apps.replicas(app.name, app.active_revision):
            return False, "asleep; the next request starts a replica"
    async with Endpoint.open(target.endpoint, None) as endpoint:
        readiness = await endpoint.readiness()
    return readiness.ready, readiness.reason or readiness.detail or readiness.stage


async def _raise_if_stopped(target: Target) -> None:
    if target.local:
        try:
            running = (await control.status(control.home())).running
        except control.LocalCloudError as error:
            raise AiToolkitError(error.message, error.advice) from error
        if not running:
            raise _STOPPED
