"""What a deployment would do: checked before anything exists, and shown resource by resource."""

from itertools import zip_longest
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE
from ai_toolkit.local_cloud.core.shapes import writable
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.resource_type import properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import normal_location
from ai_toolkit.local_cloud.template.outputs import check_known_outputs
from ai_toolkit.local_cloud.template.planned import Plan, PlannedResource
from ai_toolkit.local_cloud.template.scope import Value, invalid_template

_ABSENT: Final = object()
LISTED: Final = frozenset({"id", "identity", "kind", "location", "managedBy", "name", "sku", "tags", "type", "zones"})


def check_plan(manager: ResourceManager, plan: Plan) -> None:
    """Raise ArmError for the first resource that is wrong, as far as bodies are known before anything exists."""
    for each in plan.all_plans():
        check_known_outputs(each.template, each.scope)
    made: set[str] = set()  # groups that the deployment makes
    seen: set[str] = set()
    for resource in plan.everything():
        if resource.existing:
            if manager.find_type(resource.type) is not None:
                manager.type_named(resource.type, resource.api_version)
            continue
        if resource.is_deployment:
            continue  # what it deploys is checked when it is planned
        manager.type_named(resource.type, resource.api_version)
        if resource.id is None:
            continue
        if resource.id.key in seen:
            raise invalid_template(f"The resource '{resource.id}' is defined multiple times", resource.place)
        seen.add(resource.id.key)
        manager.check_put(resource.id, resource.known_body(), resource.api_version)
        if resource.id.type == GROUP_TYPE:
            made.add(resource.id.key)
        elif resource.id.group_id.key not in made:
            manager.require_group(resource.id)


def change(manager: ResourceManager, resource: PlannedResource) -> JsonObject:
    """What a deployment would do to one resource, for a what-if."""
    after = {
        "id": resource.shown_id,
        "name": resource.name.shown,
        "type": resource.type,
        "apiVersion": resource.api_version,
        **({} if resource.is_deployment else _without_secrets(resource.known_body())),
    }
    if resource.id is None or resource.is_deployment:
        which = "resources are" if resource.is_deployment else "id is"
        reason = f"The {'deployment' if resource.is_deployment else 'resource'}'s {which} known only while it runs."
        return {
            "resourceId": resource.shown_id,
            "changeType": "Unsupported",
            "unsupportedReason": reason,
            "after": after,
        }
    stored = manager.find(resource.id)
    if stored is None:
        return {"resourceId": str(resource.id), "changeType": "Create", "after": after}
    before = {**shown_part(manager, stored), "apiVersion": resource.api_version}
    result: JsonObject = {"resourceId": str(resource.id), "before": before, "after": after}
    if resource.only_if_missing:
        return {**result, "after": before, "changeType": "NoChange"}
    delta = _differences(before, after)
    result["after"] = _laid_over(before, after)
    return {**result, "changeType": "Modify", "delta": delta} if delta else {**result, "changeType": "NoChange"}


def shown_part(manager: ResourceManager, stored: StoredResource) -> JsonObject:
    """A resource as a what-if shows it before a change: what a request could hold of it.

    Source: recorded what-ifs of Azure's, which have neither what only answers hold nor what is empty.
    """
    view = manager.view(stored)
    resource_type = manager.type_of(stored.id, None)
    found = resource_type.in_what_ifs(writable(resource_type.body, view))
    if isinstance(found.get("location"), str):
        found["location"] = normal_location(found["location"])  # a region's two names are no change
    return {**{name: view[name] for name in ("id", "name", "type")}, **found}


def ignored(manager: ResourceManager, stored: StoredResource) -> JsonObject:
    """The change of a resource that the template does not name: as a list of the group's resources shows it."""
    shown = {name: item for name, item in shown_part(manager, stored).items() if name in LISTED}
    return {"resourceId": str(stored.id), "changeType": "Ignore", "before": shown, "after": shown}


def _laid_over(before: Value, after: Value) -> Value:
    """What there is with what the template says laid over it; an array is the template's."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {**before, **{key: _laid_over(before.get(key), item) for key, item in after.items()}}
    return after


def _without_secrets(body: JsonObject) -> JsonObject:
    """A container app's secrets by name, and by the expression for the value where there is one."""
    configuration = properties(body).get("configuration")
    if not isinstance(configuration, dict) or not isinstance(configuration.get("secrets"), list):
        return body
    names = [
        {key: value for key, value in secret.items() if key != "value" or _unknown(value)}
        for secret in configuration["secrets"]
        if isinstance(secret, dict)
    ]
    return {**body, "properties": {**properties(body), "configuration": {**configuration, "secrets": names}}}


def _differences(before: Value, after: Value, path: str = "") -> list[JsonObject]:
    """Property-level changes; what a template does not say is what Azure adds by itself."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key, value in after.items():
            below = f"{path}.{key}" if path else key
            if key in before:
                found += _differences(before[key], value, below)
            elif value not in (None, [], {}) and not _unknown(value):
                found.append({"path": below, "propertyChangeType": "Create", "after": value})
        return found
    if before == after or _unknown(after):
        return []
    if isinstance(before, list) and isinstance(after, list):
        children = [
            child
            for index, (one, other) in enumerate(zip_longest(before, after, fillvalue=_ABSENT))
            for child in _item_differences(one, other, str(index))
        ]
        return [{"path": path, "propertyChangeType": "Array", "children": children}] if children else []
    return [{"path": path, "propertyChangeType": "Modify", "before": before, "after": after}]


def _item_differences(before: Value, after: Value, index: str) -> list[JsonObject]:
    """What changes at one place of an array."""
    if before is _ABSENT:
        return [{"path": index, "propertyChangeType": "Create", "after": after}]
    if after is _ABSENT:
        return [{"path": index, "propertyChangeType": "Delete", "before": before}]
    below = _differences(before, after)
    if isinstance(before, dict) and isinstance(after, dict):
        return [{"path": index, "propertyChangeType": "Modify", "children": below}] if below else []
    return [{**one, "path": index} for one in below]


def _unknown(value: Value) -> bool:
    """Whether it is an expression that only the deployment can evaluate."""
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")
