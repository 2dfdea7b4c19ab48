"""A template being deployed: resources put in the order they need, side by side where they do not."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.resource_type import properties
from ai_toolkit.local_cloud.template.evaluation import evaluate, expand_copy
from ai_toolkit.local_cloud.template.functions.values import FunctionError
from ai_toolkit.local_cloud.template.parameters import resolve_definition
from ai_toolkit.local_cloud.template.plan import Plan, PlannedResource, UnknownYet, make_plan
from ai_toolkit.local_cloud.template.scope import NotYetKnownError

log = logging.getLogger(__name__)

Value = Any  # a JSON value
_ABSENT: Final = object()


class RunningSurroundings:
    """What expressions can look at while a deployment runs: the cloud as it is now."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager
        self._planned: dict[str, PlannedResource] = {}
        self._by_name: dict[str, PlannedResource] = {}

    def know(self, plan: Plan) -> None:
        """Learn the plan's symbols and names."""
        for resource in plan.resources:
            self._planned[resource.symbol.lower()] = resource
            self._by_name[resource.id.name.lower()] = resource

    def resource_id_of(self, symbol: str) -> str | None:
        """The id of the plan's resource of that symbol."""
        found = self._planned.get(symbol.lower())
        return str(found.id) if found else None

    def reference(self, name: str, api_version: str | None, *, full: bool) -> Value:
        """The properties of a resource now, or the whole of it."""
        del api_version
        body = self._manager.view(self._manager.require(self._resolve(name)))
        return body if full else body.get("properties", {})

    def references(self, symbol: str, *, full: bool) -> list[Value]:
        """The properties of a loop's resources now, or the whole of them."""
        prefix = f"{symbol.lower()}["
        found = [planned.symbol for name, planned in self._planned.items() if name.startswith(prefix)]
        if not found:
            raise FunctionError(f"The template has no resource collection '{symbol}'.")
        return [self.reference(one, None, full=full) for one in found]

    def list_secrets(self, function: str, resource: str, api_version: str, body: JsonObject) -> Value:
        """What a `list…` function of a template returns."""
        del api_version, body
        identifier = self._resolve(resource)
        found = self._manager.type_of(identifier, None).secrets().get(function.lower())
        if found is None:
            raise FunctionError(f"The local cloud does not emulate '{function}' of {identifier.type}.")
        return found(self._manager.require(identifier))

    def _resolve(self, name: str) -> ResourceId:
        planned = self._planned.get(name.lower()) or self._by_name.get(name.lower())
        return planned.id if planned else ResourceId.parse(name)


@dataclass
class OperationRecord:
    """What happened to one resource of a deployment."""

    id: str
    resource: PlannedResource
    started: datetime
    state: str = "Running"
    ended: datetime | None = None
    status_code: str = "Accepted"
    error: JsonObject | None = None

    def document(self, deployment_id: str) -> JsonObject:
        """The operation as a GET returns it."""
        ended = self.ended or datetime.now(UTC)
        body: JsonObject = {
            "provisioningOperation": "Read" if self.resource.existing else "Create",
            "provisioningState": self.state,
            "timestamp": ended.isoformat(),
            "duration": f"PT{(ended - self.started).total_seconds():.3f}S",
            "trackingId": self.id,
            "statusCode": self.status_code,
            "targetResource": {
                "id": str(self.resource.id),
                "resourceType": self.resource.id.type,
                "resourceName": "/".join(self.resource.id.names),
            },
        }
        if self.error is not None:
            body["statusMessage"] = {"error": self.error}
        return {"id": f"{deployment_id}/operations/{self.id}", "operationId": self.id, "properties": body}


@dataclass
class DeploymentRun:
    """One run of a plan, with what has happened so far."""

    manager: ResourceManager
    plan: Plan
    surroundings: RunningSurroundings
    on_change: Callable[[], None] = lambda: None
    operations: list[OperationRecord] = field(default_factory=list)

    async def run(self) -> JsonObject:
        """The outputs. Raises ArmError `DeploymentFailed` with the failures; what was done stays done."""
        self.surroundings.know(self.plan)
        events = {resource.symbol: asyncio.Event() for resource in self.plan.resources}
        failures: dict[str, ArmError] = {}

        async def deploy_one(resource: PlannedResource) -> None:
            try:
                for needed in resource.needs:
                    await events[needed].wait()
                if resource.needs & failures.keys():
                    failures[resource.symbol] = ArmError("DependencyFailed", "A resource that this one needs failed.")
                    return
                await self._deploy(resource)
            except ArmError as error:
                failures[resource.symbol] = error
            finally:
                events[resource.symbol].set()

        async with asyncio.TaskGroup() as group:
            for resource in self.plan.resources:
                group.create_task(deploy_one(resource))
        own = [error for error in failures.values() if error.code != "DependencyFailed"]
        if own:
            raise ArmError(
                "DeploymentFailed",
                "At least one resource deployment operation failed. Please list deployment operations for details. "
                "Please see https://aka.ms/arm-deployment-operations for usage details.",
                status=409,
                details=[error.body() for error in own],
            )
        return self._outputs()

    async def _deploy(self, resource: PlannedResource) -> None:
        record = OperationRecord(uuid.uuid4().hex[:16].upper(), resource, datetime.now(UTC))
        self.operations.append(record)
        self.on_change()
        try:
            if resource.existing:
                self.manager.require(resource.id)
                record.status_code = "OK"
            else:
                body = evaluate(resource.body, resource.scope, resource.place)
                accepted, created = self.manager.accept(resource.id, body, resource.api_version)
                record.status_code = "Created" if created else "OK"
                await self.manager.finish(accepted)
            record.state = "Succeeded"
        except ArmError as error:
            record.state, record.error = "Failed", error.body()
            record.status_code = "Conflict" if error.status == 409 else "BadRequest"  # noqa: PLR2004
            raise
        except asyncio.CancelledError:
            record.state = "Canceled"
            raise
        finally:
            record.ended = datetime.now(UTC)
            self.on_change()

    def _outputs(self) -> JsonObject:
        outputs: JsonObject = {}
        for name, definition in (self.plan.template.get("outputs") or {}).items():
            place = f"outputs.{name}"
            if not evaluate(definition.get("condition", True), self.plan.scope, place):
                continue
            resolved = resolve_definition(definition, self.plan.template, place)
            kind = resolved["type"]
            if isinstance(definition.get("copy"), dict):
                value = expand_copy({"name": name, **definition["copy"]}, self.plan.scope, place)
            else:
                value = evaluate(definition.get("value"), self.plan.scope, f"{place}.value")
            outputs[name] = {"type": kind.capitalize()}
            if not kind.lower().startswith("secure"):
                outputs[name]["value"] = value
        return outputs


def validate(
    manager: ResourceManager, template: JsonObject, parameters: JsonObject, group: JsonObject, name: str
) -> Plan:
    """The plan, every body of which was checked as far as it is known before anything exists.

    Raises ArmError for the first thing that is wrong.
    """
    surroundings = UnknownYet()
    plan = make_plan(template, parameters, group, name, surroundings)
    surroundings.ids.update({resource.symbol.lower(): str(resource.id) for resource in plan.resources})
    for resource in plan.resources:
        resource_type = manager.type_of(resource.id, resource.api_version)
        if resource.existing:
            continue
        body = evaluate_known(resource.body, resource)
        manager.check_put(resource.id, body, resource.api_version)
        manager.require_group(resource.id)
        del resource_type
    return plan


def evaluate_known(value: Value, resource: PlannedResource, place: str | None = None) -> Value:
    """The value with what is not known yet left as it stands in the template."""
    here = place or resource.place
    if isinstance(value, dict):
        if any(key == "copy" for key in value):
            try:
                return evaluate(value, resource.scope, here)
            except NotYetKnownError:
                return {key: item for key, item in value.items() if key != "copy"}
        return {key: evaluate_known(item, resource, f"{here}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate_known(item, resource, f"{here}[{index}]") for index, item in enumerate(value)]
    try:
        return evaluate(value, resource.scope, here)
    except NotYetKnownError:
        return value


def change(manager: ResourceManager, resource: PlannedResource) -> JsonObject:
    """What a deployment would do to one resource, for a what-if."""
    body = evaluate_known(resource.body, resource)
    after = {
        "id": str(resource.id),
        "name": resource.id.name,
        "type": resource.id.type,
        "apiVersion": resource.api_version,
        **_without_secrets(body),
    }
    stored = manager.store.get(resource.id)
    if stored is None:
        return {"resourceId": str(resource.id), "changeType": "Create", "after": after}
    before = {**manager.view(stored), "apiVersion": resource.api_version}
    delta = _differences(before, after)
    result: JsonObject = {"resourceId": str(resource.id), "before": before, "after": after}
    return {**result, "changeType": "Modify", "delta": delta} if delta else {**result, "changeType": "NoChange"}


def _without_secrets(body: JsonObject) -> JsonObject:
    """A container app's secrets by name only."""
    configuration = properties(body).get("configuration")
    if not isinstance(configuration, dict) or not isinstance(configuration.get("secrets"), list):
        return body
    names = [{"name": secret.get("name")} for secret in configuration["secrets"]]
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
