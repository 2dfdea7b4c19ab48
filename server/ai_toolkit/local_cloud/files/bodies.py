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
    InVersions,
    ListOf,
    MapOf,
    NotEmulated,
    Shape,
    Table,
    Typed,
    answered,
    kept,
    not_emulated,
    one_of,
)

STORAGE_VERSIONS: Final = frozenset({
    "2015-05-01-preview", "2015-06-15", "2016-01-01", "2016-05-01", "2016-12-01", "2017-06-01", "2017-10-01",
    "2018-02-01", "2018-03-01-preview", "2018-07-01", "2018-11-01", "2019-04-01", "2019-06-01", "2020-08-01-preview",
    "2021-01-01", "2021-02-01", "2021-04-01", "2021-06-01", "2021-08-01", "2021-09-01", "2022-05-01", "2022-09-01",
    "2023-01-01", "2023-04-01", "2023-05-01", "2024-01-01", "2025-01-01", "2025-06-01", "2025-08-01", "2026-04-01",
    "2026-06-01", "2026-09-01",
})  # fmt: skip

STORAGE_TYPES: Final = Typed(("2023-01-01", "2025-08-01"))


def since_2025(shape: Shape) -> InVersions:
    """A property that Microsoft.Storage has since the versions of 2025."""
    return InVersions(shape, STORAGE_TYPES, frozenset({"2025-08-01"}))


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
    "ipv6Rules": since_2025(IP_RULES),
    "defaultAction*": one_of("Allow", "Deny"),
}
ACCOUNT: Final[Table] = {
    **TRACKED,
    "kind*": one_of("Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"),
    "sku*": {"name*": SKU_NAMES, **answered("tier")},
    "identity": IDENTITY,
    "zones": since_2025(TEXTS),
    "placement": since_2025({"zonePlacementPolicy": one_of("Any", "None")}),
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
            **kept("keyvaultproperties", "identity"),
        },
        "isSftpEnabled": BOOLEAN,
        "isLocalUserEnabled": BOOLEAN,
        "enableExtendedGroups": since_2025(BOOLEAN),
        "isHnsEnabled": BOOLEAN,
        "routingPreference": {
            "routingChoice": one_of("MicrosoftRouting", "InternetRouting"),
            "publishMicrosoftEndpoints": BOOLEAN,
            "publishInternetEndpoints": BOOLEAN,
        },
        "dualStackEndpointPreference": since_2025({"publishIpv6Endpoint": BOOLEAN}),
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
        "geoPriorityReplicationStatus": since_2025({"isBlobEnabled": BOOLEAN}),
        "allowSharedKeyAccessForServices": since_2025(dict.fromkeys(SERVICES, TURNED_ON)),
        "dataCollaborationPolicyProperties": since_2025({
            "allowStorageConnectors": BOOLEAN,
            "allowStorageDataShares": BOOLEAN,
            "allowCrossTenantDataSharing": BOOLEAN,
        }),
        **kept("customDomain"),
        "azureFilesIdentityBasedAuthentication": NotEmulated(defaults=("None",)),
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
        **kept("cors", "protocolSettings"),
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
        "provisionedIops": since_2025(INTEGER),
        "provisionedBandwidthMibps": since_2025(INTEGER),
        "rootSquash": one_of("NoRootSquash", "RootSquash", "AllSquash"),
        "fileSharePaidBursting": since_2025({
            "paidBurstingEnabled": BOOLEAN,
            "paidBurstingMaxIops": INTEGER,
            "paidBurstingMaxBandwidthMibps": INTEGER,
        }),
        **not_emulated("signedIdentifiers"),
        **answered(
            "lastModifiedTime", "includedBurstIops", "maxBurstCreditsForIops", "nextAllowedQuotaDowngradeTime",
            "nextAllowedProvisionedIopsDowngradeTime", "nextAllowedProvisionedBandwidthDowngradeTime", "version",
            "deleted", "deletedTime", "remainingRetentionDays", "accessTierChangeTime", "accessTierStatus",
            "shareUsageBytes", "leaseStatus", "leaseState", "leaseDuration", "snapshotTime",
        ),
    },
}  # fmt: skip
