"""The app as the workspace's template and parameters want it, asked of Resource Manager as Provision would ask."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.container_app import ContainerApp
from ai_toolkit.azure.deployments import Refusal
from ai_toolkit.endpoint.address import OwnApp
from ai_toolkit.endpoint.desired import wanted_app
from ai_toolkit.errors import FileMissing, ToolMissing
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.elsewhere import template_for
from ai_toolkit.workspace.given_parameters import given_parameters
from ai_toolkit.workspace.located import Located
from ai_toolkit.workspace.template import Template, workspace_template
from ai_toolkit.workspace.workspace import Parameters, Target, Workspace

log = logging.getLogger(__name__)

_OUR_TAG: Final = "ai-toolkit"
_DEPLOYMENT: Final = "ai-toolkit-inference-deploy"
_HIDDEN: Final = "not asked for"


async def files_for(workspace: Workspace, app: ContainerApp, target: Target) -> tuple[Template, Parameters] | None:
    """The template and the given parameters; None where the app is not for them to decide about.

    Raises FileMalformed, ValueImpossible for files that Azure would refuse.
    """
    if _OUR_TAG not in app.tags:
        return None
    try:
        template = await workspace_template(workspace)
        given = (await given_parameters(workspace)).spelled_as(template.parameters)
    except (FileMissing, ToolMissing):
        return None
    parameter_rules.check(given, template.parameters)
    is_other = str(given.values.get("acaAppName") or app.name).lower() != app.name.lower()
    if is_other:
        return None  # another app is for Provision to make
    return template_for(template, given, target.subscription, target.resource_group), given


async def app_as_wanted(own: OwnApp, template: Template, given: Parameters) -> Mapping[str, Any] | Refusal | None:
    """The app's whole body, evaluated; None where the template makes no app of that name."""
    async with own.cloud.resource_manager(own.target.subscription) as manager:
        deployments = manager.deployments_of(own.target.resource_group)
        values = await _values(own, template, given)
        try:
            return await wanted_app(deployments, _DEPLOYMENT, template.content, values, own.app.name)
        except HttpResponseError as error:
            log.warning("what-if: %s", error.message)
            return Refusal(str(error.status_code), "Azure does not tell what the template wants now")


async def _values(own: OwnApp, template: Template, given: Parameters) -> dict[str, Any]:
    """The parameters as Provision would send them now: what is given, and what the app and its surroundings are."""
    app, target = own.app, own.target
    located = Located.of(app.environment_id, target.subscription, target.resource_group)
    environment = await own.apps.environment(located.name, located.group)
    profile_type = environment.profile_type(app.workload_profile) if environment is not None else ""
    volumes = (one for one in app.template.get("volumes") or () if one.get("storageType") == "AzureFile")
    live = {
        "location": app.location,
        "storageAccountName": target.account.name,
        "fileShareName": target.file_share,
        "acaEnvironmentName": located.name,
        "acaEnvironmentStorageName": next((one.get("storageName") for one in volumes), None),
        "acaAppName": app.name,
        "workloadProfileName": app.workload_profile,
        "workloadProfileType": profile_type or None,
        "apiKey": _HIDDEN,
        **{switch: False for switch in parameter_rules.OURS if switch.startswith("create")},
    }
    values = {**given.values, **{key: value for key, value in live.items() if value is not None}}
    return {key: value for key, value in values.items() if key in template.parameters}
