"""A workspace's inference in one look: from its files, the management plane and the share."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ai_toolkit.cloud import open_cloud
from ai_toolkit.errors import AiToolkitError, LocalCloudFailed, SignInNeeded, for_people
from ai_toolkit.local_cloud import control
from ai_toolkit.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.models_on_share import models_on_share
from ai_toolkit.plan_sync import newer_files
from ai_toolkit.workspace import Target, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps


_MOST_NAMES: Final = 5


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
        return await _at_cloud(workspace, target)
    except (SignInNeeded, LocalCloudFailed) as error:
        return InferenceState(State.PROVISIONED, str(error))
    except AiToolkitError as error:
        return InferenceState(State.FAILED, str(error))
    except Exception as error:  # noqa: BLE001  (a look must not end in an error)
        return InferenceState(State.FAILED, str(for_people(error)))


async def _at_cloud(workspace: Workspace, target: Target) -> InferenceState:
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
