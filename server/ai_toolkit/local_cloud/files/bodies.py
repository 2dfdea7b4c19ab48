"""What bodies of Microsoft.Storage hold.

The notation is explained in `core/shapes.py`. Settings of an account that change nothing for a file share on
this computer (encryption at rest, replication) are kept and shown.
"""

from typing import Final

from ai_toolkit.local_cloud.core.shapes import (
    ANY_RESOURCE,
    BOOLEAN,
    IDENTITY,
    INTEGER,
    SWITCH,
    TEXT,
    TEXTS,
    TRACKED,
    TURNED_ON,
    Integer,
    ListOf,
    MapOf,
    Table,
    answered,
    not_emulated,
    one_of,
)

LONGEST_IMMUTABILITY_DAYS: Final = 146_000
SKU_NAMES: Final = one_of(
    "Standard_LRS", "Standard_GRS", "Standard_RAGRS", "Standard_ZRS", "Premium_LRS", "Premium_ZRS", "Standard_GZRS",
    "Standard_RAGZRS", "StandardV2_LRS", "StandardV2_GRS", "StandardV2_ZRS", "StandardV2_GZRS", "PremiumV2_LRS",
    "PremiumV2_ZRS",
)  # fmt: skip
ENCRYPTED_SERVICE: Final[Table] = {
    **TURNED_ON,
    "keyType": one_of("Service", "Account"),
    **answered("lastEnabledTime"),
}
SERVICES: Final = ("blob", "file", "table", "queue")
IP_RULES: Final = ListOf({"value*": TEXT, "action": one_of("Allow")})
NETWORK_RULES: Final[Table] = {
    "bypass": one_of("None", "Logging", "Metrics", "AzureServices"),
    "resourceAccessRules": ListOf({"tenantId": TEXT, "resourceId": TEXT}),
    "virtualNetworkRules": ListOf({"id*": TEXT, "action": one_of("Allow"), **answered("state")}),
    "ipRules": IP_RULES,
    "ipv6Rules": IP_RULES,
    "defaultAction*": one_of("Allow", "Deny"),
}
ACCOUNT: Final[Table] = {
    **TRACKED,
    "kind*": one_of("Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"),
    "sku*": {"name*": SKU_NAMES, **answered("tier")},
    "identity": IDENTITY,
    "zones": TEXTS,
    "placement": {"zonePlacementPolicy": one_of("Any", "None")},
    **not_emulated("extendedLocation"),
    "properties": {
        "accessTier": one_of("Hot", "Cool", "Premium", "Cold", "Smart"),
        "allowBlobPublicAccess": BOOLEAN,
        "allowSharedKeyAccess": BOOLEAN,
        "supportsHttpsTrafficOnly": BOOLEAN,
        "minimumTlsVersion": one_of("TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"),
        "publicNetworkAccess": one_of("Enabled", "Disabled", "SecuredByPerimeter"),
        "largeFileSharesState": SWITCH,
        "networkAcls": NETWORK_RULES,
        "allowedCopyScope": one_of("PrivateLink", "AAD", "All"),
        "sasPolicy": {"sasExpirationPeriod*": TEXT, "expirationAction*": one_of("Log", "Block")},
        "keyPolicy": {"keyExpirationPeriodInDays*": INTEGER},
        "encryption": {
            "services": dict.fromkeys(SERVICES, ENCRYPTED_SERVICE),
            "keySource": one_of("Microsoft.Storage", "Microsoft.Keyvault"),
            "requireInfrastructureEncryption": BOOLEAN,
            **not_emulated("keyvaultproperties", "identity"),
        },
        "isSftpEnabled": BOOLEAN,
        "isLocalUserEnabled": BOOLEAN,
        "enableExtendedGroups": BOOLEAN,
        "isHnsEnabled": BOOLEAN,
        "routingPreference": {
            "routingChoice": one_of("MicrosoftRouting", "InternetRouting"),
            "publishMicrosoftEndpoints": BOOLEAN,
            "publishInternetEndpoints": BOOLEAN,
        },
        "dualStackEndpointPreference": {"publishIpv6Endpoint": BOOLEAN},
        "isNfsV3Enabled": BOOLEAN,
        "allowCrossTenantReplication": BOOLEAN,
        "defaultToOAuthAuthentication": BOOLEAN,
        "immutableStorageWithVersioning": {
            **TURNED_ON,
            "immutabilityPolicy": {
                "immutabilityPeriodSinceCreationInDays": Integer(1, LONGEST_IMMUTABILITY_DAYS),
                "state": one_of("Unlocked", "Locked", "Disabled"),
                "allowProtectedAppendWrites": BOOLEAN,
            },
        },
        "dnsEndpointType": one_of("Standard", "AzureDnsZone"),
        "geoPriorityReplicationStatus": {"isBlobEnabled": BOOLEAN},
        "allowSharedKeyAccessForServices": dict.fromkeys(SERVICES, TURNED_ON),
        "dataCollaborationPolicyProperties": {
            "allowStorageConnectors": BOOLEAN,
            "allowStorageDataShares": BOOLEAN,
            "allowCrossTenantDataSharing": BOOLEAN,
        },
        **not_emulated("customDomain", "azureFilesIdentityBasedAuthentication"),
        **answered(
            "provisioningState", "creationTime", "primaryEndpoints", "primaryLocation", "statusOfPrimary",
            "lastGeoFailoverTime", "secondaryLocation", "statusOfSecondary", "keyCreationTime", "secondaryEndpoints",
            "geoReplicationStats", "failoverInProgress", "privateEndpointConnections", "blobRestoreStatus",
            "storageAccountSkuConversionStatus", "isSkuConversionBlocked", "accountMigrationInProgress",
        ),
    },
}  # fmt: skip
FILE_SERVICE: Final[Table] = {
    **ANY_RESOURCE,
    **answered("sku"),
    "properties": {
        "shareDeleteRetentionPolicy": {**TURNED_ON, "days": Integer(1, 365), "allowPermanentDelete": BOOLEAN},
        **not_emulated("cors", "protocolSettings"),
    },
}
SHARE: Final[Table] = {
    **ANY_RESOURCE,
    **answered("etag"),
    "properties": {
        "accessTier": one_of("TransactionOptimized", "Hot", "Cool", "Premium"),
        "enabledProtocols": one_of("SMB", "NFS"),
        "shareQuota": INTEGER,
        "metadata": MapOf(TEXT),
        "provisionedIops": INTEGER,
        "provisionedBandwidthMibps": INTEGER,
        "rootSquash": one_of("NoRootSquash", "RootSquash", "AllSquash"),
        "fileSharePaidBursting": {
            "paidBurstingEnabled": BOOLEAN,
            "paidBurstingMaxIops": INTEGER,
            "paidBurstingMaxBandwidthMibps": INTEGER,
        },
        **not_emulated("signedIdentifiers"),
        **answered(
            "lastModifiedTime", "includedBurstIops", "maxBurstCreditsForIops", "nextAllowedQuotaDowngradeTime",
            "nextAllowedProvisionedIopsDowngradeTime", "nextAllowedProvisionedBandwidthDowngradeTime", "version",
            "deleted", "deletedTime", "remainingRetentionDays", "accessTierChangeTime", "accessTierStatus",
            "shareUsageBytes", "leaseStatus", "leaseState", "leaseDuration", "snapshotTime",
        ),
    },
}  # fmt: skip
