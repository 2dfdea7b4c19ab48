"""What Azure answers of an app or environment whose body did not say it, as it was recorded."""

from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject

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


def with_defaults(given: JsonObject, defaults: JsonObject) -> JsonObject:
    """What is given, with what is missing of the defaults, at every depth."""
    found = dict(given)
    for name, value in defaults.items():
        if found.get(name) is None:
            found[name] = value
        elif isinstance(value, dict) and isinstance(found[name], dict):
            found[name] = with_defaults(found[name], value)
    return found
