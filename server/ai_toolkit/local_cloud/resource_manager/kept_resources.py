"""Types of resources that Azure keeps and nothing here could observe: stored, returned, and no more.

`FIDELITY.md` names them.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import TENANT, ResourceId
from ai_toolkit.local_cloud.core.shapes import ANY_RESOURCE, IDENTITY, TEXT, TEXTS, TRACKED, Anything, Table, one_of
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.resource_manager.resource_type import ANY_VERSION, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.write_checks import LOCK_TYPE

_IDS: Final = uuid.UUID("5d4ab7a6-9e0f-4c3d-8f0e-0a7d5f1f6b11")  # of identities: the same for the same name
KEPT: Final[Table] = {**ANY_RESOURCE, "properties": Anything()}


class _Kept(ResourceType):
    """One of them: any version of Azure's, no location."""

    body: ClassVar[Table] = KEPT
    api_versions: ClassVar[frozenset[str]] = frozenset()
    has_location: ClassVar[bool] = False

    def knows_version(self, api_version: str) -> bool:
        """Every version that could be Azure's."""
        return ANY_VERSION.fullmatch(api_version) is not None


class RoleAssignments(_Kept):
    """Microsoft.Authorization/roleAssignments: who may do what is not asked on this computer."""

    name: ClassVar[str] = "Microsoft.Authorization/roleAssignments"
    body: ClassVar[Table] = {
        **ANY_RESOURCE,
        "properties": {"roleDefinitionId*": TEXT, "principalId*": TEXT, "principalType": TEXT, "…": Anything()},
    }

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse a name that is no GUID, as Azure does."""
        super().check(identifier, body)
        try:
            uuid.UUID(identifier.name)
        except ValueError as error:
            raise ArmError(
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{identifier.name}' is not valid. The role assignment ID must be a GUID.",
            ) from error


class Locks(_Kept):
    """Microsoft.Authorization/locks: `write_checks.py` says what they forbid."""

    name: ClassVar[str] = LOCK_TYPE
    body: ClassVar[Table] = {
        **ANY_RESOURCE,
        "properties*": {
            "level*": one_of("NotSpecified", "CanNotDelete", "ReadOnly"), "notes": TEXT, "owners": Anything(),
        },
    }  # fmt: skip


class DiagnosticSettings(_Kept):
    """Microsoft.Insights/diagnosticSettings: nothing is sent."""

    name: ClassVar[str] = "Microsoft.Insights/diagnosticSettings"


class UserAssignedIdentities(_Kept):
    """Microsoft.ManagedIdentity/userAssignedIdentities, with ids that no directory knows."""

    name: ClassVar[str] = "Microsoft.ManagedIdentity/userAssignedIdentities"
    body: ClassVar[Table] = {**TRACKED, "properties": Anything()}
    has_location: ClassVar[bool] = True

    def view(self, resource: StoredResource) -> JsonObject:
        """The identity with its ids."""
        body = super().view(resource)
        ids = {kind: str(uuid.uuid5(_IDS, f"{kind}:{resource.id.key}")) for kind in ("principalId", "clientId")}
        return {**body, "properties": {**body["properties"], "tenantId": TENANT, **ids}}


class Registries(_Kept):
    """Microsoft.ContainerRegistry/registries: no image is ever pulled from one."""

    name: ClassVar[str] = "Microsoft.ContainerRegistry/registries"
    body: ClassVar[Table] = {
        **TRACKED, "sku*": {"name*": TEXT, "tier": TEXT}, "identity": IDENTITY, "zones": TEXTS,
        "properties": Anything(),
    }  # fmt: skip
    has_location: ClassVar[bool] = True
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9]{5,50}")
    name_rule: ClassVar[str] = "5 to 50 letters and digits"

    def view(self, resource: StoredResource) -> JsonObject:
        """The registry with the host that it would have."""
        body = super().view(resource)
        sku = {**body["sku"], "tier": body["sku"]["name"]}
        return {
            **body,
            "sku": sku,
            "properties": {**body["properties"], "loginServer": f"{resource.id.name.lower()}.azurecr.io"},
        }

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """`listCredentials()` of templates, where an admin user is allowed."""
        return {"listcredentials": _credentials}


class Certificates(_Kept):
    """Microsoft.App/managedEnvironments/certificates: what a person put there for a domain."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/certificates"
    body: ClassVar[Table] = {**TRACKED, "properties": Anything()}
    has_location: ClassVar[bool] = True

    def view(self, resource: StoredResource) -> JsonObject:
        """The certificate without what only its owner may know."""
        body = super().view(resource)
        shown = {key: value for key, value in body["properties"].items() if key not in {"password", "value"}}
        return {**body, "properties": shown}


class ManagedCertificates(_Kept):
    """Microsoft.App/managedEnvironments/managedCertificates: none is ever issued."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/managedCertificates"
    body: ClassVar[Table] = {**TRACKED, "properties": Anything()}
    has_location: ClassVar[bool] = True


class DaprComponents(_Kept):
    """Microsoft.App/managedEnvironments/daprComponents: no sidecar reads them."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/daprComponents"


class JavaComponents(_Kept):
    """Microsoft.App/managedEnvironments/javaComponents: none is started."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/javaComponents"


class HttpRouteConfigs(_Kept):
    """Microsoft.App/managedEnvironments/httpRouteConfigs: no request takes these routes."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/httpRouteConfigs"


class PrivateEndpointConnections(_Kept):
    """Microsoft.App/managedEnvironments/privateEndpointConnections: there is no private network."""

    name: ClassVar[str] = "Microsoft.App/managedEnvironments/privateEndpointConnections"


class SessionPools(_Kept):
    """Microsoft.App/sessionPools: no session is ever given."""

    name: ClassVar[str] = "Microsoft.App/sessionPools"
    body: ClassVar[Table] = {**TRACKED, "identity": IDENTITY, "properties": Anything()}
    has_location: ClassVar[bool] = True


class Sites(_Kept):
    """Microsoft.Web/sites: a web or Functions app that a person put into an environment; it never runs."""

    name: ClassVar[str] = "Microsoft.Web/sites"
    body: ClassVar[Table] = {**TRACKED, "kind": TEXT, "identity": IDENTITY, "properties": Anything()}
    has_location: ClassVar[bool] = True


class Components(_Kept):
    """Microsoft.Insights/components: Application Insights, without data."""

    name: ClassVar[str] = "Microsoft.Insights/components"
    body: ClassVar[Table] = {**TRACKED, "kind": TEXT, "properties": Anything()}
    has_location: ClassVar[bool] = True


class Solutions(_Kept):
    """Microsoft.OperationsManagement/solutions: what reads a log workspace; nothing is read."""

    name: ClassVar[str] = "Microsoft.OperationsManagement/solutions"
    body: ClassVar[Table] = {**TRACKED, "plan": Anything(), "properties": Anything()}
    has_location: ClassVar[bool] = True


class _StorageServices(_Kept):
    """A service of a storage account that is not emulated: there is one in each, `default`, and it is empty."""

    is_implicit: ClassVar[bool] = True
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"default")
    name_rule: ClassVar[str] = "it is always 'default'"


class BlobServices(_StorageServices):
    """Microsoft.Storage/storageAccounts/blobServices."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/blobServices"


class QueueServices(_StorageServices):
    """Microsoft.Storage/storageAccounts/queueServices."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/queueServices"


class TableServices(_StorageServices):
    """Microsoft.Storage/storageAccounts/tableServices."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/tableServices"


class BlobContainers(_Kept):
    """Microsoft.Storage/storageAccounts/blobServices/containers: the container, and nothing that could be in it."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/blobServices/containers"
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
    name_rule: ClassVar[str] = "3 to 63 lower-case letters, digits and single hyphens"

    def not_found(self, identifier: ResourceId) -> ArmError:
        """404 in the storage service's own words, unless it is the account that is missing."""
        if self.store.get(identifier.parent.parent) is None:
            return super().not_found(identifier.parent.parent)
        return ArmError("ContainerOperationFailure", "The specified container does not exist.", status=404)


class Queues(_Kept):
    """Microsoft.Storage/storageAccounts/queueServices/queues: the queue, and nothing that could be in it."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/queueServices/queues"
    name_pattern: ClassVar[re.Pattern[str]] = BlobContainers.name_pattern
    name_rule: ClassVar[str] = BlobContainers.name_rule


class Tables(_Kept):
    """Microsoft.Storage/storageAccounts/tableServices/tables: the table, and nothing that could be in it."""

    name: ClassVar[str] = "Microsoft.Storage/storageAccounts/tableServices/tables"
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
    name_rule: ClassVar[str] = "3 to 63 letters and digits, a letter first"


def _credentials(registry: StoredResource) -> JsonObject:
    if not properties(registry.body).get("adminUserEnabled"):
        raise ArmError("UnAuthorizedForCredentialOperations", "The registry has no admin user.", status=400)
    names = ("password", "password2")
    passwords = [{"name": name, "value": uuid.uuid5(_IDS, f"{name}:{registry.id.key}").hex} for name in names]
    return {"username": registry.id.name, "passwords": passwords}


def kept_types(store: ResourceStore) -> tuple[ResourceType, ...]:
    """All of them."""
    kinds = (
        RoleAssignments, Locks, DiagnosticSettings, UserAssignedIdentities, Registries,
        Certificates, ManagedCertificates, DaprComponents, JavaComponents, HttpRouteConfigs, PrivateEndpointConnections,
        SessionPools, Sites, Components, Solutions,
        BlobServices, BlobContainers, QueueServices, Queues, TableServices, Tables,
    )  # fmt: skip
    return tuple(kind(store) for kind in kinds)
