"""What a Provision is going to send: the parameters' values, and a deployment named after them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.azure.fine_tuning_job import FineTuningJob
from ai_toolkit.provision.gpu_profile import Profile, choose_profile
from ai_toolkit.provision.request import Place, Site, Wanted
from ai_toolkit.provision.settings import Setting, Settings, Source, check_names, choose_settings, values_of
from ai_toolkit.provision.survey import PREFIX, Existing, Found, look_at_existing
from ai_toolkit.workspace.template import Template


@dataclass(frozen=True)
class Plan:
    """A deployment that can be sent: its name stands for its target and its content."""

    name: str
    values: Mapping[str, Any]
    settings: Settings
    existing: Existing
    profile: Profile | None
    earlier: Deployment | None
    """The last deployment of that name, when there was one."""

    def missing(self) -> frozenset[str]:
        """What our template makes because it is not there yet, as the ids end after `/providers/`, in lower case.

        What lies in another resource group (its name is an id then) is not made.
        """
        if self.profile is None:
            return frozenset()
        names, there = self.settings.names, self.existing
        account = f"Microsoft.Storage/storageAccounts/{names['storageAccountName']}"
        environment = f"Microsoft.App/managedEnvironments/{names['acaEnvironmentName']}"
        paths = {
            account: there.account is None,
            f"{account}/fileServices/default/shares/{names['fileShareName']}": not there.file_share,
            f"Microsoft.OperationalInsights/workspaces/{names['acaLogAnalyticsName']}": there.environment is None
            and not there.log_analytics,
            environment: there.environment is None,
            f"{environment}/storages/{names['acaEnvironmentStorageName']}": not there.environment_storage,
            f"Microsoft.App/containerApps/{names['acaAppName']}": not there.app,
        }
        return frozenset(path.lower() for path, is_missing in paths.items() if is_missing and "//" not in path)


def settings_of(wanted: Wanted, place: Place, job: tuple[str, FineTuningJob | None]) -> Settings:
    """Every parameter's value at that place, before it is looked at what is there. Raises ValueImpossible."""
    elsewhere = wanted.fine_tuning.elsewhere(place.subscription, place.resource_group)
    name, found = job
    settings = choose_settings(
        wanted.template,
        wanted.given,
        (name, values_of(found)),
        None if elsewhere else wanted.fine_tuning,
        (place.group_id, place.location),
    )
    check_names(settings)
    return settings


async def make_plan(site: Site, wanted: Wanted, found: Found) -> Plan:
    """The plan, once every parameter has its value. Raises ValueImpossible."""
    place, template = site.place, wanted.template
    settings = settings_of(wanted, place, found.job)
    existing = await look_at_existing(site.cloud, place.subscription, place.resource_group, found, settings)
    environment = existing.environment
    if environment is not None and settings.by_name["location"].source is Source.DEFAULT:
        region = environment.location.replace(" ", "").lower()  # Container Apps answers `West US 3`
        beside = Setting(region, Source.ENVIRONMENT, f"where {environment.name} is")
        settings = settings.with_settings({"location": beside})
    profile = None
    if template.ours:
        profile = choose_profile(settings, environment)
        chosen = {"workloadProfileName": profile.name, "workloadProfileType": profile.type}
        settings = settings.with_settings(
            {name: replace(settings.by_name[name], value=value) for name, value in chosen.items()}
        )
    values = settings.to_send(template)
    content = json.dumps([site.group_id.lower(), template.sha256, values], sort_keys=True)
    name = f"{PREFIX}{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    decided = existing.to_create() if template.ours else {}
    switches = {name: value for name, value in decided.items() if name in template.parameters}
    earlier = next((one for one in found.history if one.name == name), None)
    return Plan(name, {**values, **switches}, settings, existing, profile, earlier)


async def finished_before(site: Site, template: Template, plan: Plan, found: Found) -> Deployment | None:
    """The last deployment, when it succeeded, was this one, and what it made is still there."""
    if not found.history or found.history[0].name != plan.name or (plan.profile is not None and plan.profile.missing):
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
