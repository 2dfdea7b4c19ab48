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
    ListOf,
    MapOf,
    Table,
    answered,
    not_emulated,
    one_of,
)

SECRETS: Final = ListOf({"name": TEXT, "value": TEXT, **not_emulated("identity", "keyVaultUrl")})
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
    "command": TEXTS,
    "args": TEXTS,
    "env": ListOf({"name": TEXT, "value": TEXT, "secretRef": TEXT}),
    "resources": {"cpu": NUMBER, "memory": TEXT, **answered("ephemeralStorage")},
    "volumeMounts": ListOf({"volumeName": TEXT, "mountPath": TEXT, "subPath": TEXT}),
    "probes": ListOf(PROBE),
}
VOLUME: Final[Table] = {
    "name": TEXT,
    "storageType": one_of("AzureFile", "EmptyDir", "Secret", "NfsAzureFile"),
    "storageName": TEXT,
    "mountOptions": TEXT,
    **not_emulated("secrets"),
}
SCALE_RULE: Final[Table] = {
    "name": TEXT,
    "http": {"metadata": MapOf(TEXT), **not_emulated("auth", "identity")},
    **not_emulated("azureQueue", "custom", "tcp"),
}
TEMPLATE: Final[Table] = {
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
    "volumes": ListOf(VOLUME),
    **not_emulated("initContainers", "serviceBinds"),
}
INGRESS: Final[Table] = {
    "external": BOOLEAN,
    "targetPort": INTEGER,
    "transport": one_of("auto", "http", "http2", "tcp"),
    "allowInsecure": BOOLEAN,
    "traffic": ListOf({"revisionName": TEXT, "weight": INTEGER, "latestRevision": BOOLEAN, "label": TEXT}),
    "stickySessions": {"affinity": one_of("sticky", "none")},
    "ipSecurityRestrictions": ListOf(
        {"name*": TEXT, "description": TEXT, "ipAddressRange*": TEXT, "action*": one_of("Allow", "Deny")}
    ),
    "clientCertificateMode": one_of("ignore", "accept", "require"),
    **answered("fqdn"),
    **not_emulated("exposedPort", "customDomains", "corsPolicy", "additionalPortMappings"),
}
APP: Final[Table] = {
    **TRACKED,
    "identity": IDENTITY,
    **not_emulated("extendedLocation", "managedBy", "kind"),
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
            "identitySettings": IDENTITY_SETTINGS,
            **not_emulated("dapr", "runtime", "service"),
        },
        "template": TEMPLATE,
        **answered(
            "provisioningState",
            "runningStatus",
            "latestRevisionName",
            "latestReadyRevisionName",
            "latestRevisionFqdn",
            "customDomainVerificationId",
            "outboundIpAddresses",
            "eventStreamEndpoint",
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
            "logAnalyticsConfiguration": {"customerId": TEXT, "sharedKey": TEXT},
        },
        "workloadProfiles": ListOf(
            {"name*": TEXT, "workloadProfileType*": TEXT, "minimumCount": INTEGER, "maximumCount": INTEGER}
        ),
        "zoneRedundant": BOOLEAN,
        "publicNetworkAccess": SWITCH,
        "daprAIInstrumentationKey": TEXT,
        "daprAIConnectionString": TEXT,
        "kedaConfiguration": answered("version"),
        "daprConfiguration": answered("version"),
        "infrastructureResourceGroup": TEXT,
        "peerAuthentication": {"mtls": TURNED_ON},
        "peerTrafficConfiguration": {"encryption": TURNED_ON},
        **not_emulated("vnetConfiguration", "customDomainConfiguration", "ingressConfiguration"),
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
            **not_emulated("accountKeyVaultProperties"),
        },
        **not_emulated("nfsAzureFile"),
    },
}
COMPLETIONS: Final[Table] = {"replicaCompletionCount": INTEGER, "parallelism": INTEGER}
JOB: Final[Table] = {
    **TRACKED,
    "identity": IDENTITY,
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
            "identitySettings": IDENTITY_SETTINGS,
            **not_emulated("eventTriggerConfig"),
        },
        "template": {"containers": ListOf(CONTAINER), "volumes": ListOf(VOLUME), **not_emulated("initContainers")},
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
            "name*": one_of(
                "Free", "Standard", "Premium", "PerNode", "PerGB2018", "Standalone", "CapacityReservation", "LACluster"
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
        **not_emulated("defaultDataCollectionRuleResourceId", "replication", "failover"),
        **answered("provisioningState", "customerId", "createdDate", "modifiedDate", "privateLinkScopedResources"),
    },
}
