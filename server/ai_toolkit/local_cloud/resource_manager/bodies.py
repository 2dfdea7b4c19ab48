"""What a resource's body may hold: tables of the properties that the local cloud knows, and their check.

A name ends in `*` when it is required, in `=` when only answers hold it (in a request it is ignored, as on
Azure). The tables hold what templates of this product's kind send, not all that Azure offers: for the rest
the local cloud says that it does not know the property, rather than ignoring it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.local_cloud.arm_error import ArmError, JsonObject

Value = Any  # a JSON value


@dataclass(frozen=True)
class Text:
    """A string, of a length."""

    shortest: int = 0
    longest: int | None = None


@dataclass(frozen=True)
class OneOf:
    """One of some words, in any case."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A value of a JSON type."""

    name: str
    types: tuple[type, ...]


@dataclass(frozen=True)
class ListOf:
    """An array."""

    item: "Shape"


@dataclass(frozen=True)
class MapOf:
    """An object with names of the caller's choice."""

    item: "Shape"


Shape = Text | OneOf | Kind | ListOf | MapOf | Mapping[str, "Shape"]

TEXT: Final = Text()
INTEGER: Final = Kind("integer", (int,))
NUMBER: Final = Kind("number", (int, float))
BOOLEAN: Final = Kind("boolean", (bool,))
OBJECT: Final = Kind("object", (dict,))
SWITCH: Final = OneOf(("Enabled", "Disabled"))


def one_of(*words: str) -> OneOf:
    """One of the words."""
    return OneOf(words)


ANY_RESOURCE: Final[Mapping[str, Shape]] = {"id=": TEXT, "name=": TEXT, "type=": TEXT, "systemData=": OBJECT}
TRACKED: Final[Mapping[str, Shape]] = {**ANY_RESOURCE, "location*": TEXT, "tags": MapOf(TEXT)}
IDENTITY: Final[Mapping[str, Shape]] = {"type*": TEXT, "principalId=": TEXT, "tenantId=": TEXT}
SECRETS: Final = ListOf({"name": TEXT, "value": TEXT, "identity": TEXT, "keyVaultUrl": TEXT})
HTTP_PROBE: Final[Mapping[str, Shape]] = {
    "host": TEXT,
    "httpHeaders": ListOf({"name*": TEXT, "value*": TEXT}),
    "path": TEXT,
    "port*": INTEGER,
    "scheme": one_of("HTTP", "HTTPS"),
}
PROBE: Final[Mapping[str, Shape]] = {
    "type": one_of("Liveness", "Readiness", "Startup"),
    "httpGet": HTTP_PROBE,
    "tcpSocket": {"host": TEXT, "port*": INTEGER},
    "initialDelaySeconds": INTEGER,
    "periodSeconds": INTEGER,
    "timeoutSeconds": INTEGER,
    "successThreshold": INTEGER,
    "failureThreshold": INTEGER,
    "terminationGracePeriodSeconds": INTEGER,
}
CONTAINER: Final[Mapping[str, Shape]] = {
    "name": TEXT,
    "image": TEXT,
    "command": ListOf(TEXT),
    "args": ListOf(TEXT),
    "env": ListOf({"name": TEXT, "value": TEXT, "secretRef": TEXT}),
    "resources": {"cpu": NUMBER, "memory": TEXT, "ephemeralStorage=": TEXT},
    "volumeMounts": ListOf({"volumeName": TEXT, "mountPath": TEXT, "subPath": TEXT}),
    "probes": ListOf(PROBE),
}
SCALE_RULE: Final[Mapping[str, Shape]] = {
    "name": TEXT,
    "http": {"metadata": MapOf(TEXT)},
    "tcp": {"metadata": MapOf(TEXT)},
}
TEMPLATE: Final[Mapping[str, Shape]] = {
    "revisionSuffix": TEXT,
    "terminationGracePeriodSeconds": INTEGER,
    "containers": ListOf(CONTAINER),
    "scale": {
        "minReplicas": INTEGER,
        "maxReplicas": INTEGER,
        "cooldownPeriod": INTEGER,
        "pollingInterval": INTEGER,
        "rules": ListOf(SCALE_RULE),
    },
    "volumes": ListOf({"name": TEXT, "storageType": TEXT, "storageName": TEXT, "mountOptions": TEXT}),
}
INGRESS: Final[Mapping[str, Shape]] = {
    "fqdn=": TEXT,
    "external": BOOLEAN,
    "targetPort": INTEGER,
    "exposedPort": INTEGER,
    "transport": one_of("auto", "http", "http2", "tcp"),
    "allowInsecure": BOOLEAN,
    "traffic": ListOf({"revisionName": TEXT, "weight": INTEGER, "latestRevision": BOOLEAN, "label": TEXT}),
    "stickySessions": {"affinity": one_of("sticky", "none")},
    "ipSecurityRestrictions": ListOf(
        {"name*": TEXT, "description": TEXT, "ipAddressRange*": TEXT, "action*": one_of("Allow", "Deny")}
    ),
    "clientCertificateMode": one_of("ignore", "accept", "require"),
}
APP: Final[Mapping[str, Shape]] = {
    **TRACKED,
    "identity": IDENTITY,
    "properties": {
        "environmentId": TEXT,
        "managedEnvironmentId": TEXT,
        "workloadProfileName": TEXT,
        "configuration": {
            "activeRevisionsMode": one_of("Single", "Multiple"),
            "maxInactiveRevisions": INTEGER,
            "secrets": SECRETS,
            "ingress": INGRESS,
        },
        "template": TEMPLATE,
        "provisioningState=": TEXT,
        "runningStatus=": TEXT,
        "latestRevisionName=": TEXT,
        "latestReadyRevisionName=": TEXT,
        "latestRevisionFqdn=": TEXT,
        "customDomainVerificationId=": TEXT,
        "outboundIpAddresses=": ListOf(TEXT),
        "eventStreamEndpoint=": TEXT,
    },
}
ENVIRONMENT: Final[Mapping[str, Shape]] = {
    **TRACKED,
    "identity": IDENTITY,
    "properties": {
        "appLogsConfiguration": {
            "destination": TEXT,
            "logAnalyticsConfiguration": {"customerId": TEXT, "sharedKey": TEXT},
        },
        "workloadProfiles": ListOf(
            {"name*": TEXT, "workloadProfileType*": TEXT, "minimumCount": INTEGER, "maximumCount": INTEGER}
        ),
        "zoneRedundant": BOOLEAN,
        "publicNetworkAccess": SWITCH,
        "daprAIInstrumentationKey": TEXT,
        "daprAIConnectionString": TEXT,
        "provisioningState=": TEXT,
        "defaultDomain=": TEXT,
        "staticIp=": TEXT,
        "eventStreamEndpoint=": TEXT,
    },
}
STORAGE: Final[Mapping[str, Shape]] = {
    **ANY_RESOURCE,
    "properties": {
        "azureFile": {
            "accountName": TEXT,
            "accountKey": TEXT,
            "shareName": TEXT,
            "accessMode": one_of("ReadOnly", "ReadWrite"),
        }
    },
}
ACCOUNT: Final[Mapping[str, Shape]] = {
    **TRACKED,
    "kind*": one_of("Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"),
    "sku*": {"name*": TEXT, "tier=": TEXT},
    "properties": {
        "accessTier": one_of("Hot", "Cool", "Premium", "Cold", "Smart"),
        "allowBlobPublicAccess": BOOLEAN,
        "allowSharedKeyAccess": BOOLEAN,
        "supportsHttpsTrafficOnly": BOOLEAN,
        "minimumTlsVersion": one_of("TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"),
        "publicNetworkAccess": one_of("Enabled", "Disabled", "SecuredByPerimeter"),
        "largeFileSharesState": SWITCH,
        "networkAcls": OBJECT,
        "provisioningState=": TEXT,
        "creationTime=": TEXT,
        "primaryEndpoints=": OBJECT,
        "primaryLocation=": TEXT,
        "statusOfPrimary=": TEXT,
    },
}
FILE_SERVICE: Final[Mapping[str, Shape]] = {
    **ANY_RESOURCE,
    "properties": {"shareDeleteRetentionPolicy": {"enabled": BOOLEAN, "days": INTEGER}},
}
SHARE: Final[Mapping[str, Shape]] = {
    **ANY_RESOURCE,
    "properties": {
        "accessTier": one_of("TransactionOptimized", "Hot", "Cool", "Premium"),
        "enabledProtocols": one_of("SMB", "NFS"),
        "shareQuota": INTEGER,
        "metadata": MapOf(TEXT),
    },
}
WORKSPACE: Final[Mapping[str, Shape]] = {
    **TRACKED,
    "properties": {
        "sku": {"name*": TEXT},
        "retentionInDays": INTEGER,
        "publicNetworkAccessForIngestion": TEXT,
        "publicNetworkAccessForQuery": TEXT,
        "workspaceCapping": {"dailyQuotaGb": NUMBER, "dataIngestionStatus=": TEXT, "quotaNextResetTime=": TEXT},
        "features": OBJECT,
        "provisioningState=": TEXT,
        "customerId=": TEXT,
        "createdDate=": TEXT,
        "modifiedDate=": TEXT,
    },
}
BODIES: Final[Mapping[str, Mapping[str, Shape]]] = {
    "microsoft.app/containerapps": APP,
    "microsoft.app/managedenvironments": ENVIRONMENT,
    "microsoft.app/managedenvironments/storages": STORAGE,
    "microsoft.storage/storageaccounts": ACCOUNT,
    "microsoft.storage/storageaccounts/fileservices": FILE_SERVICE,
    "microsoft.storage/storageaccounts/fileservices/shares": SHARE,
    "microsoft.operationalinsights/workspaces": WORKSPACE,
}


def check_body(resource_type: str, body: JsonObject, *, is_whole: bool = True) -> None:
    """Raise ArmError `InvalidRequestContent` with every mistake of a request's body among the details.

    A PATCH is not whole: what it leaves out is there already.
    """
    table = BODIES.get(resource_type.lower())
    problems = [] if table is None else list(_problems(table, body, "", is_whole=is_whole))
    if not problems:
        return
    target, message = problems[0]
    raise ArmError(
        "InvalidRequestContent",
        f"The request content was invalid: {message} Path '{target}'.",
        target=target,
        details=[
            {"code": "InvalidRequestContent", "message": message, "target": target} for target, message in problems
        ],
    )


def _problems(shape: Shape, value: Value, path: str, *, is_whole: bool) -> Iterator[tuple[str, str]]:
    if value is None or _is_expression(value):
        return  # null is not given, and what only the deployment can evaluate is checked then
    if isinstance(shape, Mapping):
        yield from _object_problems(shape, value, path, is_whole=is_whole)
    elif isinstance(shape, ListOf):
        if not isinstance(value, list):
            yield path, "An array is expected."
            return
        for index, item in enumerate(value):
            yield from _problems(shape.item, item, f"{path}[{index}]", is_whole=True)
    elif isinstance(shape, MapOf):
        if not isinstance(value, dict):
            yield path, "An object is expected."
            return
        for name, item in value.items():
            yield from _problems(shape.item, item, f"{path}.{name}", is_whole=True)
    else:
        yield from _value_problems(shape, value, path)


def _value_problems(shape: Text | OneOf | Kind, value: Value, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, Kind):
        is_number_and_not = isinstance(value, bool) and bool not in shape.types
        if not isinstance(value, shape.types) or is_number_and_not:
            yield path, f"A value of type {shape.name} is expected."
    elif not isinstance(value, str):
        yield path, "A string is expected."
    elif isinstance(shape, OneOf):
        if value.lower() not in {word.lower() for word in shape.words}:
            yield path, f"'{value}' is none of {', '.join(shape.words)}."
    elif len(value) < shape.shortest or (shape.longest is not None and len(value) > shape.longest):
        yield path, f"The length of the text is not from {shape.shortest} to {shape.longest}."


def _object_problems(
    shape: Mapping[str, Shape], value: Value, path: str, *, is_whole: bool
) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, "An object is expected."
        return
    by_name = {written.rstrip("*="): (written, inner) for written, inner in shape.items()}
    for name, item in value.items():
        here = f"{path}.{name}" if path else name
        if name not in by_name:
            yield here, f"The local cloud knows no property '{name}' here."
        elif not by_name[name][0].endswith("="):
            yield from _problems(by_name[name][1], item, here, is_whole=is_whole)
    for name, (written, _inner) in by_name.items():
        if is_whole and written.endswith("*") and value.get(name) is None:
            yield f"{path}.{name}" if path else name, f"The property '{name}' is required."


def _is_expression(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")
