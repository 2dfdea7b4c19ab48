"""Managed environments, their storage definitions and workload profiles."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar

from ai_toolkit.local_cloud.container_apps.bodies import APP_VERSIONS, ENVIRONMENT, STORAGE
from ai_toolkit.local_cloud.container_apps.defaults import (
    ENVIRONMENT_DEFAULTS,
    LOGS_DEFAULTS,
    OFF,
    shown_system_data,
    with_defaults,
)
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
SERVERLESS_GPUS = {"Consumption-GPU-NC8as-T4": (8, 56), "Consumption-GPU-NC24-A100": (24, 220)}
# Display name, cores, memory in GiB, GPUs, category; those of serverless GPUs are not recorded.
PROFILE_TYPES = {
    **{f"D{cores}": (f"Dedicated-D{cores}", cores, 4 * cores, 0, "GeneralPurpose") for cores in (4, 8, 16, 32)},
    **{f"E{cores}": (f"Dedicated-E{cores}", cores, 8 * cores, 0, "MemoryOptimized") for cores in (4, 8, 16, 32)},
    "Consumption": ("Consumption", 4, 8, 0, "Consumption"),
    **{f"NC{24 * n}-A100": (f"Dedicated-NC{24 * n}-A100", 24 * n, 220 * n, n, "GPU-NC-A100") for n in (1, 2, 4)},
    **{kind: (kind, cores, memory, 1, "GPU") for kind, (cores, memory) in SERVERLESS_GPUS.items()},
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

    def __init__(self, store: ResourceStore, origin: Callable[[], str]) -> None:
        super().__init__(store)
        self._origin = origin

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse profiles that do not exist, and counts on serverless ones."""
        super().check(identifier, body)
        for profile in properties(body).get("workloadProfiles") or []:
            kind = profile.get("workloadProfileType")
            if not isinstance(kind, str) or _known_type(kind) is None:
                raise ArmError(
                    "WorkloadProfileTypeNotSupported",
                    f"The workload profile type '{kind}' is not supported.",
                    target="properties.workloadProfiles",
                )
            if kind.lower().startswith("consumption") and ({"minimumCount", "maximumCount"} & set(profile)):
                raise ArmError(
                    "WorkloadProfilePropertyNotSupported",
                    f"The properties 'minimumCount' and 'maximumCount' are not supported for the workload profile "
                    f"'{profile.get('name')}' of type '{kind}'.",
                    target="properties.workloadProfiles",
                )

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults: what a PUT does not say is gone."""
        given = properties(body)
        if existing is not None and given.get("workloadProfiles") and not properties(existing).get("workloadProfiles"):
            raise ArmError(
                "ManagedEnvironmentInvalidRequest",
                f"The managed environment '{identifier.name}' was made without workload profiles, and cannot get any.",
                target="properties.workloadProfiles",
            )
        profiles = given.get("workloadProfiles")
        if profiles is not None:  # an environment of the second kind, which always has a Consumption profile
            profiles = [{**one, "workloadProfileType": _known_type(one["workloadProfileType"])} for one in profiles]
        defaults: JsonObject = {
            "zoneRedundant": False,
            "publicNetworkAccess": "Enabled",
            "peerAuthentication": {"mtls": OFF},
            "peerTrafficConfiguration": {"encryption": OFF},
        }
        if profiles is not None and not any(one["workloadProfileType"] == "Consumption" for one in profiles):
            profiles = [*profiles, CONSUMPTION]
        return {
            **{name: value for name, value in body.items() if name != "identity" or _is_identity(value)},
            "properties": {
                **defaults,
                **{name: value for name, value in given.items() if value is not None},
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
            analytics = with_defaults({**logs["logAnalyticsConfiguration"], "sharedKey": None}, LOGS_DEFAULTS)
            shown["appLogsConfiguration"] = {**logs, "logAnalyticsConfiguration": analytics}
        for secret in ("daprAIInstrumentationKey", "daprAIConnectionString"):
            shown[secret] = None
        shown = with_defaults(shown, ENVIRONMENT_DEFAULTS)
        shown["defaultDomain"] = dns_suffix(resource.id)
        shown["staticIp"] = "127.0.0.1"
        stream = f"{resource.id.group_id}/managedEnvironments/{resource.id.name}/eventstream"
        shown["eventStreamEndpoint"] = f"{self._origin()}{stream}"
        profiles = [{"enableFips": False, **one} for one in shown.get("workloadProfiles") or []]
        shown["workloadProfiles"] = profiles or None
        return {**body, **shown_system_data(body), "properties": shown}

    def actions(self) -> Mapping[str, Action]:
        """Whether a certificate's name is free."""
        return {"checknameavailability": self._check_name}

    async def _check_name(self, environment: StoredResource, body: JsonObject) -> JsonValue:
        name, kind = (str(body.get(one) or "") for one in ("name", "type"))
        taken = any(one.id.name.lower() == name.lower() for one in self.store.below(str(environment.id), kind))
        if not taken:
            return {"nameAvailable": True}
        return {"nameAvailable": False, "reason": "AlreadyExists", "message": f"The name '{name}' is already in use."}

    def workload_profile_states(self, environment: StoredResource, gpus_in_use: int) -> list[JsonObject]:
        """How many nodes each profile has now: as few as it may, unless GPUs of theirs are in use."""
        return [
            {
                "id": f"{environment.id}/workloadProfileStates/{profile['name']}",
                "name": profile["name"],
                "type": profile["workloadProfileType"],
                "properties": {
                    "name": profile["name"],
                    "workloadProfileType": profile["workloadProfileType"],
                    **_counts(profile, gpus_in_use),
                },
            }
            for profile in properties(environment.body).get("workloadProfiles") or []
        ]


def _is_identity(identity: JsonValue) -> bool:
    """Whether there is one: none is not told of an environment."""
    return isinstance(identity, dict) and str(identity.get("type") or "None").lower() != "none"


def _known_type(kind: str) -> str | None:
    """A type of workload profile, whatever its case."""
    return next((one for one in PROFILE_TYPES if one.lower() == kind.lower()), None)


def _counts(profile: JsonObject, gpus_in_use: int) -> JsonObject:
    """How many nodes a dedicated profile may have and has; a serverless one has none."""
    if str(profile["workloadProfileType"]).startswith("Consumption"):
        return {}
    least, most = profile.get("minimumCount") or 0, profile.get("maximumCount") or 1
    gpus = PROFILE_TYPES[profile["workloadProfileType"]][3]
    running = max(least, -(-gpus_in_use // gpus)) if gpus else least
    return {"minimumCount": least, "maximumCount": most, "currentCount": running}


class EnvironmentStorages(ResourceType):
    """Microsoft.App/managedEnvironments/storages: a file share that apps may mount."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/storages"
    body: ClassVar[Table] = STORAGE
    api_versions: ClassVar[frozenset[str]] = APP_VERSIONS
    has_location: ClassVar[bool] = False
    has_system_data: ClassVar[bool] = False
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


def profile_of(environment: StoredResource, wanted: JsonValue) -> str | None:
    """The workload profile that an app is in, spelled as the environment has it; ArmError where there is none such.

    None in an environment of the first kind (without workload profiles), as recorded; what that one answers to a
    profile's name is not known.
    """
    names = [str(one.get("name")) for one in properties(environment.body).get("workloadProfiles") or []]
    named = str(wanted or "Consumption")
    found = next((name for name in names if name.lower() == named.lower()), None)
    if found is None and (names or named.lower() != "consumption"):
        raise ArmError(
            "WorkloadProfileNotFound",
            f"The workload profile '{named}' is not defined in the managed environment '{environment.id.name}'; "
            f"it has {', '.join(names) or 'no workload profiles'}.",
            target="properties.workloadProfileName",
        )
    return found


def available_profile_types(subscription: str, location: str) -> list[JsonObject]:
    """The kinds of workload profile that a region offers."""
    without_gpu = location.replace(" ", "").lower() in REGIONS_WITHOUT_GPU
    return [
        {
            "id": f"/subscriptions/{subscription}/providers/Microsoft.App"
            f"/availableManagedEnvironmentsWorkloadProfileTypes/{kind}",
            "name": kind,
            "type": "Microsoft.App/availableManagedEnvironmentsWorkloadProfileTypes",
            "location": location,
            "properties": {
                "displayName": display,
                "category": category,
                "cores": cores,
                "memoryGiB": memory_gib,
                **({"gpus": gpus} if gpus else {}),
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
