"""Resource groups over HTTP."""

import re
from typing import ClassVar

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, group_not_found, not_emulated_value
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE, ResourceId
from ai_toolkit.local_cloud.core.shapes import TEXT, TRACKED, Table, answered
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import Polled
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import Place
from ai_toolkit.local_cloud.resource_manager.resource_type import ANY_VERSION, ResourceType, merge_patch, properties
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes, paged
from ai_toolkit.local_cloud.resource_manager.subscriptions import (
    check_subscription,
    normal_location,
)

_EQUAL = re.compile(r"(\w+) eq '([^']*)'", re.IGNORECASE)


class ResourceGroupType(ResourceType):
    """Microsoft.Resources/resourceGroups, which a template for a subscription makes like any resource."""

    name: ClassVar[str] = GROUP_TYPE
    body: ClassVar[Table] = {**TRACKED, "managedBy": TEXT, "properties": {**answered("provisioningState")}}
    api_versions: ClassVar[frozenset[str]] = frozenset()
    working_state: ClassVar[str] = "Succeeded"
    has_system_data: ClassVar[bool] = False
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[\w().-]{0,89}[\w()-]")

    def knows_version(self, api_version: str) -> bool:
        """Every version that could be Azure's."""
        return ANY_VERSION.fullmatch(api_version) is not None

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Refuse names that Azure refuses, with its own code, and a group without a location."""
        if not self.name_pattern.fullmatch(identifier.group):
            raise ArmError(
                "InvalidResourceGroup",
                f"The provided resource group name '{identifier.group}' has characters that are not allowed: use "
                "at most 90 letters, digits, '-', '_', '.' and brackets, no '.' last.",
            )
        super().check(identifier, body)

    def busy(self, resource: StoredResource) -> ArmError | None:
        """Nothing is written to a group that is being deleted."""
        if properties(resource.body).get("provisioningState") != self.deleting_state:
            return None
        return ArmError(
            "ResourceGroupBeingDeleted",
            f"The resource group '{resource.id.group}' is in deprovisioning state and cannot perform this operation.",
            status=409,
        )

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent; a group cannot move."""
        del identifier
        location = normal_location(body["location"])
        if existing is not None and location != normal_location(existing["location"]):
            raise ArmError(
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{body['location']}'. The Resource group already exists in location "
                f"'{existing['location']}'.",
                status=409,
            )
        managed_by = {"managedBy": body["managedBy"]} if body.get("managedBy") else {}
        return {"location": location, "tags": body.get("tags") or {}, **managed_by}


class ResourceGroups:
    """Create, read, list and delete resource groups and list what is in them."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager

    def add_routes(self, routes: Routes) -> None:
        """Add the routes of resource groups."""
        group = "/subscriptions/{subscription}/resourcegroups/{group}"
        routes.add("GET", "/subscriptions/{subscription}/resourcegroups", self._list)
        routes.add("PUT", group, self._put)
        routes.add("PATCH", group, self._patch)
        routes.add("GET", group, self._get)
        routes.add("HEAD", group, self._head)
        routes.add("DELETE", group, self._delete)
        routes.add("GET", f"{group}/resources", self._resources)
        routes.add("GET", "/subscriptions/{subscription}/resources", self._all_resources)

    def document(self, group: StoredResource) -> JsonObject:
        """A resource group as a GET returns it."""
        return self._manager.view(group)

    async def _list(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        groups = self._manager.store.below(f"/subscriptions/{request.names['subscription']}", GROUP_TYPE)
        return paged(request, [self.document(group) for group in groups])

    async def _put(self, request: ArmRequest) -> web.Response:
        identifier = _identifier(request)
        accepted = self._manager.accept(identifier, request.require_body(), None)
        return web.json_response(self.document(accepted.resource), status=201 if accepted.is_new else 200)

    async def _patch(self, request: ArmRequest) -> web.Response:
        group = self._manager.group(_identifier(request))
        tags = merge_patch(group.body.get("tags"), request.require_body().get("tags", {}))
        return web.json_response(self.document(self._manager.store.put(group.id, {**group.body, "tags": tags})))

    async def _get(self, request: ArmRequest) -> web.Response:
        return web.json_response(self.document(self._manager.group(_identifier(request))))

    async def _head(self, request: ArmRequest) -> web.Response:
        exists = self._manager.store.get(_identifier(request)) is not None
        return web.Response(status=204 if exists else 404)

    async def _delete(self, request: ArmRequest) -> web.Response:
        identifier = _identifier(request)
        if self._manager.store.get(identifier) is None:
            raise group_not_found(identifier.group)
        self._manager.check_deletable(identifier)
        operations = self._manager.operations
        place = Place.of_manager(identifier.subscription)
        operation = operations.start(place, self._manager.delete(identifier), ends_with=200)
        return web.Response(status=202, headers=operations.headers(request, operation, Polled.RESULT))

    async def _resources(self, request: ArmRequest) -> web.Response:
        group = self._manager.group(_identifier(request))
        return paged(request, self._listed(str(group.id), request))

    async def _all_resources(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        return paged(request, self._listed(f"/subscriptions/{request.names['subscription']}", request))

    def _listed(self, scope: str, request: ArmRequest) -> list[JsonObject]:
        """The resources below a scope that the request's filter lets through, each in short."""
        wanted = _filter(request)
        found: list[JsonObject] = []
        for resource in self._manager.store.below(scope):
            identifier = resource.id
            is_one = identifier.namespace and len(identifier.types) == 1 and identifier.target is None
            if not is_one or self._manager.find_type(identifier.type) is None:
                continue
            if _is_wanted(resource, wanted):
                body = self._manager.view(resource)
                names = ("id", "name", "type", "location", "tags", "sku", "kind", "identity", "systemData")
                found.append({key: body[key] for key in names if key in body})
        return found


def _filter(request: ArmRequest) -> dict[str, str]:
    """What `$filter` asks for by name in lower case; ArmError 501 for more than equality of what is known."""
    given = request.query.get("$filter", "").strip()
    parts = [_EQUAL.fullmatch(part.strip()) for part in re.split(r"\s+and\s+", given)] if given else []
    found = {part[1].lower(): part[2] for part in parts if part is not None}
    if None in parts or found.keys() - {"resourcegroup", "resourcetype", "name", "tagname", "tagvalue"}:
        raise not_emulated_value(given, "$filter")
    return found


def _is_wanted(resource: StoredResource, wanted: dict[str, str]) -> bool:
    """Whether a filter lets the resource through: names in any case, a tag's value as it is."""
    identifier = resource.id
    own = {"resourcegroup": identifier.group, "resourcetype": identifier.type, "name": identifier.name}
    tags = {name.lower(): value for name, value in (resource.body.get("tags") or {}).items()}
    if "tagvalue" in wanted and tags.get(wanted.get("tagname", "").lower()) != wanted["tagvalue"]:
        return False
    if "tagname" in wanted and wanted["tagname"].lower() not in tags:
        return False
    return all(own[name].lower() == value.lower() for name, value in wanted.items() if name in own)


def _identifier(request: ArmRequest) -> ResourceId:
    check_subscription(request.names["subscription"])
    return ResourceId(request.names["subscription"], request.names["group"])
