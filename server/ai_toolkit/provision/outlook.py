"""What can be said of a plan before it is carried out: every check, and what Azure foresees."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.deployments import Change, PropertyChange, Refusal
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.quota import Quota, gpu_quota
from ai_toolkit.prices.price_list import price_list
from ai_toolkit.provision.checks import Check, Facts, preflight
from ai_toolkit.provision.gpu_need import SERVERLESS
from ai_toolkit.provision.gpu_proposal import Proposal, Region, propose, table
from ai_toolkit.provision.hidden import hide, hide_in_changes, hide_in_refusal
from ai_toolkit.provision.model_fit import Fit, fit_on_share
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.preview import Basis, Preview
from ai_toolkit.provision.request import Site, Wanted
from ai_toolkit.provision.survey import Found
from ai_toolkit.workspace.template import Template


@dataclass(frozen=True)
class Outlook:
    """What can be said of a plan before it is carried out."""

    checks: list[Check]
    preview: Preview
    proposal: Proposal | None = None
    """The cheapest GPU that the model fits; None where nothing can be said of one."""


async def check_and_preview(site: Site, wanted: Wanted, plan: Plan, found: Found) -> Outlook:
    """Every check and what Azure foresees, asked at the same time; changes nothing."""
    template, place, location = wanted.template, site.place, str(plan.settings.value("location"))
    async with asyncio.TaskGroup() as tasks:
        profiles = tasks.create_task(site.state.profile_types(location))
        quotas = tasks.create_task(_quotas(site, plan, location))
        nodes = tasks.create_task(_nodes(site, plan))
        fit = tasks.create_task(_fit(site, wanted, plan))
        if not place.new:
            refused = tasks.create_task(site.deployments.validate(plan.name, template.content, plan.values))
            foreseen = tasks.create_task(site.deployments.what_if(plan.name, template.content, plan.values))
    changes = [Change(one, "Create") for one in _created(site, template, plan)] if place.new else foreseen.result()
    refusal = None if place.new else hide_in_refusal(refused.result(), wanted.secrets)
    basis, problem = Basis.TEMPLATE if place.new else Basis.AZURE, ""
    if isinstance(changes, Refusal):  # what-if only informs: whether Azure takes the deployment, validation says
        problem = f"{hide(changes.message, wanted.secrets)} ({changes.code})"
        basis, changes = Basis.NOTHING, []
    facts = Facts(
        signed_in_to=f"subscription {place.subscription}, resource group {place.resource_group}",
        group_exists=not place.new,
        providers=found.providers,
        forbidden=found.forbidden if not place.new else None,
        profile_types=profiles.result(),
        quotas=quotas.result(),
        nodes=nodes.result(),
        refusal=refusal,
        fit=fit.result(),
    )
    return Outlook(
        checks=preflight(facts, plan.settings, plan.existing, plan.profile),
        preview=Preview.of(_with_what_goes_before(plan, hide_in_changes(changes, wanted.secrets)), basis, problem),
        proposal=await _proposal(site, plan, facts, location),
    )


async def _proposal(site: Site, plan: Plan, facts: Facts, location: str) -> Proposal | None:
    """In the wanted region; where it has no GPU for the model, in the first of the others that tell of quota there.

    An existing environment stays where it is, and a dedicated profile is a person's own choice.
    """
    if plan.profile is None or plan.profile.type not in SERVERLESS:
        return None
    here = Region(location, facts.profile_types, None if facts.quotas is None else tuple(facts.quotas))
    most = plan.values.get("maximumInstanceCount")
    replicas, wanted, prices = most if isinstance(most, int) else 1, plan.profile.type, price_list()
    found = propose(facts.fit.need, [here], prices, replicas=replicas, wanted=wanted)
    if found is None or found.profile_type is not None or plan.existing.environment is not None:
        return found
    plain = location.replace(" ", "").lower()
    names = dict.fromkeys(name for gpu in table()[1] for name in gpu.regions if name != plain)
    others = await asyncio.gather(*(_region(site, name) for name in names))
    known = [one for one in others if one.profile_types is not None and one.has_gpus()]
    return propose(facts.fit.need, [here, *known], prices, replicas=replicas, wanted=wanted)


async def _region(site: Site, name: str) -> Region:
    offered, quotas = await asyncio.gather(site.state.profile_types(name), site.state.quotas(name))
    return Region(name, offered, None if quotas is None else tuple(quotas))


async def _quotas(site: Site, plan: Plan, location: str) -> list[Quota] | None:
    """Where they bind: those of an existing environment, else of the region."""
    profile, environment = plan.profile, plan.existing.environment
    if profile is not None and environment is not None:
        async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
            own = await apps.quotas(environment)
        if gpu_quota(profile.type, own) is not None:
            return own
    return await site.state.quotas(location)


async def _nodes(site: Site, plan: Plan) -> Quota | None:
    """Of a dedicated profile that an existing environment has."""
    profile, environment = plan.profile, plan.existing.environment
    if profile is None or environment is None:
        return None
    async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
        return await apps.nodes(environment, profile.name)


async def foresee_anew(site: Site, plan: Plan, content: Mapping[str, object], values: Mapping[str, object]) -> Preview:
    """What Azure foresees of another template for the same plan."""
    foreseen = await site.deployments.what_if(plan.name, content, values)
    if isinstance(foreseen, Refusal):
        return Preview.of([], Basis.NOTHING, f"{foreseen.message} ({foreseen.code})")
    return Preview.of(_with_what_goes_before(plan, foreseen), Basis.AZURE)


async def _fit(site: Site, wanted: Wanted, plan: Plan) -> Fit:
    if wanted.models is not None:
        return wanted.models.onto_gpu(SERVERLESS.get(plan.profile.type) if plan.profile else None)
    if not plan.existing.file_share:
        return Fit(None, "There is no adapter and no base model here yet.")
    account = plan.existing.account
    if account is None or not account.shared_key or not account.file_endpoint:
        return Fit(None, "The share cannot be read without the account's key.")
    account_at = plan.settings.located("storageAccountName", site.place.subscription, site.place.resource_group)
    async with site.cloud.storage(account_at.subscription, account_at.group) as storage:
        key = await storage.key(account.name)
    share_name = str(plan.settings.value("fileShareName"))
    try:
        async with FileShare.open(account.file_endpoint, account.name, key, share_name) as share:
            return await fit_on_share(share, wanted.app_settings)
    except HttpResponseError as error:  # such as the account's network rules; the mount's way is another
        told = for_people(error)
        return Fit(None, f"The share cannot be read from here. {told.message}", told.advice)


def _created(site: Site, template: Template, plan: Plan) -> list[str]:
    """Ids of what the template makes in a new resource group; of one of another make the names are not known here."""
    names, providers = plan.settings.names, f"{site.group_id}/providers"
    if not template.ours:
        return [f"{providers}/{kind}/…" for kind in template.types]
    account = f"{providers}/Microsoft.Storage/storageAccounts/{names['storageAccountName']}"
    environment = f"{providers}/Microsoft.App/managedEnvironments/{names['acaEnvironmentName']}"
    made = [f"{providers}/Microsoft.App/containerApps/{names['acaAppName']}"]
    if plan.existing.account is None:
        made += [account, f"{account}/fileServices/default/shares/{names['fileShareName']}"]
    if plan.existing.environment is None:
        made += [
            f"{providers}/Microsoft.OperationalInsights/workspaces/{names['acaLogAnalyticsName']}",
            environment,
            f"{environment}/storages/{names['acaEnvironmentStorageName']}",
        ]
    return made


def _with_what_goes_before(plan: Plan, changes: list[Change]) -> list[Change]:
    """The changes, and what an existing environment gets before the deployment: a profile, a storage definition."""
    existing, profile = plan.existing, plan.profile
    if existing.environment is None:
        return changes
    if existing.definition_to_put:
        storage = plan.settings.value("acaEnvironmentStorageName")
        changes = [*changes, Change(f"{existing.environment_id}/storages/{storage}", "Create")]
    if profile is None or not profile.missing:
        return changes
    added = PropertyChange(
        "properties.workloadProfiles",
        "Create",
        after={"name": profile.name, "workloadProfileType": profile.type},
    )
    others = [one for one in changes if one.id.lower() != existing.environment_id.lower()]
    return [*others, Change(existing.environment_id, "Modify", (added,))]
