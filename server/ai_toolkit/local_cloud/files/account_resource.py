"""Storage accounts, their keys, and file shares as resources."""

import base64
import ipaddress
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Table
from ai_toolkit.local_cloud.core.state import LOCAL_KEYS, ResourceStore, StoredResource
from ai_toolkit.local_cloud.files.bodies import ACCOUNT, FILE_SERVICE, SHARE, STORAGE_VERSIONS
from ai_toolkit.local_cloud.files.file_request import etag
from ai_toolkit.local_cloud.files.share_folder import ACCOUNT_NAME, SHARE_NAME, Shares
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, LongOperations, Polled, When
from ai_toolkit.local_cloud.resource_manager.resource_type import Action, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import normal_location

DEFAULT_SHARE_QUOTA_GIB = 5120
LARGEST_SHARE_QUOTA_GIB = 102400


class StorageAccounts(ResourceType):
    """Microsoft.Storage/storageAccounts."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts"
    body: ClassVar[Table] = ACCOUNT
    api_versions: ClassVar[frozenset[str]] = STORAGE_VERSIONS
    created_status: ClassVar[int] = 200  # Azure answers 202 or 200, and the SDK takes no 201
    name_pattern: ClassVar[re.Pattern[str]] = ACCOUNT_NAME
    name_rule: ClassVar[str] = "3 to 24 lower-case letters and digits"
    working_state: ClassVar[str] = "Creating"
    has_system_data: ClassVar[bool] = False
    long: ClassVar[LongOperations] = LongOperations(
        "asyncoperations",
        "asyncoperations",
        again_after=timedelta(seconds=17),
        put=LongOperation(timedelta(seconds=18), Polled.RESULT, when=When.NEW),
    )

    def __init__(self, store: ResourceStore, shares: Shares, files_url: Callable[[], str]) -> None:
        super().__init__(store)
        self._shares = shares
        self._files_url = files_url

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse impossible names (with Azure's own code), and accounts without SKU or kind."""
        if not self.name_pattern.fullmatch(identifier.name):
            raise ArmError(
                "AccountNameInvalid",
                f"{identifier.name} is not a valid storage account name. Storage account name must be between 3 "
                "and 24 characters in length and use numbers and lower-case letters only.",
            )
        super().check(identifier, body)
        sku = body.get("sku")
        if not isinstance(sku, dict) or not isinstance(sku.get("name"), str):
            raise ArmError("InvalidRequestContent", "The property 'sku.name' is required.", target="sku.name")
        if not isinstance(body.get("kind"), str):
            raise ArmError("InvalidRequestContent", "The property 'kind' is required.", target="kind")

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults; the keys of an existing account stay."""
        defaults: JsonObject = {
            "allowCrossTenantReplication": False,
            "minimumTlsVersion": "TLS1_2",
            "allowBlobPublicAccess": False,
            "supportsHttpsTrafficOnly": True,
            **({"accessTier": "Hot"} if body["kind"] in {"StorageV2", "BlobStorage"} else {}),
            "networkAcls": {
                "bypass": "AzureServices",
                "virtualNetworkRules": [],
                "ipRules": [],
                "ipv6Rules": [],
                "defaultAction": "Allow",
            },
        }
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        keys = existing[LOCAL_KEYS] if existing else [_new_key("key1", now), _new_key("key2", now)]
        before = properties(existing) if existing else {}
        taken = None if existing else self.find(identifier.name)
        if taken is not None:
            raise ArmError(
                "StorageAccountAlreadyTaken",
                f"The storage account named {identifier.name} is already taken.",
                status=409,
            )
        given, created = properties(body), before.get("creationTime", now)
        encryption = given.get("encryption") or {}
        services = _encrypted({"file": {}, "blob": {}}, created)
        sku = {**body["sku"], "tier": str(body["sku"]["name"]).partition("_")[0]}
        return {
            **body,
            "sku": sku,
            LOCAL_KEYS: keys,
            "properties": {
                **defaults,
                "creationTime": created,
                **{name: value for name, value in given.items() if value is not None},
                "networkAcls": {**defaults["networkAcls"], **(given.get("networkAcls") or {})},
                "encryption": {
                    "keySource": "Microsoft.Storage",
                    **encryption,
                    "services": {**services, **_encrypted(encryption.get("services"), created)},
                },
            },
            "tags": body.get("tags") or {},
        }

    async def remove(self, resource: StoredResource) -> None:
        """Delete the account's folder with every share in it."""
        await self._shares.delete_account(resource.id.name)

    def shown_location(self, location: str) -> str:
        """`westus3`, whatever was sent."""
        return normal_location(location)

    def view(self, resource: StoredResource) -> JsonObject:
        """The account without its keys."""
        body = super().view(resource)
        keys = body.pop(LOCAL_KEYS)
        location = body["location"]
        body["properties"] = {
            **body["properties"],
            "keyCreationTime": {key["keyName"]: key["creationTime"] for key in keys},
            "privateEndpointConnections": [],
            "primaryEndpoints": {"file": f"{self._files_url()}/{resource.id.name}/"},
            "primaryLocation": location,
            "statusOfPrimary": "available",
        }
        return body

    def in_what_ifs(self, body: JsonObject) -> JsonObject:
        """Without the services that are encrypted, as a recorded what-if tells it."""
        given = properties(body)
        encryption = {name: one for name, one in (given.get("encryption") or {}).items() if name != "services"}
        return {**body, "properties": {**given, "encryption": encryption}}

    def actions(self) -> Mapping[str, Action]:
        """Reading and renewing the account's keys."""
        return {"listkeys": self._list_keys, "regeneratekey": self._regenerate_key}

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """`listKeys()` of templates."""
        return {"listkeys": lambda account: {"keys": account.body[LOCAL_KEYS]}}

    def account_keys(self, name: str) -> list[bytes] | None:
        """The decoded keys of the account of that name; None when there is no such account."""
        account = self.find(name)
        if account is None:
            return None
        return [base64.b64decode(key["value"]) for key in account.body[LOCAL_KEYS]]

    def refusal(self, name: str) -> str:
        """The code with which the account's own settings refuse this computer's key; empty where they do not."""
        account = self.find(name)
        settings = properties(account.body) if account is not None else {}
        rules = settings.get("networkAcls") or {}
        here = any(_is_here(str(rule.get("value"))) for rule in rules.get("ipRules") or ())
        if settings.get("publicNetworkAccess") in {"Disabled", "SecuredByPerimeter"}:
            return "AuthorizationFailure"
        if rules.get("defaultAction") == "Deny" and not here:
            return "AuthorizationFailure"
        return "KeyBasedAuthenticationNotPermitted" if settings.get("allowSharedKeyAccess") is False else ""

    def find(self, name: str) -> StoredResource | None:
        """The account of that name: names are unique in the whole cloud."""
        for account in self.store.below("/subscriptions", self.name):
            if account.id.name.lower() == name.lower():
                return account
        return None

    async def _list_keys(self, account: StoredResource, _body: JsonObject) -> JsonValue:
        return {"keys": account.body[LOCAL_KEYS]}

    async def _regenerate_key(self, account: StoredResource, body: JsonObject) -> JsonValue:
        name = body.get("keyName")
        if name not in {"key1", "key2"}:
            raise ArmError("InvalidValuesForRequestParameters", f"'{name}' is not a key's name.", target="keyName")
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        keys = [_new_key(name, now) if key["keyName"] == name else key for key in account.body[LOCAL_KEYS]]
        self.store.put(account.id, {**account.body, LOCAL_KEYS: keys})
        return {"keys": keys}


class FileServices(ResourceType):
    """Microsoft.Storage/storageAccounts/fileServices: there is one in each account, `default`."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/fileServices"
    body: ClassVar[Table] = FILE_SERVICE
    api_versions: ClassVar[frozenset[str]] = STORAGE_VERSIONS
    has_location: ClassVar[bool] = False
    has_system_data: ClassVar[bool] = False
    is_implicit: ClassVar[bool] = True
    created_status: ClassVar[int] = 200
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"default")
    name_rule: ClassVar[str] = "it is always 'default'"

    def view(self, resource: StoredResource) -> JsonObject:
        """The file service; its provisioning state is not part of Azure's answer."""
        body = super().view(resource)
        shown = {key: value for key, value in properties(body).items() if key != "provisioningState"}
        defaults = {
            "protocolSettings": {"smb": {}},
            "cors": {"corsRules": []},
        }
        account = self.store.get(resource.id.parent)
        sku = {"sku": account.body["sku"]} if account else {}
        return {**sku, **body, "properties": {**defaults, **shown}}


class FileShares(ResourceType):
    """Microsoft.Storage/storageAccounts/fileServices/shares."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/fileServices/shares"
    body: ClassVar[Table] = SHARE
    api_versions: ClassVar[frozenset[str]] = STORAGE_VERSIONS
    has_location: ClassVar[bool] = False
    has_system_data: ClassVar[bool] = False
    name_pattern: ClassVar[re.Pattern[str]] = SHARE_NAME
    name_rule: ClassVar[str] = "3 to 63 lower-case letters, digits and single hyphens"

    def __init__(self, store: ResourceStore, shares: Shares) -> None:
        super().__init__(store)
        self._shares = shares

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse impossible names and quotas."""
        super().check(identifier, body)
        quota = properties(body).get("shareQuota", DEFAULT_SHARE_QUOTA_GIB)
        if not isinstance(quota, int) or not 1 <= quota <= LARGEST_SHARE_QUOTA_GIB:
            raise ArmError(
                "InvalidHeaderValue",
                f"The value {quota!r} is not a share's quota: 1 to {LARGEST_SHARE_QUOTA_GIB} GiB.",
                target="properties.shareQuota",
            )

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults."""
        before = properties(existing) if existing else {}
        if existing is None:
            try:
                self._shares.check_free(identifier.names[0], identifier.name)
            except StorageError as error:
                raise ArmError(error.code, error.message, status=error.status) from error
        defaults = {
            "accessTier": "TransactionOptimized",
            "enabledProtocols": "SMB",
            "shareQuota": before.get("shareQuota", DEFAULT_SHARE_QUOTA_GIB),
        }
        return {**body, "properties": {**defaults, **properties(body)}}

    # Shares that are made through the Files port are resources, too.

    def record(self, account: str, share: str, quota_gib: int | None) -> None:
        """Keep a share that was created, or whose quota was set, through the Files port."""
        existing = self._find(account, share)
        owner = next(
            (
                found.id
                for found in self.store.below("/subscriptions", StorageAccounts.name)
                if found.id.name.lower() == account.lower()
            ),
            None,
        )
        if owner is None:
            return
        identifier = existing.id if existing else owner.child("fileServices", "default").child("shares", share)
        given = {"shareQuota": quota_gib} if quota_gib is not None else {}
        before = properties(existing.body) if existing else {}
        body = self.merge(identifier, {"properties": {**before, **given}}, existing.body if existing else None)
        self.store.put(identifier, body)

    def forget(self, account: str, share: str) -> None:
        """Drop a share that was deleted through the Files port."""
        if (found := self._find(account, share)) is not None:
            self.store.delete(found.id)

    def quota_gib(self, account: str, share: str) -> int:
        """How much a share may hold."""
        found = self._find(account, share)
        return int(properties(found.body)["shareQuota"]) if found else DEFAULT_SHARE_QUOTA_GIB

    def _find(self, account: str, share: str) -> StoredResource | None:
        for resource in self.store.below("/subscriptions", self.name):
            if resource.id.names[0].lower() == account.lower() and resource.id.name.lower() == share.lower():
                return resource
        return None

    async def provision(self, resource: StoredResource) -> None:
        """Create the share's folder."""
        await self._shares.create(resource.id.names[0], resource.id.name)

    async def remove(self, resource: StoredResource) -> None:
        """Delete the share's folder."""
        await self._shares.delete(resource.id.names[0], resource.id.name)

    def view(self, resource: StoredResource) -> JsonObject:
        """The share; its provisioning state is not part of Azure's answer."""
        body = super().view(resource)
        shown = {key: value for key, value in body["properties"].items() if key != "provisioningState"}
        root = self._shares.root(resource.id.names[0], resource.id.name)
        if not root.is_dir():
            return {**body, "properties": shown}
        status = root.stat()
        modified = f"{datetime.fromtimestamp(status.st_mtime, UTC):%Y-%m-%dT%H:%M:%S}.0000000Z"
        return {**body, "etag": etag(status), "properties": {**shown, "lastModifiedTime": modified}}

    def not_found(self, identifier: ResourceId) -> ArmError:
        """404 in the storage service's own words, unless it is the account that is missing."""
        if self.store.get(identifier.parent.parent) is None:
            return super().not_found(identifier.parent.parent)
        return ArmError("ShareNotFound", "The specified share does not exist.", status=404)


def _encrypted(services: JsonValue, since: str) -> JsonObject:
    """Services whose data is encrypted, as Azure tells of those that are named."""
    given = services if isinstance(services, dict) else {}
    told = {"keyType": "Account", "enabled": True, "lastEnabledTime": since}
    return {name: {**told, **(one or {})} for name, one in given.items()}


def _is_here(rule: str) -> bool:
    """Whether an address or range of a network rule names this computer."""
    try:
        return ipaddress.ip_address("127.0.0.1") in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def _new_key(name: str, created: str) -> JsonObject:
    return {
        "keyName": name,
        "value": base64.b64encode(secrets.token_bytes(64)).decode(),
        "permissions": "FULL",
        "creationTime": created,
    }
