"""Managed environments, their storage definitions and workload profiles."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from ai_toolkit.local_cloud.container_apps.bodies import APP_VERSIONS, ENVIRONMENT, STORAGE
from ai_toolkit.local_cloud.container_apps.defaults import ENVIRONMENT_DEFAULTS, with_defaults
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Table
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, LongOperations, Polled, When
from ai_toolkit.local_cloud.resource_manager.resource_type import Action, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import display_location

APP_TYPE = "Microsoft.App/containerApps"
GPUS_PER_ENVIRONMENT = 1
REGIONS_WITHOUT_GPU = frozenset({"northeurope", "norwayeast"})
CONSUMPTION = {"name": "Consumption", "workloadProfileType": "Consumption"}
PROFILE_TYPES = {
    "Consumption": ("Consumption", 4, 8, 0, "Consumption"),
    "Consumption-GPU-NC8as-T4": ("Consumption GPU NC8as T4", 8, 56, 1, "GPU"),
    "Consumption-GPU-NC24-A100": ("Consumption GPU NC24 A100", 24, 220, 1, "GPU"),
    "NC24-A100": ("Dedicated GPU NC24 A100", 24, 220, 1, "GPU-NC-A100"),
    "D4": ("General purpose D4", 4, 16, 0, "GeneralPurpose"),
    "E4": ("Memory optimized E4", 4, 32, 0, "MemoryOptimized"),
}


class ManagedEnvironments(ResourceType):
    """Microsoft.App/managedEnvironments."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments"
    body: ClassVar[Table] = ENVIRONMENT
    api_versions: ClassVar[frozenset[str]] = APP_VERSIONS
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,58}[a-z0-9]")
    name_rule: ClassVar[str] = "2 to 60 lower-case letters, digits and single hyphens, beginning with a letter"
    working_state: ClassVar[str] = "Waiting"
    deleting_state: ClassVar[str] = "ScheduledForDelete"
    long: ClassVar[LongOperations] = LongOperations(
        "managedEnvironmentOperationStatuses",
        "managedEnvironmentOperationResults",
        put=LongOperation(timedelta(seconds=87), Polled.STATUS, 201, has_body=True, when=When.CHANGED),
        patch=LongOperation(timedelta(seconds=67), Polled.RESULT, when=When.CHANGED),
        delete=LongOperation(timedelta(seconds=952), Polled.RESULT),
    )

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse profiles that do not exist, and counts on serverless ones."""
        super().check(identifier, body)
        for profile in properties(body).get("workloadProfiles") or []:
            kind = profile.get("workloadProfileType")
            if kind not in PROFILE_TYPES:
                raise ArmError(
                    "WorkloadProfileTypeNotSupported",
                    f"The workload profile type '{kind}' is not supported.",
                    target="properties.workloadProfiles",
                )
            if kind.startswith("Consumption") and ({"minimumCount", "maximumCount"} & set(profile)):
                raise ArmError(
                    "WorkloadProfilePropertyNotSupported",
                    f"The properties 'minimumCount' and 'maximumCount' are not supported for the workload profile "
                    f"'{profile.get('name')}' of type '{kind}'.",
                    target="properties.workloadProfiles",
                )

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults: what a PUT does not say is gone."""
        del identifier, existing
        given = properties(body)
        profiles = given.get("workloadProfiles")
        defaults: JsonObject = {"zoneRedundant": False, "publicNetworkAccess": "Enabled"}
        if profiles is not None and not any(profile.get("name") == "Consumption" for profile in profiles):
            profiles = [*profiles, CONSUMPTION]
        return {
            **body,
            "properties": {
                **defaults,
                **given,
                **({"workloadProfiles": profiles} if profiles is not None else {}),
            },
        }

    def busy(self, resource: StoredResource) -> ArmError | None:
        """Refuse a second write, which is documentation only: reported by people, never recorded."""
        if properties(resource.body).get("provisioningState") not in {self.working_state, self.deleting_state}:
            return None
        return ArmError(
            "ManagedEnvironmentOperationInProgress",
            f"Cannot modify Container Apps environment {resource.id.name} because another operation is in progress.",
            status=409,
        )

    def check_removable(self, resource: StoredResource) -> None:
        """Refuse while container apps are in it, as Azure does."""
        apps = [
            app.id.name
            for app in self.store.below("/subscriptions", APP_TYPE)
            if environment_of(app.body) == resource.id.key and app.id.group_id.key == resource.id.group_id.key
        ]
        if apps:
            raise ArmError(
                "ManagedEnvironmentNotEmpty",
                f"The environment '{resource.id.name}' still holds the container apps {', '.join(apps)}.",
                status=409,
            )

    def shown_location(self, location: str) -> str:
        """`West US 3`, whatever was sent."""
        return display_location(location)

    def view(self, resource: StoredResource) -> JsonObject:
        """The environment without the key of its logs."""
        body = super().view(resource)
        shown = dict(body["properties"])
        logs = shown.get("appLogsConfiguration")
        if isinstance(logs, dict) and isinstance(logs.get("logAnalyticsConfiguration"), dict):
            analytics = {key: value for key, value in logs["logAnalyticsConfiguration"].items() if key != "sharedKey"}
            shown["appLogsConfiguration"] = {**logs, "logAnalyticsConfiguration": analytics}
        for secret in ("daprAIInstrumentationKey", "daprAIConnectionString"):
            shown[secret] = None
        shown = with_defaults(shown, ENVIRONMENT_DEFAULTS)
        shown["defaultDomain"] = dns_suffix(resource.id)
        shown["staticIp"] = "127.0.0.1"
        shown["eventStreamEndpoint"] = ""
        return {**body, "properties": shown}

    def actions(self) -> Mapping[str, Action]:
        """Environments have no POST that this product uses."""
        return {}

    def workload_profile_states(self, environment: StoredResource) -> list[JsonObject]:
        """How many nodes each profile has now."""
        return [
            {
                "id": f"{environment.id}/workloadProfileStates/{profile['name']}",
                "name": profile["name"],
                "type": f"{self.name}/workloadProfileStates",
                "properties": {
                    "minimumCount": profile.get("minimumCount", 0),
                    "maximumCount": profile.get("maximumCount", 1),
                    "currentCount": 0,
                },
            }
            for profile in properties(environment.body).get("workloadProfiles") or []
        ]


class EnvironmentStorages(ResourceType):
    """Microsoft.App/managedEnvironments/storages: a file share that apps may mount."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/storages"
    body: ClassVar[Table] = STORAGE
    api_versions: ClassVar[frozenset[str]] = APP_VERSIONS
    has_location: ClassVar[bool] = False
    created_status: ClassVar[int] = 200
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9][a-z0-9.-]{0,61}[a-z0-9]|[a-z0-9]")
    name_rule: ClassVar[str] = "1 to 63 lower-case letters, digits, '.' and '-'"

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse anything but an Azure file share with its key."""
        super().check(identifier, body)
        share = properties(body).get("azureFile")
        if not isinstance(share, dict):
            raise ArmError(
                "InvalidRequestContent",
                "The local cloud emulates storages of type 'azureFile' only.",
                target="properties.azureFile",
            )
        for name in ("accountName", "shareName", "accountKey"):
            if not isinstance(share.get(name), str) or not share[name]:
                raise ArmError(
                    "StorageAzureFilePropertyMissing",
                    f"The property 'azureFile.{name}' is required.",
                    target=f"properties.azureFile.{name}",
                )
        if share.get("accessMode", "ReadOnly") not in {"ReadOnly", "ReadWrite"}:
            raise ArmError(
                "InvalidRequestContent",
                "The property 'azureFile.accessMode' is 'ReadOnly' or 'ReadWrite'.",
                target="properties.azureFile.accessMode",
            )

    def not_found(self, identifier: ResourceId) -> ArmError:
        """404 in Container Apps' own words."""
        return ArmError(
            "ManagedEnvironmentStorageNotFound",
            f"ManagedEnvironment Storage '{identifier.name}' was not found.",
            status=404,
        )

    def view(self, resource: StoredResource) -> JsonObject:
        """The storage without its account's key."""
        body = super().view(resource)
        shown = {key: value for key, value in body["properties"].items() if key != "provisioningState"}
        shown["azureFile"] = {key: value for key, value in shown["azureFile"].items() if key != "accountKey"}
        return {**body, "type": "Microsoft.App/managedenvironments/storages", "properties": shown}


def environment_of(app_body: JsonObject) -> str:
    """The key of an app's managed environment."""
    found = properties(app_body)
    named = found.get("environmentId") or found.get("managedEnvironmentId") or ""
    return ResourceId.parse(named).key if isinstance(named, str) and named else ""


def require_environment(store: ResourceStore, environment_id: JsonValue, what: str) -> StoredResource:
    """The managed environment of that id, or ArmError 404 saying what needs it."""
    environment = store.get(ResourceId.parse(str(environment_id))) if environment_id else None
    if environment is None:
        raise ArmError(
            "ManagedEnvironmentNotFound",
            f"The managed environment '{environment_id}' of the {what} does not exist.",
            status=404,
            target="properties.environmentId",
        )
    state = properties(environment.body).get("provisioningState")
    if state != "Succeeded":
        raise ArmError(
            "ManagedEnvironmentNotProvisioned",
            f"The managed environment '{environment.id.name}' of the {what} is not provisioned: it is {state}.",
            target="properties.environmentId",
        )
    return environment


def dns_suffix(environment: ResourceId) -> str:
    """A domain that cannot exist: apps of the local cloud are reached by port, not by name."""
    return f"{environment.name}.local.invalid"


def uses_gpu(store: ResourceStore, app_body: JsonObject) -> bool:
    """Whether the app's workload profile gives each replica a GPU."""
    key = environment_of(app_body)
    environment = store.get(ResourceId.parse(key)) if key else None
    if environment is None:
        return False
    wanted = properties(app_body).get("workloadProfileName") or "Consumption"
    for profile in properties(environment.body).get("workloadProfiles") or []:
        if profile.get("name") == wanted:
            return bool(PROFILE_TYPES[profile["workloadProfileType"]][3])
    return False


def check_profile(environment: StoredResource, name: JsonValue) -> None:
    """Raise ArmError when the environment has no workload profile of that name."""
    names = [profile.get("name") for profile in properties(environment.body).get("workloadProfiles") or []]
    if name is not None and name not in (names or ["Consumption"]):
        raise ArmError(
            "WorkloadProfileNotFound",
            f"The workload profile '{name}' is not defined in the managed environment '{environment.id.name}'; "
            f"it has {', '.join(map(str, names)) or 'Consumption only'}.",
            target="properties.workloadProfileName",
        )


def available_profile_types(subscription: str, location: str) -> list[JsonObject]:
    """The kinds of workload profile that a region offers."""
    without_gpu = location.replace(" ", "").lower() in REGIONS_WITHOUT_GPU
    return [
        {
            "id": f"/subscriptions/{subscription}/providers/Microsoft.App/locations/{location}"
            f"/availableManagedEnvironmentsWorkloadProfileTypes/{kind}",
            "name": kind,
            "type": "Microsoft.App/locations/availableManagedEnvironmentsWorkloadProfileTypes",
            "location": location,
            "properties": {
                "applicability": "LocationDefault",
                "category": category,
                "cores": cores,
                "memoryGiB": memory_gib,
                "gpus": gpus,
                "displayName": display,
            },
        }
        for kind, (display, cores, memory_gib, gpus, category) in PROFILE_TYPES.items()
        if not (gpus and without_gpu)
    ]


def environment_usages(gpus_in_use: int, gpu_limit: int) -> list[JsonObject]:
    """What is used of each quota of one environment; the CPU's are those of Azure's recorded answer."""
    return [
        _usage("ManagedEnvironmentGeneralPurposeCores", 0, 200),
        _usage("ManagedEnvironmentMemoryOptimizedCores", 0, 50),
        _usage("ManagedEnvironmentComputeOptimizedCores", 0, 50),
        _usage("ManagedEnvironmentConsumptionCores", 0, 100),
        _usage("ManagedEnvironmentConsumptionNCA100Gpus", gpus_in_use, gpu_limit),
        _usage("ManagedEnvironmentConsumptionT4Gpus", gpus_in_use, gpu_limit),
    ]


def region_usages(environments: int, gpus_in_use: int, gpu_limit: int) -> list[JsonObject]:
    """What is used of each quota of the subscription in a region; dedicated GPUs have one of their own."""
    return [
        _usage("ManagedEnvironmentCount", environments, 50),
        _usage("SubscriptionConsumptionNCA100Gpus", gpus_in_use, gpu_limit),
        _usage("SubscriptionConsumptionT4Gpus", gpus_in_use, gpu_limit),
        _usage("SubscriptionNCA100Gpus", 0, gpu_limit),
    ]


def _usage(name: str, used: int, limit: int) -> JsonObject:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {
        "name": {"value": name, "localizedValue": words},
        "usage": used,
        "currentValue": used,
        "limit": limit,
    }
