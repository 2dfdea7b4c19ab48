"""Key vaults as far as a deployment reads parameters from them: vaults, and secrets that Resource Manager puts there.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/key-vault-parameter
"""

import re
from typing import ClassVar, Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import ANY_RESOURCE, TEXT, TRACKED, Anything, Table
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.resource_manager.resource_type import ANY_VERSION, ResourceType, properties

_CODE: Final = "KeyVaultParameterReferenceSecretRetrieveFailed"


class Vaults(ResourceType):
    """Microsoft.KeyVault/vaults: its own port, with which programs read secrets, is not there."""

    name: ClassVar[str] = "Microsoft.KeyVault/vaults"
    body: ClassVar[Table] = {**TRACKED, "properties*": Anything()}
    api_versions: ClassVar[frozenset[str]] = frozenset()
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]")
    name_rule: ClassVar[str] = "3 to 24 letters, digits and hyphens, beginning with a letter"

    def knows_version(self, api_version: str) -> bool:
        """Every version that could be Azure's."""
        return ANY_VERSION.fullmatch(api_version) is not None


class VaultSecrets(ResourceType):
    """Microsoft.KeyVault/vaults/secrets, whose value no GET returns."""

    name: ClassVar[str] = "Microsoft.KeyVault/vaults/secrets"
    body: ClassVar[Table] = {**ANY_RESOURCE, "properties*": {"value*": TEXT, "contentType": TEXT, "…": Anything()}}
    api_versions: ClassVar[frozenset[str]] = frozenset()
    has_location: ClassVar[bool] = False

    def knows_version(self, api_version: str) -> bool:
        """Every version that could be Azure's."""
        return ANY_VERSION.fullmatch(api_version) is not None

    def view(self, resource: StoredResource) -> JsonObject:
        """The secret without its value."""
        body = super().view(resource)
        return {**body, "properties": {key: one for key, one in body["properties"].items() if key != "value"}}


def with_secrets(store: ResourceStore, given: JsonObject) -> JsonObject:
    """A deployment's parameters with the secrets that they refer to in the place of the references; raises ArmError."""
    return {name: _resolved(store, name, item) for name, item in given.items()}


def _resolved(store: ResourceStore, name: str, item: JsonValue) -> JsonValue:
    reference = item.get("reference") if isinstance(item, dict) else None
    if reference is None:
        return item
    secret = reference.get("secretName") if isinstance(reference, dict) else None
    vault = (reference.get("keyVault") or {}).get("id") if isinstance(reference, dict) else None
    if not isinstance(secret, str) or not isinstance(vault, str):
        message = f"The reference of the parameter '{name}' needs 'keyVault.id' and 'secretName'."
        raise ArmError("InvalidDeploymentParameterKeyVaultReference", message, target=name)
    identifier = ResourceId.parse(vault)
    found = store.get(identifier)
    if found is None:
        message = f"The specified KeyVault '{vault}' could not be found."
        raise ArmError("KeyVaultParameterReferenceNotFound", message, target=name)
    if not properties(found.body).get("enabledForTemplateDeployment"):
        message = (
            f"Access denied to first party service. Vault: {identifier.name}; enabledForTemplateDeployment is false."
        )
        raise ArmError("KeyVaultParameterReferenceAuthorizationFailed", message, status=403, target=name)
    kept = store.get(identifier.child("secrets", secret))
    if kept is None:
        message = f"The secret of KeyVault parameter '{name}' cannot be retrieved: '{secret}' was not found."
        raise ArmError(_CODE, message, target=name)
    return {"value": properties(kept.body)["value"]}
