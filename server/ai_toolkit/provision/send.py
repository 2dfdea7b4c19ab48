"""Sends a plan as a template deployment and follows it; a cancellation ends in a named state."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Final, TypeAlias
from urllib.parse import quote

from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.endpoint.revisions import room_for_deployment
from ai_toolkit.errors import DeploymentFailed, Interrupted
from ai_toolkit.provision.hidden import hide, secrets_in
from ai_toolkit.provision.mount_key import put_missing_definition
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.preview import Preview
from ai_toolkit.provision.progress import ResourceProgress
from ai_toolkit.provision.request import Site
from ai_toolkit.ui import CLOSING, Tone, Ui
from ai_toolkit.workspace.template import Template

NOTHING_SENT: Final = "Cancelled: nothing had been sent."
Finished: TypeAlias = Callable[[Deployment], object]
"""Called with a deployment that had already succeeded when it was cancelled."""


_WORKSPACE_TAG: Final = "aitk-workspace"
"""Which folder a group of this computer is for, as `aitk local-cloud status` shows it."""
_LONGEST_TAG: Final = 256


@dataclass(frozen=True)
class Outgoing:
    """The template as it is sent, and its parameters' values but for the endpoint's key."""

    template: Template
    values: Mapping[str, object]


async def send(  # noqa: PLR0913, PLR0917  (what is sent, where to, who is told)
    site: Site, outgoing: Outgoing, plan: Plan, preview: Preview, ui: Ui, finished: Finished
) -> Deployment:
    """The finished deployment. Cancelled, the deployment is cancelled too, and Interrupted says how that ended.

    Raises DeploymentFailed, CloudUnreachable.
    """
    place = site.place
    key = plan.existing.key or token_urlsafe(32)
    template = outgoing.template
    values = {**outgoing.values, **({"apiKey": key} if "apiKey" in template.parameters else {})}
    try:
        if place.new:
            tags = {str(name): str(value) for name, value in (plan.settings.value("tags") or {}).items()}
            if place.workspace and len(place.workspace) <= _LONGEST_TAG:
                tags[_WORKSPACE_TAG] = place.workspace
            await site.manager.create_resource_group(place.resource_group, place.location, tags)
        await _add_missing_profile(site, plan, ui)
        tone = Tone.DETAIL if site.local else Tone.PLAIN
        ui.announce(f"Deployment {plan.name} in resource group {place.resource_group}", tone)
        _show_link(site, plan.name, ui)
        progress = ResourceProgress(ui, (one.id for one in (*preview.create, *preview.modify)), tone=tone)
        async with _room(site, plan, preview, ui):
            made = _created(site, plan, preview)
            return await _send_and_follow(site, template, plan, values, progress, finished, made, ui)
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args or not place.new:
            raise
        raise Interrupted(f"{NOTHING_SENT} The resource group {place.resource_group} may be there, empty.") from reason


async def follow_to_its_end(site: Site, name: str, ui: Ui) -> None:
    """Waits for a deployment of ours that an earlier run left behind; how it ended is seen at the next look."""
    ui.announce(f"The deployment {name} of an earlier run is still running: it is followed, not started again.")
    _show_link(site, name, ui)
    progress = ResourceProgress(ui, ())
    try:
        await site.deployments.follow(name, progress.observe)
    except DeploymentFailed as error:
        ui.announce(f"It ended: {error.message}")
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(await asyncio.shield(_cancel(site, name))) from reason


async def _add_missing_profile(site: Site, plan: Plan, ui: Ui) -> None:
    """Adds the workload profile that an existing environment lacks."""
    environment, profile, place = plan.existing.environment, plan.profile, site.place
    if profile is None or not profile.missing or environment is None:
        return
    ui.report(f"adding the workload profile {profile.name} to {environment.name}, usually about a minute", 5)
    async with site.cloud.container_apps(place.subscription, place.resource_group) as apps:
        await apps.add_workload_profile(environment, profile.name, profile.type)


@asynccontextmanager
async def _room(site: Site, plan: Plan, preview: Preview, ui: Ui) -> AsyncIterator[None]:
    """The running replica's GPU is free while the app may get a new revision."""
    name = plan.settings.names["acaAppName"]
    if plan.profile is None or not plan.existing.app or not preview.may_change(f"containerApps/{name}"):
        yield
        return
    async with (
        site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps,
        room_for_deployment(apps, await apps.app(name), ui),
    ):
        yield


async def _send_and_follow(  # noqa: PLR0913, PLR0917  (what is sent, where to, who is told)
    site: Site,
    template: Template,
    plan: Plan,
    values: Mapping[str, object],
    progress: ResourceProgress,
    finished: Finished,
    created: frozenset[str],
    ui: Ui,
) -> Deployment:
    try:
        await put_missing_definition(site, plan, ui)  # which the deployment's tags then name as made by us
        await site.deployments.send(plan.name, template.content, values, created)
        return await site.deployments.follow(plan.name, progress.observe, plan.earlier)
    except DeploymentFailed as error:  # whose words may repeat what was given
        secrets = secrets_in(values, template.secure)
        raise DeploymentFailed(plan.name, error.reason_code, hide(error.reason, secrets)) from None
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(await asyncio.shield(_cancel(site, plan.name, plan.earlier, finished))) from reason


def _created(site: Site, plan: Plan, preview: Preview) -> frozenset[str]:
    """What is not there yet, and what an earlier deployment of the same name found missing."""
    before = (plan.earlier.creates if plan.earlier is not None else None) or frozenset()
    prefix = f"{site.group_id}/providers/".lower()
    foreseen = {one.id.lower().removeprefix(prefix) for one in preview.create if not one.id.endswith("…")}
    return before | foreseen | plan.missing()


async def _cancel(
    site: Site, name: str, earlier: Deployment | None = None, finished: Finished = lambda _deployment: None
) -> str:
    """Asks Azure to cancel the deployment; returns in a sentence what state that left."""
    group = site.place.resource_group
    ended = await site.deployments.cancel(name, earlier)
    if ended is None:
        return f"{NOTHING_SENT} The resource group {group} is there, empty." if site.place.new else NOTHING_SENT
    if ended.succeeded:
        finished(ended)
        return f"The deployment {name} had already finished: everything is provisioned."
    if ended.active:
        return f"Azure was asked to cancel the deployment {name}, and has not ended it yet; the next run follows it."
    if ended.state.lower() != "canceled":
        return f"The deployment {name} had already finished: {ended.state.lower()}."
    resources = await site.manager.resources(group)
    there = ", ".join(f"{one.type.rpartition('/')[2]} {one.name}" for one in resources) or "nothing"
    return f"Cancelled. In {group} there is now: {there}."


def _show_link(site: Site, name: str, ui: Ui) -> None:
    if site.cloud.portal is not None:
        deployment_id = f"{site.group_id}/providers/Microsoft.Resources/deployments/{name}"
        blade = "#view/HubsExtension/DeploymentDetailsBlade/~/overview/id/"
        ui.announce(f"{site.cloud.portal}/{blade}{quote(deployment_id, safe='')}")
