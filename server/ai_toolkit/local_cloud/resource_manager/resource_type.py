"""What every type of resource can do, and what most types do alike."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue, resource_not_found
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Reading, Table, problems_of
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperations

# The Resource Manager itself and small providers have had too many versions to list: what is none is refused.
ANY_VERSION: Final = re.compile(r"20(1[4-9]|2[0-6])-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")
Action = Callable[[StoredResource, JsonObject], Awaitable[JsonValue]]


class ResourceType:
    """A type of resource; a subclass says what is special about its own.

    Bodies are stored whole. `view` is what a GET returns: never secrets, and with what is only known
    while the resource lives.
    """

    name: ClassVar[str]
    api_versions: ClassVar[frozenset[str]]
    body: ClassVar[Table]  # what a request may hold, in the notation of `core/shapes.py`
    has_location: ClassVar[bool] = True
    created_status: ClassVar[int] = 201
    working_state: ClassVar[str] = "InProgress"  # provisioningState while it is being provisioned
    deleting_state: ClassVar[str] = "Deleting"  # and while it is being deleted
    long: ClassVar[LongOperations | None] = None  # what Azure does not do at once
    resumes: ClassVar[bool] = False  # goes by itself on with what an earlier process had begun to make
    has_system_data: ClassVar[bool] = True
    is_implicit: ClassVar[bool] = False  # there from the beginning in every parent, whether put or not
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9][\w().-]{0,89}")
    name_rule: ClassVar[str] = "1 to 90 letters, digits, '-', '_', '.' or brackets"

    def __init__(self, store: ResourceStore) -> None:
        self.store = store

    def knows_version(self, api_version: str) -> bool:
        """Whether Azure knows the api-version for this type."""
        return api_version in self.api_versions

    def check(self, identifier: ResourceId, body: JsonObject) -> None:
        """Raise ArmError when the request is wrong whatever the state is."""
        if not self.name_pattern.fullmatch(identifier.name):
            raise ArmError(
                "InvalidResourceName",
                f"'{identifier.name}' is not a valid name for {self.name}: {self.name_rule}.",
                target="name",
            )
        if self.has_location and not isinstance(body.get("location"), str):
            raise ArmError(
                "LocationRequired",
                "The location property is required for this definition.",
                target="location",
            )
        if not isinstance(body.get("properties", {}), dict):
            raise ArmError("InvalidRequestContent", "The property 'properties' must be an object.", target="properties")

    def not_found(self, identifier: ResourceId) -> ArmError:
        """404 for one that is not there: most types leave it to the Resource Manager, some have a code of their own."""
        return resource_not_found(str(identifier), identifier.group)

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """The body to store for a PUT: by default what was sent, and nothing of the existing one."""
        del identifier, existing
        return body

    async def provision(self, resource: StoredResource) -> None:
        """Do what storing alone does not; ArmErrors fail the operation."""

    def check_removable(self, resource: StoredResource) -> None:
        """Raise ArmError where the resource cannot be deleted as things are."""

    def busy(self, resource: StoredResource) -> ArmError | None:
        """What Azure answers to a write while another one is being carried out; None where it takes it."""
        del resource
        return None

    async def remove(self, resource: StoredResource) -> None:
        """Undo what `provision` did, before the resource is deleted."""

    def view(self, resource: StoredResource) -> JsonObject:
        """The resource as a GET returns it."""
        body = {key: value for key, value in resource.body.items() if key not in {"id", "name", "type"}}
        if body.get("tags", "") is None:  # recorded: null is not told
            del body["tags"]
        if isinstance(body.get("location"), str):
            body["location"] = self.shown_location(body["location"])
        return {"id": str(resource.id), "name": resource.id.name, "type": self.name, **body}

    def in_what_ifs(self, body: JsonObject) -> JsonObject:
        """What a what-if tells of what a request could hold of the resource: by default all of it."""
        return body

    def shown_location(self, location: str) -> str:
        """A region's name as a GET returns it: as it was sent, unless the type has a form of its own."""
        return location

    def actions(self) -> Mapping[str, Action]:
        """What a POST below the resource can do, by name in lower case."""
        return {}

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """Synchronous `list*` functions of templates, by name in lower case."""
        return {}


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """RFC 7396: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def properties(body: JsonObject) -> JsonObject:
    """The `properties` of a body, empty when there are none."""
    found = body.get("properties")
    return found if isinstance(found, dict) else {}


def check_body(table: Table, body: JsonObject, api_version: str | None = None, *, is_whole: bool = True) -> None:
    """Raise ArmError `InvalidRequestContent` with every mistake of a request's body among the details.

    A property that Azure knows and the local cloud does not emulate is 501 instead, when nothing else is
    wrong. A PATCH is not whole: what it leaves out is there already.
    """
    problems = list(problems_of(table, body, "", Reading(is_whole=is_whole, api_version=api_version)))
    problems.sort(key=lambda problem: problem.not_emulated)
    if not problems:
        return
    first = problems[0]
    if first.not_emulated:
        raise ArmError("NotImplementedByLocalCloud", first.message, status=501, target=first.target)
    raise ArmError(
        "InvalidRequestContent",
        f"The request content was invalid: {first.message} Path '{first.target}'.",
        target=first.target,
        details=[
            {"code": "InvalidRequestContent", "message": problem.message, "target": problem.target}
            for problem in problems
        ],
    )
