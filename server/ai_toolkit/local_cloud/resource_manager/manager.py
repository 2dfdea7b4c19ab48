"""The Resource Manager's resources: put, patched, read, listed, deleted and acted upon by id."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ai_toolkit.local_cloud.core.arm_error import (
    ArmError,
    JsonObject,
    JsonValue,
    group_not_found,
    resource_not_found,
)
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE, ResourceId
from ai_toolkit.local_cloud.core.spelling import spelled
from ai_toolkit.local_cloud.core.state import LOCAL, LOCAL_KEYS, ResourceStore, StoredResource
from ai_toolkit.local_cloud.faults.model import Faults, Kind
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, When
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


@dataclass(frozen=True)
class Accepted:
    """A resource as stored before it is provisioned; `long`: how Azure carries the write out, None for at once."""

    resource: StoredResource
    is_new: bool
    long: LongOperation | None


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
        body = spelled(resource_type.body, body)
        check_registered(self.store, identifier.subscription, identifier.namespace)
        check_policies(self.faults, identifier, body)
        if resource_type.has_location and "location" not in body:
            resource_type.check(identifier, body)  # which has Azure's own code for this
        check_body(resource_type.body, _as_sent(body), api_version)
        resource_type.check(identifier, body)
        if resource_type.has_location:
            check_location(body["location"])
        return resource_type

    def accept(self, identifier: ResourceId, body: JsonObject, api_version: str | None) -> Accepted:
        """The resource as stored before it is provisioned."""
        resource_type = self.check_put(identifier, body, api_version)
        body = spelled(resource_type.body, body)
        return self._accept(identifier, body, resource_type, resource_type.long.put if resource_type.long else None)

    def _accept(
        self, identifier: ResourceId, body: JsonObject, resource_type: ResourceType, long: LongOperation | None
    ) -> Accepted:
        self._require_parent(identifier)
        check_unlocked(self.store, identifier, Lock.READ_ONLY, "write")
        existing = self.store.get(identifier)
        if existing is not None and (busy := resource_type.busy(existing)) is not None:
            raise busy
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
        taken = _if_long(long, existing, merged)
        if existing is not None and taken is not None and taken.when is not When.ALWAYS and taken.has_body:
            taken = replace(taken, status=200)
        return Accepted(self.store.put(identifier, merged), existing is None, taken)

    def _require_parent(self, identifier: ResourceId) -> None:
        if not identifier.namespace:
            return  # a resource group is in its subscription, which was checked
        self._require_group_to_write(identifier)
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

    async def finish(self, accepted: Accepted) -> StoredResource:
        """The provisioned resource, not before Azure has it; ArmError, with the state Failed, when it cannot be."""
        resource = accepted.resource
        resource_type = self.type_of(resource.id, None)
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self.operations.pace.seconds(accepted.long.takes) if accepted.long else 0.0)
        try:
            await self._let_fault_happen(resource)
            await resource_type.provision(resource)
            if (left := ends - loop.time()) > 0:
                await asyncio.sleep(left)
        except ArmError:
            self._record_state(resource.id, "Failed")
            raise
        except asyncio.CancelledError:  # of a deployment: what it had begun goes on
            if not self.operations.is_closed:
                self.operations.background(self._go_on(resource, max(0.0, ends - loop.time())))
            raise
        return self._record_state(resource.id, "Succeeded") or resource

    async def _go_on(self, resource: StoredResource, seconds: float) -> None:
        """Provision what nobody waits for any more."""
        await asyncio.sleep(seconds)
        try:
            await self.type_of(resource.id, None).provision(resource)
        except ArmError:
            self._record_state(resource.id, "Failed")
        else:
            self._record_state(resource.id, "Succeeded")

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

    def patch(self, identifier: ResourceId, patch: JsonObject) -> Accepted:
        """The existing resource with a patch merged in, accepted but not yet provisioned."""
        existing = self.require(identifier)
        resource_type = self.type_of(identifier, None)
        patch = spelled(resource_type.body, patch)
        check_body(resource_type.body, patch, None, is_whole=False)
        merged = merge_patch(existing.body, patch)
        self.check_put(identifier, merged, None)
        long = resource_type.long.patch if resource_type.long else None
        return self._accept(identifier, merged, resource_type, long)

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

    def _require_group_to_write(self, identifier: ResourceId) -> None:
        """Raise 404 where the group is not there, 409 where it is being deleted."""
        group_type = self.find_type(GROUP_TYPE)
        if identifier.group and group_type and (busy := group_type.busy(self.group(identifier))) is not None:
            raise busy

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
        """Remove the resource and its parts, the parts first, in Azure's time; one that is not there is no error."""
        resource = self.store.get(identifier)
        if resource is None:
            return
        self.check_deletable(identifier)
        if (own_type := self.find_type(identifier.type)) is not None:
            own_type.check_removable(resource)
            self._record_state(identifier, own_type.deleting_state)
        newest_first = reversed(list(self.store.below(str(identifier))))
        for part in sorted(newest_first, key=lambda part: -len(part.id.types)):
            await self._remove(part)
        await self._remove(resource)

    async def _remove(self, resource: StoredResource) -> None:
        """End what runs for a resource; it is still there, being deleted, as long as Azure takes for it."""
        known = self.find_type(resource.id.type)
        if known is not None:
            known.check_removable(resource)
            self._record_state(resource.id, known.deleting_state)
            await known.remove(resource)
            if known.long is not None and known.long.delete is not None:
                await asyncio.sleep(self.operations.pace.seconds(known.long.delete.takes))
                await known.remove(resource)  # what a look at it may have brought back
        self.store.delete(resource.id)

    async def resume(self) -> None:
        """Go on with what an earlier process had begun: what was being made or deleted is made or deleted."""
        for resource in list(self.store.below("/")):
            known, state = self.find_type(resource.id.type), properties(resource.body).get("provisioningState")
            if known is not None and state == known.deleting_state:
                self.operations.background(self.delete(resource.id))
            elif known is not None and known.long is not None and state == known.working_state and not known.resumes:
                self._record_state(resource.id, "Succeeded")

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


def _if_long(long: LongOperation | None, existing: StoredResource | None, merged: JsonObject) -> LongOperation | None:
    """How a write is carried out that may be done at once where it makes or changes nothing."""
    if long is None or existing is None or long.when is When.ALWAYS:
        return long
    is_same = _as_wanted(existing.body) == _as_wanted(merged)
    return None if long.when is When.NEW or is_same else long


def _as_wanted(body: JsonObject) -> JsonObject:
    """A body without what only tells how it came about, and without what is not said."""
    sent = {name: value for name, value in _as_sent(body).items() if name != "systemData"}
    if isinstance(sent.get("location"), str):
        sent["location"] = normal_location(sent["location"])
    said: JsonObject = _said(sent)
    return said


def _said(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    found = {name: _said(item) for name, item in value.items()}
    return {name: item for name, item in found.items() if item is not None and item != {}}
