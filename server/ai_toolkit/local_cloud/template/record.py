"""A deployment as the store keeps it: its state, its outputs, and what happened to each of its resources."""

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.template.parameters import shown_parameters
from ai_toolkit.local_cloud.template.planned import Plan, PlannedResource


class State(StrEnum):
    """The state of a deployment or of one of its operations, in Azure's words."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})


@dataclass
class OperationRecord:
    """What happened to one resource of a deployment."""

    resource: PlannedResource
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16].upper())  # noqa: PLW0108  # a new one each time
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: State = State.RUNNING
    ended: datetime | None = None
    status_code: str = "Accepted"
    was_only_read: bool = False
    error: JsonObject | None = None

    def document(self, deployment: ResourceId) -> JsonObject:
        """The operation as a GET returns it."""
        ended = self.ended or datetime.now(UTC)
        identifier = self.resource.known_id
        body: JsonObject = {
            "provisioningOperation": "Read" if self.was_only_read else "Create",
            "provisioningState": self.state,
            "timestamp": ended.isoformat(),
            "duration": f"PT{(ended - self.started).total_seconds():.3f}S",
            "trackingId": self.id,
            "statusCode": self.status_code,
            "targetResource": {
                "id": str(identifier),
                "resourceType": identifier.type,
                "resourceName": "/".join(identifier.names) or identifier.name,
            },
        }
        if self.error is not None:
            body["statusMessage"] = {"error": self.error}
        return {"id": f"{deployment}/operations/{self.id}", "operationId": self.id, "properties": body}


@dataclass
class DeploymentRecord:
    """The record of one run of a plan."""

    store: ResourceStore
    id: ResourceId
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    operations: list[OperationRecord] = field(default_factory=list)

    def begin(self, plan: Plan, correlation: str, tags: JsonObject | None = None) -> StoredResource:
        """The deployment, accepted."""
        body: JsonObject = {
            "localTemplate": plan.template,
            "localOperations": [],
            "properties": {
                "templateHash": template_hash(plan.template),
                "parameters": shown_parameters(plan.template, plan.parameters) if plan.parameters else {},
                "mode": "Incremental",
                "provisioningState": State.ACCEPTED,
                "timestamp": self.started.isoformat(),
                "duration": "PT0S",
                "correlationId": correlation,
                "providers": providers(plan),
                "dependencies": dependencies(plan),
            },
        }
        if plan.site.group is None:
            body["location"] = plan.site.location
        if tags:
            body["tags"] = tags
        return self.store.put(self.id, body)

    def run(self) -> None:
        """It runs."""
        change(self.store, self.id, provisioningState=State.RUNNING)

    def end(self, state: State, **properties: object) -> None:
        """It ended so."""
        now = datetime.now(UTC)
        change(
            self.store,
            self.id,
            provisioningState=state,
            timestamp=now.isoformat(),
            duration=f"PT{(now - self.started).total_seconds():.3f}S",
            **properties,
        )

    def keep_operations(self) -> None:
        """Keep what has happened to each resource so far."""
        stored = self.store.get(self.id)
        if stored is not None:
            documents = [record.document(self.id) for record in self.operations]
            self.store.put(self.id, {**stored.body, "localOperations": documents})


def change(store: ResourceStore, identifier: ResourceId, **properties: object) -> None:
    """Change a deployment's properties where it is still kept."""
    stored = store.get(identifier)
    if stored is not None:
        store.put(identifier, {**stored.body, "properties": {**stored.body["properties"], **properties}})


def document(deployment: StoredResource) -> JsonObject:
    """A deployment as a GET returns it."""
    found: JsonObject = {"id": str(deployment.id), "name": deployment.id.name, "type": DEPLOYMENT_TYPE}
    found.update({name: deployment.body[name] for name in ("location", "tags") if name in deployment.body})
    return {**found, "properties": deployment.body["properties"]}


def template_hash(template: JsonObject) -> str:
    """What tells one template from another."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def providers(plan: Plan) -> list[JsonObject]:
    """The resource types of a plan by provider."""
    kinds: dict[str, set[str]] = {}
    for resource in plan.resources:
        namespace, _, kind = resource.type.partition("/")
        kinds.setdefault(namespace, set()).add(kind)
    return [
        {"namespace": namespace, "resourceTypes": [{"resourceType": kind} for kind in sorted(found)]}
        for namespace, found in kinds.items()
    ]


def dependencies(plan: Plan) -> list[JsonObject]:
    """What each resource of a plan waits for."""
    by_symbol = {resource.symbol: resource for resource in plan.resources}

    def named(symbol: str) -> JsonObject:
        resource = by_symbol[symbol]
        name = "/".join(resource.id.names) or resource.id.name if resource.id else resource.name.shown
        return {"id": resource.shown_id, "resourceType": resource.type, "resourceName": name}

    return [
        {**named(resource.symbol), "dependsOn": [named(needed) for needed in sorted(resource.needs)]}
        for resource in plan.resources
        if resource.needs
    ]
