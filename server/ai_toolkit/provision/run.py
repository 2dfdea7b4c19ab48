"""Use-case: AI Toolkit: Provision Azure Container Apps for inference."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.azure.subscription_state import SubscriptionState
from ai_toolkit.endpoint.address import is_own
from ai_toolkit.endpoint.comparison import in_words
from ai_toolkit.endpoint.remembered import Remembered, remember_place
from ai_toolkit.errors import Interrupted, RevisionFailed, ValueImpossible
from ai_toolkit.prices.price_list import price_list
from ai_toolkit.provision.allow_my_ip import only_my_address
from ai_toolkit.provision.carry_over import SECRETS
from ai_toolkit.provision.checks import account_still_works, raise_failures
from ai_toolkit.provision.checks import in_words as in_words_of_checks
from ai_toolkit.provision.choose_gpu import is_other, offer_instead, take
from ai_toolkit.provision.choose_target import Answers, choose_target
from ai_toolkit.provision.edits import compare_app, keep_additions, offer_to_put_back, tell_additions
from ai_toolkit.provision.gpu_need import REPLICA_SIZES
from ai_toolkit.provision.gpu_proposal import Proposal
from ai_toolkit.provision.mount_key import renew_mount
from ai_toolkit.provision.outlook import Outlook, check_and_preview, foresee_anew
from ai_toolkit.provision.plan import Plan, finished_before, make_plan
from ai_toolkit.provision.preview import Answer, Preview, agree, what_is_billed
from ai_toolkit.provision.request import Site, Wanted, read_workspace
from ai_toolkit.provision.send import NOTHING_SENT, Outgoing, follow_to_its_end, send
from ai_toolkit.provision.surroundings import Drift, look_at_surroundings
from ai_toolkit.provision.surroundings import offer_to_put_back as offer_surroundings
from ai_toolkit.provision.surroundings import put_back as put_surroundings_back
from ai_toolkit.provision.surroundings import tell as tell_of_surroundings
from ai_toolkit.provision.survey import Found, look
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import CLOSING, Line, Silent, Tone, Ui, confirm
from ai_toolkit.workspace.elsewhere import TYPES
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.workspace import Target, Workspace


@dataclass(frozen=True)
class Provisioned:
    """What Provision did: resource ids that are new, and resource ids that were changed."""

    endpoint: str
    created: tuple[str, ...]
    updated: tuple[str, ...]
    local: bool = False

    def as_json(self) -> dict[str, Any]:
        """One shape, of a Provision and of its preview."""
        found = {"created": list(self.created), "updated": list(self.updated)}
        return {"whatIf": False, "endpoint": self.endpoint or None, **found, "unchanged": [], "ignored": []}


async def provision(workspace: Workspace, ui: Ui, answers: Answers) -> Provisioned:
    """Creates what is missing of the Azure resources, uses what exists, and writes `inference.config.json`.

    Cancelled, it raises Interrupted with what there is now.
    """
    with _nothing_sent():
        wanted = await read_workspace(workspace, ui, offer=True)
        await asyncio.to_thread(workspace.raise_if_read_only)
        async with _open_site(ui, answers, wanted) as site:
            wanted = wanted.placed(site.place)
            await _warn_of_fine_tuning_elsewhere(site, wanted, ui, ask=True)
            found = await _ready_to_deploy(site, wanted, await _look(site, wanted, ui), ui)
            drifts: tuple[Drift, ...] | None = None
            while True:
                plan = await make_plan(site, wanted, found)
                write_target = partial(_write_target, workspace, site, plan)
                _tell(ui, plan.settings.in_words(wanted.template))
                await renew_mount(site, plan, ui)
                if drifts is None:
                    drifts = await _surroundings(site, wanted, plan, found, answers, ui)
                past = await finished_before(site, wanted.template, plan, found)
                if past is not None:
                    _warn_of_the_account(plan, ui)
                if past is not None and not await _put_back(site, wanted, plan, answers, ui, others=bool(drifts)):
                    return _done(ui, write_target(past), None)

                outlook = await _checked(site, wanted, plan, found, ui)
                other = outlook.proposal if is_other(outlook.proposal, plan) else None
                if other is not None and (
                    answers.proposed_gpu or (not site.local and await offer_instead(other, outlook.checks, ui))
                ):
                    wanted = replace(wanted, given=take(wanted.given, other, plan, ui))
                    continue
                raise_failures(outlook.checks)
                outgoing, preview = await _with_additions(site, wanted.template, plan, outlook.preview, answers, ui)
                answer = await _agreed(ui, site, wanted, plan, preview, other)
                if answer is Answer.PROVISION:
                    break
                if answer is Answer.PROPOSED_GPU and other is not None:
                    wanted = replace(wanted, given=take(wanted.given, other, plan, ui))
                else:
                    wanted = replace(wanted, given=await only_my_address(wanted.given, ui))

            remember_place(workspace.folder, site.place.subscription, site.place.resource_group)
            deployed = await send(site, outgoing, plan, preview, ui, write_target)
            target = write_target(deployed)
            Remembered(workspace.folder, wanted.template.sha256, wanted.given.values).is_so()
            await _raise_if_it_crashes(site, target)
            return _done(ui, target, preview)


async def what_if(workspace: Workspace, ui: Ui, answers: Answers) -> Preview:
    """What `provision` would do; changes nothing, here or in the cloud, and asks nothing.

    Where is what `answers` say, else what the workspace names. Raises UsageError where neither does.
    """
    ui = Silent(ui)
    with _nothing_sent():
        wanted = await read_workspace(workspace, ui, offer=False)
        async with _open_site(ui, answers.filled(wanted.named), wanted) as site:
            wanted = wanted.placed(site.place)
            await _warn_of_fine_tuning_elsewhere(site, wanted, ui, ask=False)
            found = await _look(site, wanted, ui)
            plan = await make_plan(site, wanted, found)
            _tell(ui, plan.settings.in_words(wanted.template))
            if drifts := await look_at_surroundings(site, plan, wanted.template, found):
                tell_of_surroundings(ui, drifts)
                ui.announce(f"{to(Do.PROVISION_PUTTING_BACK)} puts it back.")
            outlook = await _checked(site, wanted, plan, found, ui)
            _show(ui, site, outlook.preview, plan, details=True)
            tell_additions(ui, (await compare_app(site, plan, wanted.template, outlook.preview)).added)
            return outlook.preview


async def _raise_if_it_crashes(site: Site, target: Target) -> None:
    """Looks once at the revision: Azure lets a deployment succeed over a container that crashes. Raises RevisionFailed.

    What was provisioned is there then, and named in the config file.
    """
    async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
        app = await apps.app(target.app)
        latest = app.revision(app.latest_revision)
        if latest is None or not latest.active or not latest.failed:
            return
        replicas = await apps.replicas(app.name, latest.name)
        log = await apps.log_tail(app, replicas[0]) if replicas else []
        said = next((one.reason for one in replicas if one.reason), "its container ends.")
        raise RevisionFailed(latest.name, latest.state, latest.problem or said, log)


@contextmanager
def _nothing_sent() -> Iterator[None]:
    """Says of a cancellation that came before the deployment what state it left."""
    try:
        yield
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(NOTHING_SENT) from reason


@asynccontextmanager
async def _open_site(ui: Ui, answers: Answers, wanted: Wanted) -> AsyncIterator[Site]:
    """The place that was chosen, open while the context lasts."""
    async with AsyncExitStack() as stack:
        chosen = await stack.enter_async_context(choose_target(ui, answers, wanted.named))
        place = chosen.place
        state = await stack.enter_async_context(SubscriptionState.open(chosen.cloud.connection, place.subscription))
        site = Site(chosen.cloud, chosen.manager, place, chosen.manager.deployments_of(place.resource_group), state)
        if site.local:
            ui.announce("This computer: the replica is a process here; no GPU and no container image are involved.")
        yield site


async def _warn_of_fine_tuning_elsewhere(site: Site, wanted: Wanted, ui: Ui, *, ask: bool) -> None:
    place, fine_tuning = site.place, wanted.fine_tuning
    if fine_tuning.elsewhere(place.subscription, place.resource_group):
        told = (
            f"Fine-tuning ran in the resource group {fine_tuning.resource_group}: "
            f"its model will not be on the share of {place.resource_group}."
        )
        ui.announce(told)
        if ask and not site.local:
            await confirm(ui, told, f"Provision in {place.resource_group} all the same")


async def _ready_to_deploy(site: Site, wanted: Wanted, found: Found, ui: Ui) -> Found:
    """Follows a deployment that still runs and registers what is not registered; then what is there now."""
    if found.active is None and not found.unregistered:
        return found
    if found.active is not None:
        await follow_to_its_end(site, found.active.name, ui)
    if found.unregistered:
        names = ", ".join(found.unregistered)
        question = f"This subscription has not registered {names}."
        await confirm(ui, question, f"Register {names}", detail="costs nothing")
        for namespace in found.unregistered:
            ui.report(f"registering {namespace}, which takes a minute or two", 3)
            await site.state.register(namespace)
            ui.announce(f"Registered {namespace}.")
    return await _look(site, wanted, ui)


async def _look(site: Site, wanted: Wanted, ui: Ui) -> Found:
    ui.report("looking at what exists", 2)
    return await look(site, wanted)


async def _checked(site: Site, wanted: Wanted, plan: Plan, found: Found, ui: Ui) -> Outlook:
    ui.report("checking before anything is sent", 4)
    outlook = await check_and_preview(site, wanted, plan, found)
    _tell(ui, in_words_of_checks(outlook.checks, local=site.local))
    if outlook.proposal is not None and not site.local:
        _tell(ui, [Line(one) for one in outlook.proposal.in_words()])
    return outlook


def _warn_of_the_account(plan: Plan, ui: Ui) -> None:
    """What exists may have stopped to work: an account that takes its key no longer. Raises PreflightFailed."""
    found = account_still_works(plan.existing)
    if found:
        _tell(ui, [Line("Checks:"), *(check.in_words() for check in found)])
    raise_failures(found)


async def _surroundings(  # noqa: PLR0913, PLR0917  (where, what is wanted, planned, found and answered, who is asked)
    site: Site, wanted: Wanted, plan: Plan, found: Found, answers: Answers, ui: Ui
) -> tuple[Drift, ...]:
    """What is not as the template has it beside the app, put back where a person wants that."""
    ui.report("looking whether all is as it was left", 3)
    drifts = await look_at_surroundings(site, plan, wanted.template, found)
    if drifts and await offer_surroundings(ui, drifts, agreed=answers.put_back):
        await put_surroundings_back(site, plan, drifts, ui)
    return drifts


async def _put_back(  # noqa: PLR0913  (where, what is wanted, planned and answered, who is asked)
    site: Site, wanted: Wanted, plan: Plan, answers: Answers, ui: Ui, *, others: bool
) -> bool:
    """Whether the app that the last deployment made is to be put again, because somebody changed it.

    `others` when something beside the app was not as it was left.
    """
    ui.report("looking whether all is as it was left", 4)
    preview = await foresee_anew(site, plan, wanted.template.content, plan.values)
    changed = (await compare_app(site, plan, wanted.template, preview)).changed
    if changed and await offer_to_put_back(ui, changed, agreed=answers.put_back):
        return True
    if preview.unknown:
        ui.announce(preview.heading)
    if not changed and not others:
        ui.announce("Nothing changed since the last provisioning: everything exists, nothing was deployed.")
    return False


async def _with_additions(  # noqa: PLR0913, PLR0917  (what is planned, foreseen and answered, who is asked)
    site: Site, template: Template, plan: Plan, preview: Preview, answers: Answers, ui: Ui
) -> tuple[Outgoing, Preview]:
    """What is sent, with what others added to the app as far as it is kept; and what Azure foresees of that."""
    compared = await compare_app(site, plan, template, preview)
    if compared.changed:
        ui.announce("What changes of the app:")
        for one in compared.changed:
            ui.announce(f"    {in_words(one)}")
    kept = await keep_additions(ui, template, compared.added, remove=answers.remove_additions)
    if kept.template is template:
        return Outgoing(template, plan.values), preview
    values = plan.values
    if kept.secrets:
        async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
            known = await apps.secret_values(plan.settings.names["acaAppName"])
        values = {**values, SECRETS: {name: known[name] for name in kept.secrets}}
    return Outgoing(kept.template, values), await foresee_anew(site, plan, kept.template.content, values)


async def _agreed(  # noqa: PLR0913, PLR0917  (what is planned, foreseen and proposed, who is asked)
    ui: Ui, site: Site, wanted: Wanted, plan: Plan, preview: Preview, other: Proposal | None
) -> Answer:
    """What the person says to the preview; on this computer nothing is asked."""
    if site.local:
        return Answer.PROVISION
    _show(ui, site, preview, plan, details=False)
    open_to_all = "allowedIpRanges" in wanted.template.parameters and not plan.values.get("allowedIpRanges")
    return await agree(ui, preview, offer_only_me=open_to_all, proposed=other)


def _show(ui: Ui, site: Site, preview: Preview, plan: Plan, *, details: bool) -> None:
    heading, *tree = preview.tree(details=details)
    profile = plan.profile.type if plan.profile is not None else ""
    size = REPLICA_SIZES.get(profile)
    hourly = price_list().hourly(profile, str(plan.settings.value("location")), *size) if size is not None else None
    told = what_is_billed(plan.values, new_account=plan.existing.account is None, hourly=hourly)
    tone = Tone.DETAIL if site.local else Tone.PLAIN  # Azure and its prices are no concern of whoever stays here
    _tell(ui, [replace(heading, tone=tone) if site.local else heading, *tree, *(Line(line, tone) for line in told)])


def _tell(ui: Ui, lines: Iterable[Line]) -> None:
    for line in lines:
        ui.announce(line.text, line.tone)


def _write_target(workspace: Workspace, site: Site, plan: Plan, deployed: Deployment) -> Target:
    """The target as the deployment tells it, written; a custom domain of the app's that a person wrote stays."""
    account = plan.settings.located("storageAccountName", site.place.subscription, site.place.resource_group)
    here = account.is_in(site.place.subscription, site.place.resource_group)
    outputs = {key.upper(): str(value) for key, value in deployed.outputs.items()}
    host = outputs["ACA_APP_ENDPOINT"]  # empty for an app without ingress
    target = Target(
        subscription=outputs["SUBSCRIPTION_ID"],
        resource_group=outputs["RESOURCE_GROUP_NAME"],
        storage_account=outputs["STORAGE_ACCOUNT_NAME"] if here else account.id_of(TYPES["storageAccountName"]),
        file_share=outputs["FILE_SHARE_NAME"],
        app=outputs["ACA_APP_NAME"],
        endpoint=f"{site.cloud.endpoint_scheme}://{host}" if host else "",
    )
    before = _written(workspace)
    if (
        before is not None
        and before.app == target.app
        and is_own(before.endpoint, target.endpoint, plan.existing.domains)
    ):
        target = replace(target, endpoint=before.endpoint)
    if before != target:
        workspace.write_target(target)
    return target


def _written(workspace: Workspace) -> Target | None:
    """What the config file names; None where that is not the six names."""
    try:
        return workspace.target_or_none()
    except ValueImpossible:
        return None


def _done(ui: Ui, target: Target, preview: Preview | None) -> Provisioned:
    ui.announce(f"Provisioned. Inference endpoint: {target.endpoint or 'none, the app has no ingress'}", Tone.DETAIL)
    created = preview.create if preview is not None else ()
    updated = preview.modify if preview is not None else ()
    ids = (tuple(one.id for one in created), tuple(one.id for one in updated))
    return Provisioned(target.endpoint, *ids, local=target.local)
