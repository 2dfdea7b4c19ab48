"""Container apps, their revisions, replicas and logs, over HTTP."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from ai_toolkit.local_cloud.container_apps.bodies import APP, APP_VERSIONS
from ai_toolkit.local_cloud.container_apps.defaults import (
    APP_DEFAULTS,
    DEFAULT_RESOURCES,
    INGRESS_DEFAULTS,
    REGISTRY_DEFAULTS,
    shown_containers,
    shown_identity,
    shown_system_data,
    with_defaults,
)
from ai_toolkit.local_cloud.container_apps.environment_resource import (
    environment_of,
    profile_of,
    require_environment,
)
from ai_toolkit.local_cloud.container_apps.host import AppHost
from ai_toolkit.local_cloud.container_apps.ingress_rules import IngressRules
from ai_toolkit.local_cloud.container_apps.probes import read_probes
from ai_toolkit.local_cloud.container_apps.replica_log import opening_events
from ai_toolkit.local_cloud.container_apps.running_app import RunningApp
from ai_toolkit.local_cloud.container_apps.schedule import read_schedules
from ai_toolkit.local_cloud.container_apps.traffic import check_traffic
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue, not_emulated_value
from ai_toolkit.local_cloud.core.home import WORKSPACE_TAG
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Table
from ai_toolkit.local_cloud.core.state import LOCAL, StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, LongOperations, Polled
from ai_toolkit.local_cloud.resource_manager.resource_type import Action, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import display_location, normal_location

TOKEN_LIFE = timedelta(hours=1)
CHANGE_TAKES = timedelta(seconds=14)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ContainerApps(ResourceType):
    """Microsoft.App/containerApps, each with what runs for it."""

    name: ClassVar[str] = "Microsoft.App/containerApps"
    body: ClassVar[Table] = APP
    api_versions: ClassVar[frozenset[str]] = APP_VERSIONS
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]")
    name_rule: ClassVar[str] = (
        "2 to 32 lower-case letters, digits and single hyphens, beginning with a letter, no hyphen last"
    )
    resumes: ClassVar[bool] = True
    long: ClassVar[LongOperations] = LongOperations(
        "containerappOperationStatuses",
        "containerappOperationResults",
        put=LongOperation(timedelta(seconds=13), Polled.STATUS, 201, has_body=True),
        patch=LongOperation(CHANGE_TAKES, Polled.STATUS | Polled.RESULT),
        delete=LongOperation(timedelta(seconds=18), Polled.RESULT),
    )

    def __init__(self, host: AppHost, origin: Callable[[], str], issue_token: Callable[[timedelta], str]) -> None:
        super().__init__(host.store)
        self._host = host
        self._origin = origin
        self._issue_token = issue_token
        self._running: dict[str, RunningApp] = {}

    def opening_events(self) -> list[str]:
        """What an app's event stream says when it is opened."""
        return opening_events(self._host.faults.stalled_for)

    # Life of the cloud.

    async def resume(self) -> None:
        """Continue with every app that is stored."""
        self._host.clear_work_folders()
        for app in self.store.below("/subscriptions", self.name):
            await self.running(app.id).resume()

    async def close(self) -> None:
        """End every replica and listener."""
        for app in list(self._running.values()):
            await app.close()

    def addresses(self) -> list[JsonObject]:
        """Where each app is listened for now, in which group, and which workspace the group was made for."""
        found = []
        for app in self._running.values():
            group = self._host.store.get(app.id.group_id)
            tags = (group.body.get("tags") or {}) if group else {}
            workspace = tags.get(WORKSPACE_TAG)
            group_name = group.id.name if group else app.id.group
            found.append(
                {"resourceGroup": group_name, "app": app.id.name, "port": app.ingress.port, "workspace": workspace}
            )
        return found

    def running(self, identifier: ResourceId) -> RunningApp:
        """What runs for an app that is stored."""
        app = self._running.get(identifier.key)
        if app is None:
            app = self._running[identifier.key] = RunningApp(identifier, self._host)
        return app

    # As a type of resource.

    def busy(self, resource: StoredResource) -> ArmError | None:
        """Refuse a second write, which is documentation only: reported by people, never recorded."""
        if properties(resource.body).get("provisioningState") not in {self.working_state, self.deleting_state}:
            return None
        return ArmError(
            "ContainerAppOperationInProgress",
            f"Cannot modify a container app '{resource.id.name}' because there is an active provisioning operation in "
            f"progress that started at {resource.body['systemData']['lastModifiedAt']}.",
            status=409,
        )

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse what Azure refuses: containers, secrets, probes, scale, ingress."""
        super().check(identifier, body)
        given = properties(body)
        containers = (given.get("template") or {}).get("containers")
        if not isinstance(containers, list) or not containers:
            raise ArmError(
                "ContainerAppContainersRequired",
                "The container app needs at least one container.",
                target="properties.template.containers",
            )
        _check_names(given["template"])
        configuration = given.get("configuration") or {}
        secrets = self._check_secrets(configuration)
        for container in (*containers, *(given["template"].get("initContainers") or [])):
            if not isinstance(container.get("image"), str) or not container["image"]:
                raise ArmError(
                    "ContainerAppImageRequired",
                    f"The container '{container.get('name')}' needs an image.",
                    target="properties.template.containers.image",
                )
            for variable in container.get("env") or []:
                reference = variable.get("secretRef")
                if reference and reference not in secrets:
                    raise ArmError(
                        "ContainerAppSecretRefNotFound",
                        f"SecretRef '{reference}' defined for container '{container.get('name')}' not found.",
                        target="properties.template.containers.env",
                    )
            read_probes(container)
        scale = (given.get("template") or {}).get("scale") or {}
        least, most = scale.get("minReplicas") or 0, 10 if scale.get("maxReplicas") is None else scale["maxReplicas"]
        if not isinstance(least, int) or not isinstance(most, int) or not 0 <= least <= most or not 1 <= most <= 1000:  # noqa: PLR2004
            raise ArmError(
                "ContainerAppInvalidScaleSettings",
                f"minReplicas {least} and maxReplicas {most} are not valid: 0 <= minReplicas <= maxReplicas <= 1000.",
                target="properties.template.scale",
            )
        read_schedules(scale)
        ingress = configuration.get("ingress")
        if str(configuration.get("activeRevisionsMode")).lower() == "multiple":
            check_traffic(ingress or {})
        if str((ingress or {}).get("transport")).lower() == "tcp":
            raise not_emulated_value("tcp", "properties.configuration.ingress.transport")
        IngressRules.read(ingress or {})
        if ingress and not isinstance(ingress.get("targetPort", 80), int):
            raise ArmError(
                "IngressTargetPortInvalid",
                "The target port must be an integer.",
                target="properties.configuration.ingress.targetPort",
            )

    def _check_secrets(self, configuration: JsonObject) -> set[str]:
        names = set()
        for secret in configuration.get("secrets") or []:
            name = secret.get("name")
            if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
                raise ArmError(
                    "ContainerAppSecretNameInvalid",
                    f"'{name}' is not a secret's name: lower-case letters, digits, '-' and '.'.",
                    target="properties.configuration.secrets",
                )
            is_elsewhere = bool(secret.get("keyVaultUrl"))
            if not is_elsewhere and (not isinstance(secret.get("value"), str) or not secret["value"]):
                raise ArmError(
                    "ContainerAppSecretInvalid",
                    f"The secret '{name}' needs a value.",
                    target="properties.configuration.secrets",
                )
            names.add(name)
        for registry in configuration.get("registries") or []:
            reference = registry.get("passwordSecretRef")
            if reference and reference not in names:
                raise ArmError(
                    "ContainerAppRegistriesPasswordSecretRefNotFound",
                    f"PasswordSecretRef '{reference}' defined for registry server '{registry.get('server')}' "
                    "not found.",
                )
        return names

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults; ports and revisions of an existing app stay."""
        given = properties(body)
        environment_id = given.get("environmentId") or given.get("managedEnvironmentId")
        environment = require_environment(self.store, environment_id, f"container app '{identifier.name}'")
        _check_region(identifier, body, environment)
        before = properties(existing) if existing else {}
        if before and environment_of(existing or {}) != environment.id.key:
            raise ArmError(
                "ContainerAppEnvironmentCannotBeChanged",
                "The managed environment of a container app cannot be changed.",
                target="properties.environmentId",
            )
        configuration = dict(given.get("configuration") or {})
        configuration["activeRevisionsMode"] = configuration.get("activeRevisionsMode") or "Single"
        if configuration.get("ingress"):
            ingress = {
                "external": False,
                "transport": "Auto",
                "allowInsecure": False,
                "traffic": [{"weight": 100, "latestRevision": True}],
                **{name: value for name, value in configuration["ingress"].items() if value is not None},
            }
            ingress.pop("fqdn", None)
            configuration["ingress"] = ingress
        return {
            **body,
            LOCAL: (existing or {}).get(LOCAL) or {},
            "properties": {
                **given,
                "environmentId": str(environment.id),
                "managedEnvironmentId": str(environment.id),
                "workloadProfileName": profile_of(environment, given.get("workloadProfileName")),
                "configuration": configuration,
                "template": _template_with_defaults(given["template"]),
            },
        }

    async def provision(self, resource: StoredResource) -> None:
        """Bring what runs to what is stored."""
        if self._host.gpus(resource.body) is not None and not self._host.gpu_limit:
            raise ArmError(
                "MaxRegionalQuotaExceeded",
                f"The container app '{resource.id.name}' needs a GPU, and the quota of GPUs in this region is 0.",
                target="properties.workloadProfileName",
            )
        await self.running(resource.id).apply()

    async def remove(self, resource: StoredResource) -> None:
        """End everything that runs for the app."""
        app = self._running.pop(resource.id.key, None)
        if app is not None:
            await app.close()

    def shown_location(self, location: str) -> str:
        """`West US 3`, whatever was sent."""
        return display_location(location)

    def view(self, resource: StoredResource) -> JsonObject:
        """The app as a GET returns it: secrets by name only."""
        body = super().view(resource)
        local: JsonObject = body.pop(LOCAL, None) or {}
        app = self.running(resource.id)
        stored = body["properties"]
        configuration = dict(stored["configuration"])
        configuration["secrets"] = [
            {name: value for name, value in secret.items() if name != "value"}
            for secret in configuration.get("secrets") or []
        ] or None
        configuration["registries"] = [
            with_defaults(one, REGISTRY_DEFAULTS) for one in configuration.get("registries") or []
        ] or None
        if configuration.get("ingress"):
            configuration["ingress"] = {**with_defaults(configuration["ingress"], INGRESS_DEFAULTS), "fqdn": app.fqdn}
        latest = local.get("latestRevision")
        stream = f"{self._origin()}{resource.id.group_id}/containerApps/{resource.id.name}/eventstream"
        template = {**stored["template"], "containers": shown_containers(stored["template"]["containers"], disk=True)}
        template["scale"] = {**template["scale"], "rules": template["scale"].get("rules") or None}
        shown = {**stored, "configuration": configuration, "template": template}
        return {
            **body,
            "id": f"{resource.id.group_id}/providers/Microsoft.App/containerapps/{resource.id.name}",
            "identity": shown_identity(body.get("identity")),
            **shown_system_data(body),
            "properties": {
                **with_defaults(shown, APP_DEFAULTS),
                "runningStatus": app.running_status(),
                "latestRevisionName": latest or "",
                "latestReadyRevisionName": local.get("latestReadyRevision") or "",
                "latestRevisionFqdn": app.fqdn or "",
                "customDomainVerificationId": "0" * 64,
                "outboundIpAddresses": ["127.0.0.1"],
                "eventStreamEndpoint": stream,
            },
        }

    def actions(self) -> Mapping[str, Action]:
        """Secrets and the token of the log streams; start and stop are long-running and routed apart."""
        return {"listsecrets": self._list_secrets, "getauthtoken": self._get_auth_token}

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """`listSecrets()` of templates."""
        return {"listsecrets": _secret_values}

    async def _list_secrets(self, app: StoredResource, _body: JsonObject) -> JsonValue:
        return _secret_values(app)

    async def _get_auth_token(self, app: StoredResource, _body: JsonObject) -> JsonValue:
        expires = datetime.now(UTC) + TOKEN_LIFE
        return {
            "id": f"{app.id.group_id}/providers/Microsoft.App/containerapps/{app.id.name}",
            "name": app.id.name,
            "type": f"{self.name}/accesstoken",
            "location": display_location(app.body["location"]),
            "properties": {"token": self._issue_token(TOKEN_LIFE), "expires": expires.isoformat()},
        }


def _check_region(identifier: ResourceId, body: JsonObject, environment: StoredResource) -> None:
    """An app is where its environment is; the code is documentation only."""
    if normal_location(body["location"]) != normal_location(environment.body["location"]):
        raise ArmError(
            "InvalidLocation",
            f"The container app '{identifier.name}' in '{body['location']}' and its managed environment "
            f"'{environment.id.name}' in '{environment.body['location']}' must be in the same location.",
            target="location",
        )


def _check_names(template: JsonObject) -> None:
    """Refuse names that Kubernetes does not take: replicas, their logs and folders are named after them."""
    given = [("revisionSuffix", template.get("revisionSuffix"))]
    given += [("volumes", volume.get("name")) for volume in template.get("volumes") or []]
    for place, name in given:
        if name and not (isinstance(name, str) and LABEL.fullmatch(name)):
            raise ArmError(
                "ContainerAppNameInvalid",
                f"'{name}' is not a name: 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last.",
                target=f"properties.template.{place}",
            )


def _secret_values(app: StoredResource) -> JsonObject:
    secrets = (properties(app.body).get("configuration") or {}).get("secrets") or []
    return {"value": [{"name": secret["name"], "value": secret.get("value")} for secret in secrets]}


def _template_with_defaults(template: JsonObject) -> JsonObject:
    """The template with the defaults that Azure returns."""
    scale = {
        "minReplicas": None,
        "maxReplicas": 10,
        "cooldownPeriod": 300,
        "pollingInterval": 30,
        "rules": None,
    }
    containers = [
        {**container, "resources": {**DEFAULT_RESOURCES, **(container.get("resources") or {})}}
        for container in template["containers"]
    ]
    for index, container in enumerate(containers):
        container.setdefault("name", f"container-{index}")
    for index, container in enumerate(template.get("initContainers") or []):
        container.setdefault("name", f"init-{index}")
    said = {name: value for name, value in (template.get("scale") or {}).items() if value is not None}
    return {**template, "containers": containers, "scale": {**scale, **said}}
