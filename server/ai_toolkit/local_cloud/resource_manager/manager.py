"""The Resource Manager's resources: put, patched, read, listed, deleted and acted upon by id."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from ai_toolkit.local_cloud.core.arm_error import (
    ArmError,
    JsonObject,
    JsonValue,
    group_not_found,
    resource_not_found,
)
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE, ResourceId
from ai_toolkit.local_cloud.core.state import LOCAL, LOCAL_KEYS, ResourceStore, StoredResource
from ai_toolkit.local_cloud.faults.model import Faults, Kind
from ai_toolkit.local_cloud.resource_manager.operations import Operations
from ai_toolkit.local_cloud.resource_manager.resource_type import ResourceType, check_body, merge_patch, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import check_location, check_subscription, normal_location
from ai_toolkit.local_cloud.resource_manager.write_checks import (
    Lock,
    check_policies,
    check_registered,
    check_unlocked,
)

log = logging.getLogger(__name__)


class ResourceManager:
    """Resources of the registered types; HTTP routes and template deployments both end here."""

    def __init__(
        self, store: ResourceStore, operations: Operations, faults: Faults, types: Iterable[ResourceType]
    ) -> None:
        self.faults = faults
        self.store = store
        self.operations = operations
        operations.view = lambda identifier: self.view(self.require(identifier))
        self._types = {resource_type.name.lower(): resource_type for resource_type in types}

    def find_type(self, name: str) -> ResourceType | None:
        """The type of that name, in any case."""
        return self._types.get(name.lower())

    def type_of(self, identifier: ResourceId, api_version: str | None) -> ResourceType:
        """The type of a resource; ArmError for types and API versions that are not emulated."""
        return self.type_named(identifier.type, api_version, str(identifier))

    def type_named(self, name: str, api_version: str | None, of: str = "") -> ResourceType:
        """The type of that name; ArmError for types and API versions that are not emulated."""
        found = self._types.get(name.lower())
        if found is None:
            raise ArmError(
                "NotImplementedByLocalCloud",
                f"The local cloud does not emulate resources of type {name}{f' ({of})' if of else ''}.",
                status=501,
                target=name,
            )
        if api_version is not None and not found.knows_version(api_version):
            known = ",".join(sorted(found.api_versions))
            raise ArmError(
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{api_version}' for type "
                f"'{name}'. The supported api-versions are '{known}'.",
            )
        return found

    def check_put(self, identifier: ResourceId, body: JsonObject, api_version: str | None) -> ResourceType:
        """The resource's type; ArmError when the PUT is wrong whatever the state is."""
        check_subscription(identifier.subscription)
        resource_type = self.type_of(identifier, api_version)
        check_registered(self.store, identifier.subscription, identifier.namespace)
        check_policies(self.faults, identifier, body)
        if resource_type.has_location and "location" not in body:
            resource_type.check(identifier, body)  # which has Azure's own code for this
        check_body(resource_type.body, _as_sent(body), api_version)
        resource_type.check(identifier, body)
        if resource_type.has_location:
            check_location(body["location"])
        return resource_type

    def accept(self, identifier: ResourceId, body: JsonObject, api_version: str | None) -> tuple[StoredResource, bool]:
        """The resource as stored before it is provisioned, and whether it is new."""
        resource_type = self.check_put(identifier, body, api_version)
        self._require_parent(identifier)
        check_unlocked(self.store, identifier, Lock.READ_ONLY, "write")
        existing = self.store.get(identifier)
        if existing is not None and resource_type.has_location:
            _check_stays(existing, body["location"])
        merged = resource_type.merge(identifier, body, existing.body if existing else None)
        now = datetime.now(UTC).isoformat()
        created = existing.body.get("systemData", {}).get("createdAt", now) if existing else now
        merged = {
            **merged,
            **(
                {}
                if not resource_type.has_system_data
                else {
                    "systemData": {
                        "createdBy": "local-cloud",
                        "createdByType": "User",
                        "createdAt": created,
                        "lastModifiedBy": "local-cloud",
                        "lastModifiedByType": "User",
                        "lastModifiedAt": now,
                    }
                }
            ),
            "properties": {**properties(merged), "provisioningState": resource_type.working_state},
        }
        return self.store.put(identifier, merged), existing is None

    def _require_parent(self, identifier: ResourceId) -> None:
        if not identifier.namespace:
            return  # a resource group is in its subscription, which was checked
        self.require_group(identifier)
        parent = identifier.parent
        parent_type = self.find_type(parent.type)
        if parent_type is not None and parent_type.is_implicit:
            parent = parent.parent
        is_elsewhere = identifier.target is not None and parent_type is None and parent.namespace
        if parent.group and not is_elsewhere and self.store.get(parent) is None:
            raise ArmError(
                "ParentResourceNotFound",
                f"Failed to perform 'write' on resource(s) of type '{identifier.type}', because the parent "
                f"resource '{parent}' could not be found.",
                status=404,
            )

    async def finish(self, resource: StoredResource) -> StoredResource:
        """The provisioned resource; ArmError, with the state recorded as Failed, when it cannot be."""
        resource_type = self.type_of(resource.id, None)
        try:
            await self._let_fault_happen(resource)
            await resource_type.provision(resource)
        except ArmError:
            self._record_state(resource.id, "Failed")
            raise
        return self._record_state(resource.id, "Succeeded") or resource

    async def _let_fault_happen(self, resource: StoredResource) -> None:
        """Let a fault happen that was asked for."""
        fault = self.faults.for_resource(str(resource.id))
        if fault is not None and fault.kind is Kind.RESOURCE_HANGS:
            await asyncio.Event().wait()
        if fault is not None:
            status = fault.status if fault.status < 500 else 400  # noqa: PLR2004  # it is the resource that failed
            raise ArmError(fault.code or "InjectedFault", fault.message, status=status, target=resource.id.name)

    def _record_state(self, identifier: ResourceId, state: str) -> StoredResource | None:
        current = self.store.get(identifier)
        if current is None:
            return None
        body = {**current.body, "properties": {**properties(current.body), "provisioningState": state}}
        return self.store.put(identifier, body)

    def patch(self, identifier: ResourceId, patch: JsonObject) -> StoredResource:
        """The existing resource with a patch merged in, accepted but not yet provisioned."""
        existing = self.require(identifier)
        check_body(self.type_of(identifier, None).body, patch, None, is_whole=False)
        merged = merge_patch(existing.body, patch)
        resource, _created = self.accept(identifier, merged, None)
        return resource

    def find(self, identifier: ResourceId) -> StoredResource | None:
        """The resource, also one that every parent has from the beginning; None where there is none."""
        return self.store.get(identifier) or self._implicit(identifier)

    def require(self, identifier: ResourceId) -> StoredResource:
        """The stored resource, or 404."""
        check_subscription(identifier.subscription)
        self.require_group(identifier)
        found = self.find(identifier)
        if found is None:
            known = self.find_type(identifier.type)
            raise known.not_found(identifier) if known else resource_not_found(str(identifier), identifier.group)
        return found

    def _implicit(self, identifier: ResourceId) -> StoredResource | None:
        """A part that every parent has from the beginning."""
        found = self.find_type(identifier.type)
        if found is None or not found.is_implicit or not found.name_pattern.fullmatch(identifier.name.lower()):
            return None
        parent = self.store.get(identifier.parent)
        kind, name = identifier.types[-1], identifier.name.lower()
        return StoredResource(parent.id.child(kind, name), {"properties": {}}) if parent else None

    def require_group(self, identifier: ResourceId) -> None:
        """Raise 404 where the resource group, if there is one in the id, does not exist."""
        if identifier.group:
            self.group(identifier)

    def group(self, identifier: ResourceId) -> StoredResource:
        """The resource group of a resource, or 404."""
        group = self.store.get(identifier.group_id)
        if group is None:
            raise group_not_found(identifier.group)
        return group

    def view(self, resource: StoredResource) -> JsonObject:
        """The resource as a GET returns it."""
        return self.type_of(resource.id, None).view(resource)

    def list(self, scope: str, resource_type: str) -> list[JsonObject]:
        """Resources of one type below a scope; those that every parent has, too."""
        found = {resource.id.key: resource for resource in self.store.below(scope, resource_type)}
        if (kind := self.find_type(resource_type)) is not None and kind.is_implicit:
            parent = ResourceId.parse(scope)
            implicit = self._implicit(parent.child(kind.name.rpartition("/")[2], "default"))
            found = found or ({implicit.id.key: implicit} if implicit else {})
        return [self.view(resource) for resource in found.values()]

    def check_deletable(self, identifier: ResourceId) -> None:
        """Raise 409 where a lock forbids the deletion."""
        check_unlocked(self.store, identifier, Lock.CANNOT_DELETE, "delete")

    async def delete(self, identifier: ResourceId) -> None:
        """Remove the resource and its parts, the parts first; one that is not there is no error."""
        resource = self.store.get(identifier)
        if resource is None:
            return
        self.check_deletable(identifier)
        newest_first = reversed(list(self.store.below(str(identifier))))
        for part in sorted(newest_first, key=lambda part: -len(part.id.types)):
            if (part_type := self.find_type(part.id.type)) is not None:
                await part_type.remove(part)
            self.store.delete(part.id)
        if identifier.type != GROUP_TYPE:
            await self.type_of(identifier, None).remove(resource)
        self.store.delete(identifier)

    async def act(self, identifier: ResourceId, action: str, body: JsonObject) -> JsonValue:
        """The answer of an action such as `listKeys`; ArmError 501 for one that is not emulated."""
        resource_type = self.type_of(identifier, None)
        perform = resource_type.actions().get(action.lower())
        if perform is None:
            raise ArmError(
                "NotImplementedByLocalCloud",
                f"The local cloud does not emulate the action '{action}' of {identifier.type}.",
                status=501,
                target=action,
            )
        return await perform(self.require(identifier), body)


def _check_stays(existing: StoredResource, location: str) -> None:
    """Raise 409 where a resource that exists would move to another region."""
    before = existing.body.get("location")
    if isinstance(before, str) and normal_location(before) != normal_location(location) and existing.id.namespace:
        raise ArmError(
            "InvalidResourceLocation",
            f"The resource '{existing.id.name}' already exists in location '{normal_location(before)}' in resource "
            f"group '{existing.id.group}'. A resource with the same name cannot be created in location "
            f"'{normal_location(location)}'. Please select a new resource name.",
            status=409,
        )


def _as_sent(body: JsonObject) -> JsonObject:
    """A body without what only this cloud adds to what it stores, which a merged PATCH brings along."""
    sent = {name: value for name, value in body.items() if name not in {LOCAL, LOCAL_KEYS}}
    if "provisioningState" in properties(sent):
        kept = {name: value for name, value in properties(sent).items() if name != "provisioningState"}
        sent["properties"] = kept
    return sent
