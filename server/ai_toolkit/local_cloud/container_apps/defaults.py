"""What Azure answers of an app, job or environment whose body did not say it, as it was recorded."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject, JsonValue

DEFAULT_RESOURCES: Final[JsonObject] = {"cpu": 0.5, "memory": "1Gi"}
OFF: Final = {"enabled": False}
ENVIRONMENT_DEFAULTS: Final[JsonObject] = {
    "vnetConfiguration": None,
    "appLogsConfiguration": {"destination": None, "logAnalyticsConfiguration": None},
    "appInsightsConfiguration": None,
    "openTelemetryConfiguration": None,
    "kedaConfiguration": {"version": "2.17.2"},
    "daprConfiguration": {"version": "1.13.6-msft.6"},
    "customDomainConfiguration": {
        "customDomainVerificationId": "0" * 64,
        "dnsSuffix": None,
        "certificateKeyVaultProperties": None,
        "certificateValue": None,
        "certificatePassword": None,
        "thumbprint": None,
        "subjectName": None,
        "expirationDate": None,
    },
    "infrastructureResourceGroup": None,
    "peerAuthentication": {"mtls": OFF},
    "peerTrafficConfiguration": {"encryption": OFF},
}
APP_DEFAULTS: Final[JsonObject] = {
    "configuration": {
        "secrets": None,
        "ingress": None,
        "registries": None,
        "dapr": None,
        "runtime": None,
        "maxInactiveRevisions": 100,
        "service": None,
        "identitySettings": [],
    },
    "delegatedIdentities": [],
    "template": {
        "revisionSuffix": "",
        "terminationGracePeriodSeconds": None,
        "initContainers": None,
        "volumes": None,
        "serviceBinds": None,
    },
}
INGRESS_DEFAULTS: Final[JsonObject] = {
    "exposedPort": 0,
    "customDomains": None,
    "ipSecurityRestrictions": None,
    "corsPolicy": None,
    "clientCertificateMode": "Ignore",
    "stickySessions": {"affinity": "none"},
    "additionalPortMappings": None,
}
JOB_DEFAULTS: Final[JsonObject] = {
    "configuration": {
        "secrets": None,
        "manualTriggerConfig": None,
        "scheduleTriggerConfig": None,
        "eventTriggerConfig": None,
        "registries": None,
        "dapr": None,
    },
    "template": {"initContainers": None, "volumes": None},
}
LOGS_DEFAULTS: Final[JsonObject] = {"customerId": None, "sharedKey": None, "dynamicJsonColumns": False}
REGISTRY_DEFAULTS: Final[JsonObject] = {"server": "", "username": "", "passwordSecretRef": "", "identity": ""}
DISK_BY_CPU: Final = ((0.25, "1Gi"), (0.5, "2Gi"), (1.0, "4Gi"))  # documented: up to so many cores
LARGEST_DISK: Final = "8Gi"


def ephemeral_disk(cpu: float) -> str:
    """How much of its own disk a replica gets."""
    return next((disk for most, disk in DISK_BY_CPU if cpu <= most), LARGEST_DISK)


def shown_containers(containers: Iterable[JsonObject], *, disk: bool) -> list[JsonObject]:
    """Containers without what was not said; `disk`: as an app shows them, which revisions do not."""
    shown = []
    for container in containers:
        found: JsonObject = _said(container)
        resources = found.get("resources")
        if disk and isinstance(resources, dict):
            found["resources"] = {**resources, "ephemeralStorage": ephemeral_disk(resources.get("cpu") or 0.5)}
        shown.append(found)
    return shown


def shown_system_data(body: JsonObject) -> JsonObject:
    """When and by whom, with times as Container Apps writes them: of UTC, without saying so."""
    data = body.get("systemData")
    if not isinstance(data, dict):
        return {}
    times = {
        name: f"{datetime.fromisoformat(data[name]):%Y-%m-%dT%H:%M:%S.%f}"
        for name in ("createdAt", "lastModifiedAt")
        if isinstance(data.get(name), str)
    }
    return {"systemData": {**data, **times}}


def shown_identity(identity: JsonValue) -> JsonObject:
    """The identity of an app: none is told as `None`, and a list of none is not told."""
    found: JsonObject = _said(identity) if isinstance(identity, dict) else {}
    return {"type": "None", **found}


def _said(value: JsonValue) -> JsonValue:
    """A value without what is null, at every depth."""
    if isinstance(value, dict):
        return {name: _said(item) for name, item in value.items() if item is not None}
    return [_said(item) for item in value] if isinstance(value, list) else value


def with_defaults(given: JsonObject, defaults: JsonObject) -> JsonObject:
    """What is given, with what is missing of the defaults, at every depth."""
    found = dict(given)
    for name, value in defaults.items():
        if found.get(name) is None:
            found[name] = value
        elif isinstance(value, dict) and isinstance(found[name], dict):
            found[name] = with_defaults(found[name], value)
    return found
