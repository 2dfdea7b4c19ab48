"""What bodies of Microsoft.App and Microsoft.OperationalInsights hold: apps, environments, storages, jobs, workspaces.

The notation is explained in `core/shapes.py`.
"""

from typing import Final

from ai_toolkit.local_cloud.core.shapes import (
    ANY_RESOURCE,
    BOOLEAN,
    IDENTITY,
    INTEGER,
    NUMBER,
    SWITCH,
    TEXT,
    TEXTS,
    TRACKED,
    TURNED_ON,
    USER_ASSIGNED,
    Anything,
    InVersions,
    Kept,
    ListOf,
    MapOf,
    NotEmulated,
    OneOf,
    Shape,
    Table,
    Typed,
    answered,
    kept,
    not_emulated,
    one_of,
)

APP_VERSIONS: Final = frozenset({
    "2022-01-01-preview", "2022-03-01", "2022-06-01-preview", "2022-10-01", "2022-11-01-preview",
    "2023-04-01-preview", "2023-05-01", "2023-05-02-preview", "2023-08-01-preview", "2023-11-02-preview",
    "2024-02-02-preview", "2024-03-01", "2024-08-02-preview", "2024-10-02-preview", "2025-01-01",
    "2025-02-02-preview", "2025-07-01", "2025-10-02-preview", "2026-01-01", "2026-03-02-preview", "2026-07-01",
})  # fmt: skip
JOB_VERSIONS: Final = APP_VERSIONS - {"2022-01-01-preview", "2022-03-01", "2022-06-01-preview", "2022-10-01"}
WORKSPACE_VERSIONS: Final = frozenset({
    "2015-11-01-preview", "2020-03-01-preview", "2020-08-01", "2020-10-01", "2021-06-01", "2021-12-01-preview",
    "2022-10-01", "2023-09-01", "2025-02-01", "2025-07-01", "2026-03-01",
})  # fmt: skip

APP_TYPES: Final = Typed(("2023-11-02-preview", "2025-07-01", "2026-01-01"))
WORKSPACE_TYPES: Final = Typed(("2022-10-01", "2025-02-01", "2025-07-01"))


def since_2025(shape: Shape) -> InVersions:
    """A property that Microsoft.App has since the versions of 2025."""
    return InVersions(shape, APP_TYPES, frozenset({"2025-07-01", "2026-01-01"}))


def until_2024(shape: Shape) -> InVersions:
    """A property that only the preview of 2023 has."""
    return InVersions(shape, APP_TYPES, frozenset({"2023-11-02-preview"}))


def of_new_workspaces(shape: Shape) -> InVersions:
    """A property that workspaces have since 2025."""
    return InVersions(shape, WORKSPACE_TYPES, frozenset({"2025-02-01", "2025-07-01"}))


SECRETS: Final = ListOf({"name": TEXT, "value": TEXT, "identity": TEXT, "keyVaultUrl": TEXT})
REGISTRIES: Final = ListOf({"server": TEXT, "username": TEXT, "passwordSecretRef": TEXT, "identity": TEXT})
IDENTITY_SETTINGS: Final = ListOf({"identity*": TEXT, "lifecycle": one_of("Init", "Main", "None", "All")})
HTTP_PROBE: Final[Table] = {
    "host": TEXT,
    "httpHeaders": ListOf({"name*": TEXT, "value*": TEXT}),
    "path": TEXT,
    "port*": INTEGER,
    "scheme": one_of("HTTP", "HTTPS"),
}
PROBE: Final[Table] = {
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
CONTAINER: Final[Table] = {
    "name": TEXT,
    "image": TEXT,
    **answered("imageType"),
    "command": TEXTS,
    "args": TEXTS,
    "env": ListOf({"name": TEXT, "value": TEXT, "secretRef": TEXT}),
    "resources": {"cpu": NUMBER, "memory": TEXT, **answered("ephemeralStorage")},
    "volumeMounts": ListOf({"volumeName": TEXT, "mountPath": TEXT, "subPath": TEXT}),
    "probes": ListOf(PROBE),
}
INIT_CONTAINER: Final[Table] = {name: shape for name, shape in CONTAINER.items() if name != "probes"}
VOLUME: Final[Table] = {
    "name": TEXT,
    "storageType": one_of("AzureFile", "EmptyDir", "Secret", "NfsAzureFile"),
    "storageName": TEXT,
    "mountOptions": TEXT,
    "secrets": ListOf({"secretRef": TEXT, "path": TEXT}),
}
RULE_AUTH: Final = ListOf({"secretRef": TEXT, "triggerParameter": TEXT})
RULE_IDENTITY: Final = since_2025(TEXT)
SCALE_RULE: Final[Table] = {
    "name": TEXT,
    "http": {"metadata": MapOf(TEXT), "auth": RULE_AUTH, "identity": RULE_IDENTITY},
    "azureQueue": {
        "accountName": since_2025(TEXT),
        "queueName": TEXT,
        "queueLength": INTEGER,
        "auth": RULE_AUTH,
        "identity": RULE_IDENTITY,
    },
    "custom": {"type": TEXT, "metadata": MapOf(TEXT), "auth": RULE_AUTH, "identity": RULE_IDENTITY},
    "tcp": {"metadata": MapOf(TEXT), "auth": RULE_AUTH, "identity": RULE_IDENTITY},
}
APP_TEMPLATE: Final[Table] = {
    "revisionSuffix": TEXT,
    "terminationGracePeriodSeconds": INTEGER,
    "containers": ListOf(CONTAINER),
    "scale": {
        "minReplicas": INTEGER,
        "maxReplicas": INTEGER,
        "cooldownPeriod": since_2025(INTEGER),
        "pollingInterval": since_2025(INTEGER),
        "rules": ListOf(SCALE_RULE),
    },
    "volumes": ListOf(VOLUME),
    "initContainers": ListOf(INIT_CONTAINER),
    **not_emulated("serviceBinds"),
}
INGRESS: Final[Table] = {
    "external": BOOLEAN,
    "targetPort": INTEGER,
    "transport": one_of("Auto", "Http", "Http2", "Tcp"),
    "allowInsecure": BOOLEAN,
    "traffic": ListOf({"revisionName": TEXT, "weight": INTEGER, "latestRevision": BOOLEAN, "label": TEXT}),
    "stickySessions": {"affinity": one_of("sticky", "none")},
    "ipSecurityRestrictions": ListOf(
        {"name*": TEXT, "description": TEXT, "ipAddressRange*": TEXT, "action*": one_of("Allow", "Deny")}
    ),
    "clientCertificateMode": one_of("Ignore", "Accept", "Require"),
    "customDomains": ListOf(
        {"name*": TEXT, "bindingType": one_of("Disabled", "SniEnabled", "Auto"), "certificateId": TEXT}
    ),
    "corsPolicy": {
        "allowedOrigins*": TEXTS,
        "allowedMethods": TEXTS,
        "allowedHeaders": TEXTS,
        "exposeHeaders": TEXTS,
        "maxAge": INTEGER,
        "allowCredentials": BOOLEAN,
    },
    "targetPortHttpScheme": until_2024(one_of("http", "https")),
    **answered("fqdn"),
    **not_emulated("exposedPort", "additionalPortMappings"),
}
APP: Final[Table] = {
    **TRACKED,
    "identity": IDENTITY,
    "managedBy": TEXT,
    "kind": since_2025(Kept()),
    **not_emulated("extendedLocation"),
    "properties": {
        "environmentId": TEXT,
        "managedEnvironmentId": TEXT,
        "workloadProfileName": TEXT,
        "configuration": {
            "activeRevisionsMode": one_of("Single", "Multiple"),
            "maxInactiveRevisions": INTEGER,
            "secrets": SECRETS,
            "ingress": INGRESS,
            "registries": REGISTRIES,
            "identitySettings": since_2025(IDENTITY_SETTINGS),
            "runtime": since_2025(Kept()),
            **kept("dapr"),
            **not_emulated("service"),
        },
        "template": APP_TEMPLATE,
        **answered(
            "provisioningState",
            "runningStatus",
            "latestRevisionName",
            "latestReadyRevisionName",
            "latestRevisionFqdn",
            "customDomainVerificationId",
            "outboundIpAddresses",
            "eventStreamEndpoint",
            "delegatedIdentities",
            "patchingMode",
        ),
    },
}
ENVIRONMENT: Final[Table] = {
    **TRACKED,
    "identity": IDENTITY,
    "kind": TEXT,
    "properties": {
        "appLogsConfiguration": {
            "destination": TEXT,
            "logAnalyticsConfiguration": {
                "customerId": TEXT,
                "sharedKey": TEXT,
                "dynamicJsonColumns": until_2024(BOOLEAN),
            },
        },
        "workloadProfiles": ListOf(
            {
                "name*": TEXT,
                "workloadProfileType*": TEXT,
                "minimumCount": INTEGER,
                "maximumCount": INTEGER,
                **answered("enableFips"),
            }
        ),
        "zoneRedundant": BOOLEAN,
        "publicNetworkAccess": since_2025(SWITCH),
        "daprAIInstrumentationKey": TEXT,
        "daprAIConnectionString": TEXT,
        "kedaConfiguration": answered("version"),
        "daprConfiguration": answered("version"),
        "infrastructureResourceGroup": TEXT,
        "peerAuthentication": {"mtls": TURNED_ON},
        "peerTrafficConfiguration": since_2025({"encryption": TURNED_ON}),
        "ingressConfiguration": since_2025(Kept()),
        "appInsightsConfiguration": until_2024(Kept()),
        "openTelemetryConfiguration": until_2024(Kept()),
        **kept("vnetConfiguration"),
        "customDomainConfiguration": {
            **answered("customDomainVerificationId", "expirationDate", "thumbprint", "subjectName"),
            **not_emulated("dnsSuffix", "certificateValue", "certificatePassword", "certificateKeyVaultProperties"),
        },
        **answered(
            "provisioningState",
            "deploymentErrors",
            "defaultDomain",
            "staticIp",
            "eventStreamEndpoint",
            "privateEndpointConnections",
        ),
    },
}
STORAGE: Final[Table] = {
    **ANY_RESOURCE,
    "properties": {
        "azureFile": {
            "accountName": TEXT,
            "accountKey": TEXT,
            "shareName": TEXT,
            "accessMode": one_of("ReadOnly", "ReadWrite"),
            "accountKeyVaultProperties": since_2025(NotEmulated()),
        },
        **not_emulated("nfsAzureFile"),
    },
}
COMPLETIONS: Final[Table] = {"replicaCompletionCount": INTEGER, "parallelism": INTEGER}
JOB: Final[Table] = {
    **TRACKED,
    "identity": IDENTITY,
    "extendedLocation": until_2024(NotEmulated()),
    "properties": {
        "environmentId": TEXT,
        "workloadProfileName": TEXT,
        "configuration": {
            "secrets": SECRETS,
            "triggerType*": one_of("Schedule", "Event", "Manual"),
            "replicaTimeout*": INTEGER,
            "replicaRetryLimit": INTEGER,
            "manualTriggerConfig": COMPLETIONS,
            "scheduleTriggerConfig": {**COMPLETIONS, "cronExpression*": TEXT},
            "registries": REGISTRIES,
            "identitySettings": since_2025(IDENTITY_SETTINGS),
            **kept("eventTriggerConfig"),
        },
        "template": {
            "containers": ListOf(CONTAINER),
            "initContainers": ListOf(INIT_CONTAINER),
            "volumes": ListOf(VOLUME),
        },
        **answered("provisioningState", "outboundIpAddresses", "eventStreamEndpoint"),
    },
}
WORKSPACE: Final[Table] = {
    **TRACKED,
    "identity": {
        "type*": one_of("SystemAssigned", "UserAssigned", "None"),
        "userAssignedIdentities": USER_ASSIGNED,
        **answered("principalId", "tenantId"),
    },
    "etag": TEXT,
    "properties": {
        "sku": {
            "name*": OneOf(
                (
                    "Free",
                    "Standard",
                    "Premium",
                    "PerNode",
                    "PerGB2018",
                    "Standalone",
                    "CapacityReservation",
                    "LACluster",
                ),
                is_echoed=True,
            ),
            "capacityReservationLevel": INTEGER,
            **answered("lastSkuUpdate"),
        },
        "retentionInDays": INTEGER,
        "publicNetworkAccessForIngestion": SWITCH,
        "publicNetworkAccessForQuery": SWITCH,
        "workspaceCapping": {"dailyQuotaGb": NUMBER, **answered("dataIngestionStatus", "quotaNextResetTime")},
        "forceCmkForQuery": BOOLEAN,
        "features": {
            "enableDataExport": BOOLEAN,
            "immediatePurgeDataOn30Days": BOOLEAN,
            "enableLogAccessUsingOnlyResourcePermissions": BOOLEAN,
            "clusterResourceId": TEXT,
            "disableLocalAuth": BOOLEAN,
            **answered("unifiedSentinelBillingOnly"),
            "…": Anything(),
        },
        "replication": of_new_workspaces(Kept()),
        "failover": of_new_workspaces(Kept()),
        **kept("defaultDataCollectionRuleResourceId"),
        **answered("provisioningState", "customerId", "createdDate", "modifiedDate", "privateLinkScopedResources"),
        **answered("source"),
    },
}
