"""What a Provision is going to do: looked up, settled, checked and previewed before anything is sent."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit import parameters
from ai_toolkit.cloud import Cloud
from ai_toolkit.existing_resources import SERVERLESS, Existing, Profile, choose_profile, look_at_existing
from ai_toolkit.fine_tuning import FineTuning, values_of
from ai_toolkit.model_fit import Fit, fit_here, fit_on_share
from ai_toolkit.preflight import NEEDED_ACTIONS, Check, Facts, preflight
from ai_toolkit.preview import FORESEEN, NEW_GROUP, Preview
from ai_toolkit.settle_parameters import DEFAULT, Settings, settle
from ai_toolkit.templates import Template
from ai_toolkit.workspace import LOCAL_SUBSCRIPTION, Parameters, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.deployments import Change, Deployment, Deployments
    from ai_toolkit.azure.fine_tuning_job import FineTuningJob
    from ai_toolkit.azure.resource_manager import Resource, ResourceManager
    from ai_toolkit.azure.subscription_state import Provider, SubscriptionState
    from ai_toolkit.choose_target import Place

PREFIX: Final = "ai-toolkit-inference-"


@dataclass(frozen=True)
class Site:
    """Where to provision, and what can be asked there."""

    cloud: Cloud
    manager: "ResourceManager"
    place: "Place"
    deployments: "Deployments"
    state: "SubscriptionState"

    @property
    def local(self) -> bool:
        return self.place.subscription == LOCAL_SUBSCRIPTION

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.place.subscription}/resourceGroups/{self.place.resource_group}"


@dataclass(frozen=True)
class Wanted:
    """What the workspace's files say."""

    template: Template
    given: Parameters
    fine_tuning: FineTuning


@dataclass(frozen=True)
class Found:
    """What was there at the first look; `job` is the live fine-tuning job's name with its resources."""

    resources: "list[Resource]"
    history: "list[Deployment]"
    providers: "tuple[Provider, ...]"
    forbidden: list[str] | None
    job: "tuple[str, FineTuningJob | None]"

    @property
    def active(self) -> "Deployment | None":
        """A deployment of ours that runs now."""
        return next((one for one in self.history if one.active), None)

    @property
    def unregistered(self) -> list[str]:
        return [one.namespace for one in self.providers if not one.registered]


@dataclass(frozen=True)
class Outlook:
    """What can be said of a plan before it is carried out."""

    checks: list[Check]
    preview: Preview


@dataclass(frozen=True)
class Plan:
    """A deployment that can be sent: its name stands for its target and its content."""

    name: str
    values: Mapping[str, Any]
    settings: Settings
    existing: Existing
    profile: Profile | None
    earlier: "Deployment | None"
    """The last deployment of that name, when there was one."""


async def look(site: Site, wanted: Wanted) -> Found:
    """Asks everything that needs no other answer first, at the same time."""
    from ai_toolkit.azure.fine_tuning_job import fine_tuning_job  # noqa: PLC0415  (loads the Azure SDK)

    place, fine_tuning = site.place, wanted.fine_tuning
    here = not fine_tuning.elsewhere(place.subscription, place.resource_group)
    async with asyncio.TaskGroup() as tasks:
        resources = tasks.create_task(site.manager.resources(place.resource_group))
        history = tasks.create_task(site.deployments.history(PREFIX))
        providers = [tasks.create_task(site.state.provider(one)) for one in wanted.template.namespaces]
        forbidden = tasks.create_task(site.state.forbidden(place.resource_group, NEEDED_ACTIONS))
        if fine_tuning.job and here:
            job = tasks.create_task(
                fine_tuning_job(site.cloud.connection, place.subscription, place.resource_group, fine_tuning.job)
            )
    return Found(
        resources.result(),
        history.result(),
        tuple(one.result() for one in providers),
        forbidden.result(),
        (fine_tuning.job or "", job.result() if fine_tuning.job and here else None),
    )


async def make_plan(site: Site, wanted: Wanted, found: Found) -> Plan:
    """The settled parameters and what they mean for what exists. Raises ValueImpossible."""
    place, template, fine_tuning = site.place, wanted.template, wanted.fine_tuning
    job_name, job = found.job
    elsewhere = fine_tuning.elsewhere(place.subscription, place.resource_group)
    settings = settle(
        template,
        wanted.given,
        (job_name, values_of(job)),
        None if elsewhere else fine_tuning,
        (site.group_id, place.location),
    )
    parameters.check_names(settings)
    existing = await look_at_existing(site.cloud, place.subscription, place.resource_group, found.resources, settings)
    environment = existing.environment
    if environment is not None and settings.by_name["location"].origin == DEFAULT:
        settings = settings.with_values({"location": (environment.location, f"where {environment.name} is")})
    profile = None
    if template.ours:
        profile = choose_profile(settings, environment)
        origin = {name: settings.by_name[name].origin for name in ("workloadProfileName", "workloadProfileType")}
        settings = settings.with_values(
            {
                "workloadProfileName": (profile.name, origin["workloadProfileName"]),
                "workloadProfileType": (profile.type, origin["workloadProfileType"]),
            }
        )
    values = settings.to_send(template)
    content = json.dumps([site.group_id.lower(), template.sha256, values], sort_keys=True)
    name = f"{PREFIX}{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    switches = existing.to_create() if template.ours else {}
    earlier = next((one for one in found.history if one.name == name), None)
    return Plan(name, {**values, **switches}, settings, existing, profile, earlier)


async def finished_before(site: Site, template: Template, plan: Plan, found: Found) -> "Deployment | None":
    """The last deployment, when it succeeded, was this one, and what it made is still there."""
    if not found.history or found.history[0].name != plan.name:
        return None
    past = await site.deployments.get(plan.name)
    if past is None or not past.succeeded:
        return None
    if template.ours:
        there = plan.existing.complete and plan.existing.key is not None
    else:
        app = str({key.upper(): value for key, value in past.outputs.items()}.get("ACA_APP_NAME"))
        there = any(one.name == app.lower() and one.type == "microsoft.app/containerapps" for one in found.resources)
    return past if there else None


async def check_and_preview(site: Site, workspace: Workspace, template: Template, plan: Plan, found: Found) -> Outlook:
    """Every check and what Azure foresees, asked at the same time; changes nothing."""
    from ai_toolkit.azure.deployments import Change, Refusal  # noqa: PLC0415  (loads the Azure SDK)

    place, location = site.place, str(plan.settings.value("location"))
    async with asyncio.TaskGroup() as tasks:
        profiles = tasks.create_task(site.state.profile_types(location))
        quotas = tasks.create_task(site.state.quotas(location))
        fit = tasks.create_task(_fit(site, workspace, plan))
        if not place.new:
            refused = tasks.create_task(site.deployments.validate(plan.name, template.content, plan.values))
            foreseen = tasks.create_task(site.deployments.what_if(plan.name, template.content, plan.values))
    changes = [Change(one, "Create") for one in _created(site, template, plan)] if place.new else foreseen.result()
    heading = NEW_GROUP if place.new else FORESEEN
    if isinstance(changes, Refusal):  # what-if only informs: whether Azure takes the deployment, validation says
        heading = f"No preview: Azure does not tell what would change: {changes.message} ({changes.code})."
        changes = []
    facts = Facts(
        signed_in_to=f"subscription {place.subscription}, resource group {place.resource_group}",
        group_exists=not place.new,
        providers=found.providers,
        forbidden=found.forbidden if not place.new else None,
        profile_types=profiles.result(),
        quotas=quotas.result(),
        refusal=None if place.new else refused.result(),
        fit=fit.result(),
    )
    return Outlook(
        checks=preflight(facts, plan.settings, plan.existing, plan.profile),
        preview=Preview.of(_with_profile(site, plan, changes), heading),
    )


async def _fit(site: Site, workspace: Workspace, plan: Plan) -> Fit:
    from ai_toolkit.azure.file_share import FileShare  # noqa: PLC0415  (loads the Azure SDK)

    here = await asyncio.to_thread(fit_here, workspace, SERVERLESS.get(plan.profile.type) if plan.profile else None)
    if here is not None or not plan.existing.file_share:
        return here or Fit(None, "There is no adapter and no base model here yet.")
    account = plan.existing.account
    if account is None or not account.shared_key or not account.file_endpoint:
        return Fit(None, "The share cannot be read without the account's key.")
    async with site.cloud.storage(site.place.subscription, site.place.resource_group) as storage:
        key = await storage.key(account.name)
    share_name = str(plan.settings.value("fileShareName"))
    async with FileShare.open(account.file_endpoint, account.name, key, share_name) as share:
        return await fit_on_share(share)


def _created(site: Site, template: Template, plan: Plan) -> list[str]:
    """Ids of what the template makes in a new resource group; of one of another make the names are not known here."""
    names, providers = plan.settings.names, f"{site.group_id}/providers"
    if not template.ours:
        return [f"{providers}/{kind}/…" for kind in template.types]
    account = f"{providers}/Microsoft.Storage/storageAccounts/{names['storageAccountName']}"
    environment = f"{providers}/Microsoft.App/managedEnvironments/{names['acaEnvironmentName']}"
    return [
        account,
        f"{account}/fileServices/default/shares/{names['fileShareName']}",
        f"{providers}/Microsoft.OperationalInsights/workspaces/{names['acaLogAnalyticsName']}",
        environment,
        f"{environment}/storages/{names['acaEnvironmentStorageName']}",
        f"{providers}/Microsoft.App/containerApps/{names['acaAppName']}",
    ]


def _with_profile(site: Site, plan: Plan, changes: "list[Change]") -> "list[Change]":
    """The changes, and the profile that an existing environment gets before the deployment."""
    from ai_toolkit.azure.deployments import Change, PropertyChange  # noqa: PLC0415  (loads the Azure SDK)

    if plan.profile is None or not plan.profile.missing or plan.existing.environment is None:
        return changes
    environment = f"{site.group_id}/providers/Microsoft.App/managedEnvironments/{plan.existing.environment.name}"
    added = PropertyChange(
        "properties.workloadProfiles",
        "Create",
        after={"name": plan.profile.name, "workloadProfileType": plan.profile.type},
    )
    others = [one for one in changes if one.id.lower() != environment.lower()]
    return [*others, Change(environment, "Modify", (added,))]
