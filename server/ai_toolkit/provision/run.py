"""Use-case: AI Toolkit: Provision Azure Container Apps for inference."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ai_toolkit.azure.connect import Cloud
from ai_toolkit.endpoint.revisions import room_for_deployment
from ai_toolkit.errors import DeploymentFailed, Interrupted
from ai_toolkit.provision.allow_my_ip import only_my_address
from ai_toolkit.provision.checks import raise_failures
from ai_toolkit.provision.microsoft_template import offer_ours
from ai_toolkit.provision.outlook import Outlook, check_and_preview
from ai_toolkit.provision.plan import Plan, finished_before, make_plan
from ai_toolkit.provision.preview import ONLY_ME, Preview, agree, what_is_billed
from ai_toolkit.provision.progress import ResourceProgress
from ai_toolkit.provision.request import Site, Wanted
from ai_toolkit.provision.survey import Found, look
from ai_toolkit.ui import CLOSING, Ui, confirm
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.fine_tuning import FineTuning, fine_tuning_of
from ai_toolkit.workspace.template import Template, check_outputs, workspace_template
from ai_toolkit.workspace.workspace import Target, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.deployments import Deployment
    from ai_toolkit.provision.choose_target import Answers

_NOTHING_SENT: Final = "Cancelled: nothing had been sent."


@dataclass(frozen=True)
class Provisioned:
    """What Provision did: resource ids that are new, and resource ids that were changed."""

    endpoint: str
    created: tuple[str, ...]
    updated: tuple[str, ...]


async def provision(workspace: Workspace, ui: Ui, answers: "Answers") -> Provisioned:
    """Creates what is missing of the Azure resources, uses what exists, and writes `inference.config.json`.

    Cancelled, it raises Interrupted with what there is now.
    """
    with _nothing_sent():
        done = await _provision(workspace, ui, answers, what_if=False)
    assert isinstance(done, Provisioned)
    return done


async def what_if(workspace: Workspace, ui: Ui, answers: "Answers") -> Preview:
    """What `provision` would do; changes nothing, here or in the cloud."""
    with _nothing_sent():
        done = await _provision(workspace, ui, answers, what_if=True)
    assert isinstance(done, Preview)
    return done


async def _provision(workspace: Workspace, ui: Ui, answers: "Answers", *, what_if: bool) -> Provisioned | Preview:
    from ai_toolkit.azure.subscription_state import SubscriptionState  # noqa: PLC0415  (loads the Azure SDK)
    from ai_toolkit.provision.choose_target import choose_target  # noqa: PLC0415

    await offer_ours(workspace, ui, ask=not what_if)
    wanted = await _read(workspace, ui)

    async with AsyncExitStack() as stack:
        chosen = await stack.enter_async_context(choose_target(ui, answers, workspace))
        cloud, manager, place = chosen.cloud, chosen.manager, chosen.place
        state = await stack.enter_async_context(SubscriptionState.open(cloud.connection, place.subscription))
        site = Site(cloud, manager, place, manager.deployments_of(place.resource_group), state)
        await _say_where(site, wanted.fine_tuning, ui, ask=not what_if)

        ui.report("looking at what exists", 2)
        found = await look(site, wanted)
        if not what_if and (found.active is not None or found.unregistered):
            found = await _make_way(site, wanted, found, ui)
        while True:
            plan = await make_plan(site, wanted, found)
            _tell(ui, plan.settings.in_words(wanted.template))
            past = await finished_before(site, wanted.template, plan, found)
            if past is not None and not what_if:
                return _nothing_changed(workspace, ui, cloud, past)

            ui.report("checking before anything is sent", 4)
            outlook = await check_and_preview(site, workspace, wanted.template, plan, found)
            _tell(ui, ["Checks:", *(check.in_words() for check in outlook.checks)])
            if what_if:
                _show(ui, outlook.preview, plan, details=True)
                return outlook.preview
            raise_failures(outlook.checks)
            if await _agreed(ui, site, wanted, plan, outlook.preview):
                break
            wanted = replace(wanted, given=await only_my_address(workspace, ui))

        done = await _deploy(site, workspace, wanted.template, plan, outlook, ui)
        target = _write_target(workspace, cloud, done)
    ui.announce(f"Provisioned. Inference endpoint: {target.endpoint}")
    preview = outlook.preview
    return Provisioned(
        target.endpoint, tuple(one.id for one in preview.create), tuple(one.id for one in preview.modify)
    )


async def _read(workspace: Workspace, ui: Ui) -> Wanted:
    """What the workspace's files want. Raises WorkspaceError for the first that cannot be right."""
    template = await workspace_template(workspace)
    given = workspace.parameters()
    parameter_rules.check(given, template.parameters)
    parameter_rules.check_complete(given, template.parameters)
    check_outputs(workspace, template)
    workspace.target_or_none()  # a file that cannot be read is said now, not after the resources are made
    _tell(ui, given.warnings)
    return Wanted(template, given, fine_tuning_of(workspace))


async def _say_where(site: Site, fine_tuning: FineTuning, ui: Ui, *, ask: bool) -> None:
    if site.local:
        ui.announce("This computer: the replica is a process here; no GPU and no container image are involved.")
    place = site.place
    if fine_tuning.elsewhere(place.subscription, place.resource_group):
        told = (
            f"Fine-tuning ran in the resource group {fine_tuning.resource_group}: "
            f"its model will not be on the share of {place.resource_group}."
        )
        ui.announce(told)
        if ask and not site.local:
            await confirm(ui, told, f"Provision in {place.resource_group} all the same")


async def _make_way(site: Site, wanted: Wanted, found: Found, ui: Ui) -> Found:
    """Follows a deployment that still runs, registers what is not registered, and looks again."""
    if found.active is not None:
        await _follow_to_its_end(site, found.active.name, ui)
    if found.unregistered:
        await _register(site, found.unregistered, ui)
    return await look(site, wanted)


async def _agreed(ui: Ui, site: Site, wanted: Wanted, plan: Plan, preview: Preview) -> bool:
    """Whether to go on; False when the person wants to name the address that may reach the endpoint."""
    if site.local:
        return True
    _show(ui, preview, plan, details=False)
    open_to_all = "allowedIpRanges" in wanted.template.parameters and not plan.values.get("allowedIpRanges")
    return await agree(ui, preview, offer_only_me=open_to_all) != ONLY_ME


@contextmanager
def _nothing_sent() -> Iterator[None]:
    """Says of a cancellation that came before the deployment what state it left."""
    try:
        yield
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(_NOTHING_SENT) from reason


def _show(ui: Ui, preview: Preview, plan: Plan, *, details: bool) -> None:
    _tell(ui, preview.tree(details=details))
    _tell(ui, what_is_billed(plan.values, new_account=plan.existing.account is None))


def _tell(ui: Ui, lines: Iterable[str]) -> None:
    for line in lines:
        ui.announce(line)


def _nothing_changed(workspace: Workspace, ui: Ui, cloud: Cloud, past: "Deployment") -> Provisioned:
    target = _write_target(workspace, cloud, past)
    ui.announce("Nothing changed since the last provisioning: everything exists, nothing was deployed.")
    ui.announce(f"Provisioned. Inference endpoint: {target.endpoint}")
    return Provisioned(target.endpoint, (), ())


async def _register(site: Site, namespaces: list[str], ui: Ui) -> None:
    names = ", ".join(namespaces)
    await confirm(ui, f"This subscription has not registered {names}.", f"Register {names}", detail="costs nothing")
    for namespace in namespaces:
        ui.report(f"registering {namespace}, which takes a minute or two", 3)
        await site.state.register(namespace)
        ui.announce(f"Registered {namespace}.")


async def _follow_to_its_end(site: Site, name: str, ui: Ui) -> None:
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


async def _deploy(  # noqa: PLR0913, PLR0917  (what is done, where, and who is told)
    site: Site, workspace: Workspace, template: Template, plan: Plan, outlook: Outlook, ui: Ui
) -> "Deployment":
    """The finished deployment. Cancelled, the deployment is cancelled too, and Interrupted says how that ended."""
    place = site.place
    key = plan.existing.key or secrets.token_urlsafe(32)
    passed = {**plan.values, **({"apiKey": key} if "apiKey" in template.parameters else {})}
    try:
        if place.new:
            await site.manager.create_resource_group(place.resource_group, place.location)
        if plan.profile is not None and plan.profile.missing and plan.existing.environment is not None:
            ui.report(f"adding the workload profile {plan.profile.name} to {plan.existing.environment.name}", 5)
            async with site.cloud.container_apps(place.subscription, place.resource_group) as apps:
                await apps.add_workload_profile(plan.existing.environment, plan.profile.name, plan.profile.type)
        ui.announce(f"Deployment {plan.name} in resource group {place.resource_group}")
        _show_link(site, plan.name, ui)
        progress = ResourceProgress(ui, (one.id for one in (*outlook.preview.create, *outlook.preview.modify)))
        async with _room(site, plan, outlook.preview, ui):
            return await _send_and_follow(site, workspace, template, plan, passed, progress)
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args or not place.new:
            raise
        raise Interrupted(f"{_NOTHING_SENT} The resource group {place.resource_group} may be there, empty.") from reason


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


async def _send_and_follow(  # noqa: PLR0913, PLR0917  (what is sent, where to, and who is told)
    site: Site,
    workspace: Workspace,
    template: Template,
    plan: Plan,
    values: Mapping[str, object],
    progress: ResourceProgress,
) -> "Deployment":
    try:
        await site.deployments.send(plan.name, template.content, values)
        return await site.deployments.follow(plan.name, progress.observe, plan.earlier)
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(await asyncio.shield(_cancel(site, plan.name, plan.earlier, workspace))) from reason


async def _cancel(
    site: Site, name: str, earlier: "Deployment | None" = None, workspace: Workspace | None = None
) -> str:
    """Asks Azure to cancel the deployment; returns in a sentence what state that left."""
    group = site.place.resource_group
    ended = await site.deployments.cancel(name, earlier)
    if ended is None:
        return f"{_NOTHING_SENT} The resource group {group} is there, empty." if site.place.new else _NOTHING_SENT
    if ended.succeeded:
        if workspace is not None:
            _write_target(workspace, site.cloud, ended)
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


def _write_target(workspace: Workspace, cloud: Cloud, done: "Deployment") -> Target:
    outputs = {key.upper(): str(value) for key, value in done.outputs.items()}
    target = Target(
        subscription=outputs["SUBSCRIPTION_ID"],
        resource_group=outputs["RESOURCE_GROUP_NAME"],
        storage_account=outputs["STORAGE_ACCOUNT_NAME"],
        file_share=outputs["FILE_SHARE_NAME"],
        app=outputs["ACA_APP_NAME"],
        endpoint=f"{cloud.endpoint_scheme}://{outputs['ACA_APP_ENDPOINT']}",
    )
    if workspace.target_or_none() != target:
        workspace.write_target(target)
    return target
