"""Use-case: AI Toolkit: Provision Azure Container Apps for inference."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ai_toolkit import parameters
from ai_toolkit.cloud import Cloud
from ai_toolkit.errors import ValueImpossible
from ai_toolkit.templates import Template, workspace_template
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import LOCAL_SUBSCRIPTION, Parameters, Target, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ai_toolkit.azure.resource_manager import Deployment, Operation, ResourceManager
    from ai_toolkit.choose_target import Answers, Place

_DEPLOYMENT_PREFIX: Final = "ai-toolkit-inference-"
_DEFAULT_PROFILE_TYPE: Final = "Consumption-GPU-NC24-A100"


@dataclass(frozen=True)
class Provisioned:
    """What Provision did: resource ids that are new, and resource ids that were changed."""

    endpoint: str
    created: tuple[str, ...]
    updated: tuple[str, ...]


@dataclass(frozen=True)
class Existing:
    """What is in the resource group already, so that it is used and not made anew."""

    storage_account: bool
    file_share: bool
    log_analytics: bool
    environment: bool
    environment_storage: bool
    app: bool
    profile_name: str
    key: str | None

    @property
    def complete(self) -> bool:
        """Whether everything that the endpoint needs is there."""
        return self.file_share and self.environment_storage and self.app and self.key is not None


async def provision(workspace: Workspace, ui: Ui, answers: "Answers") -> Provisioned:
    """Creates what is missing of the Azure resources, uses what exists, and writes `inference.config.json`."""
    from ai_toolkit.choose_target import choose_target  # noqa: PLC0415  (loads the Azure SDK)

    template = await workspace_template(workspace)
    given = workspace.parameters()
    parameters.check(given, template.parameters)
    workspace.target_or_none()  # a file that cannot be read is said now, not after the resources are made
    for warning in given.warnings:
        ui.announce(warning)

    async with choose_target(ui, answers, workspace) as chosen:
        cloud, manager, place = chosen.cloud, chosen.manager, chosen.place
        if place.subscription == LOCAL_SUBSCRIPTION:
            ui.announce("This computer: the replica is a process here; no GPU and no container image are involved.")

        group_id = f"/subscriptions/{place.subscription}/resourceGroups/{place.resource_group}"
        names = parameters.resource_names(given.values, group_id)
        ui.report("looking at what exists", 2)
        if place.new:
            await manager.create_resource_group(place.resource_group, place.location)
        existing = await _existing(cloud, manager, place, given, names)
        values = _template_values(template, given, names, existing, place)
        name = _deployment_name(template, values)

        past = await manager.deployment(place.resource_group, name)
        newest = await manager.latest_deployment(place.resource_group, _DEPLOYMENT_PREFIX)
        if past is not None and past.succeeded and existing.complete and newest == name:
            target = _write_target(workspace, cloud, past)
            ui.announce("Nothing changed since the last provisioning: everything exists, nothing was deployed.")
            ui.announce(f"Provisioned. Inference endpoint: {target.endpoint}")
            return Provisioned(target.endpoint, (), ())

        ui.announce(f"Deployment {name} in resource group {place.resource_group}")
        if cloud.portal is not None:
            deployment_id = f"{group_id}/providers/Microsoft.Resources/deployments/{name}"
            blade = "#view/HubsExtension/DeploymentDetailsBlade/~/overview/id/"
            ui.announce(f"{cloud.portal}/{blade}{quote(deployment_id, safe='')}")
        key = existing.key or secrets.token_urlsafe(32)
        passed = values | ({"apiKey": key} if "apiKey" in template.parameters else {})
        done = await manager.deploy(
            place.resource_group,
            name,
            template.content,
            passed,
            _progress(ui),
            follow=past is not None and past.active,
        )
        target = _write_target(workspace, cloud, done)
    ui.announce(f"Provisioned. Inference endpoint: {target.endpoint}")
    created, updated = _created_and_updated(group_id, names, existing)
    return Provisioned(target.endpoint, created, updated)


async def _existing(
    cloud: Cloud, manager: "ResourceManager", place: "Place", given: Parameters, names: Mapping[str, str]
) -> Existing:
    found = {(one.type, one.name) for one in await manager.resources(place.resource_group)}

    def there(kind: str, name: str) -> bool:
        return (kind.lower(), names[name].lower()) in found

    has_account = there("Microsoft.Storage/storageAccounts", "storageAccountName")
    has_app = there("Microsoft.App/containerApps", "acaAppName")
    has_share = False
    if has_account:
        async with cloud.storage(place.subscription, place.resource_group) as storage:
            has_share = await storage.has_share(names["storageAccountName"], names["fileShareName"])
    async with cloud.container_apps(place.subscription, place.resource_group) as apps:
        environment = await apps.environment(names["acaEnvironmentName"])
        profile = str(given.values.get("workloadProfileName", "gpu"))
        storage_name = names["acaEnvironmentStorageName"]
        if environment is not None:
            wanted = given.values.get("workloadProfileType", _DEFAULT_PROFILE_TYPE)
            of_type = [name for name, kind in environment.workload_profiles if kind == wanted]
            if not of_type:
                await apps.add_workload_profile(environment, profile, wanted)
            elif profile not in of_type:
                profile = of_type[0]
            named = environment.storages.get(storage_name)
            if named is not None and named != (names["storageAccountName"], names["fileShareName"]):
                raise ValueImpossible(
                    given.path,
                    "acaEnvironmentStorageName",
                    f"{storage_name} of {environment.name} names share {named[1]} of {named[0]} already; "
                    "give another name, or that share",
                )
        return Existing(
            storage_account=has_account,
            file_share=has_share,
            log_analytics=there("Microsoft.OperationalInsights/workspaces", "acaLogAnalyticsName"),
            environment=environment is not None,
            environment_storage=environment is not None and storage_name in environment.storages,
            app=has_app,
            profile_name=profile,
            key=await apps.key(names["acaAppName"]) if has_app else None,
        )


def _template_values(
    template: Template, given: Parameters, names: Mapping[str, str], existing: Existing, place: "Place"
) -> dict[str, Any]:
    """The parameters to send, but for the key; a template of another make gets only those that it declares."""
    values = {
        "location": place.location,
        "workloadProfileName": existing.profile_name,
        **names,
        **{key: value for key, value in given.values.items() if key != "workloadProfileName"},
        "createStorageAccount": not existing.storage_account,
        "createFileShare": not existing.file_share,
        "createLogAnalytics": not existing.log_analytics and not existing.environment,
        "createEnvironment": not existing.environment,
        "createEnvironmentStorage": not existing.environment_storage,
    }
    return {key: value for key, value in values.items() if key in template.parameters}


def _deployment_name(template: Template, values: Mapping[str, Any]) -> str:
    """One name per content, so that a second run finds the first; what happens to exist is not content."""
    content = {key: value for key, value in values.items() if key not in parameters.OURS}
    text = json.dumps([template.sha256, content], sort_keys=True)
    return f"{_DEPLOYMENT_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _progress(ui: Ui) -> "Callable[[list[Operation]], None]":
    shown: dict[tuple[str, str], str] = {}

    def observe(operations: "list[Operation]") -> None:
        finished = sum(operation.state == "Succeeded" for operation in operations)
        for operation in operations:
            which = (operation.resource_type, operation.resource_name)
            if shown.get(which) != operation.state:
                shown[which] = operation.state
                percent = 5 + 90 * finished // max(len(operations), 6)
                ui.report(
                    f"{operation.resource_type.split('/', 1)[-1]} {which[1]}: {operation.state.lower()}",
                    percent,
                )

    return observe


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


def _created_and_updated(
    group_id: str, names: Mapping[str, str], existing: Existing
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    account = f"{group_id}/providers/Microsoft.Storage/storageAccounts/{names['storageAccountName']}"
    environment = f"{group_id}/providers/Microsoft.App/managedEnvironments/{names['acaEnvironmentName']}"
    log = f"{group_id}/providers/Microsoft.OperationalInsights/workspaces/{names['acaLogAnalyticsName']}"
    app = f"{group_id}/providers/Microsoft.App/containerApps/{names['acaAppName']}"
    missing = {
        account: not existing.storage_account,
        f"{account}/fileServices/default/shares/{names['fileShareName']}": not existing.file_share,
        log: not existing.log_analytics and not existing.environment,
        environment: not existing.environment,
        f"{environment}/storages/{names['acaEnvironmentStorageName']}": not existing.environment_storage,
        app: not existing.app,
    }
    return tuple(key for key, new in missing.items() if new), (app,) if existing.app else ()
