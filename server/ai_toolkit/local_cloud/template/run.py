"""A template being deployed: resources put in the order they need, side by side where they do not."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, ResourceId
from ai_toolkit.local_cloud.resource_manager.manager import Accepted, ResourceManager
from ai_toolkit.local_cloud.template.functions.values import FunctionError
from ai_toolkit.local_cloud.template.outputs import outputs
from ai_toolkit.local_cloud.template.plan import plan_nested
from ai_toolkit.local_cloud.template.planned import Plan, PlannedResource
from ai_toolkit.local_cloud.template.preview import check_plan
from ai_toolkit.local_cloud.template.record import DeploymentRecord, OperationRecord, State, document
from ai_toolkit.local_cloud.template.scope import Value

log = logging.getLogger(__name__)

CONFLICT: Final = 409


class ManagedCloud:
    """The cloud as expressions see it while their deployment runs."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager

    def read(self, identifier: ResourceId) -> JsonObject:
        """A resource as a GET returns it, or a deployment with its outputs."""
        if identifier.type.lower() == DEPLOYMENT_TYPE.lower():
            found = self._manager.store.get(identifier)
            if found is None:
                raise ArmError("DeploymentNotFound", f"Deployment '{identifier.name}' could not be found.", status=404)
            return document(found)
        return self._manager.view(self._manager.require(identifier))

    def secrets(self, identifier: ResourceId, function: str) -> Value:
        """What a `list…` function returns."""
        found = self._manager.type_of(identifier, None).secrets().get(function.lower())
        if found is None:
            raise FunctionError(f"The local cloud does not emulate '{function}' of {identifier.type}.")
        return found(self._manager.require(identifier))


@dataclass
class DeploymentRun:
    """One run of a plan, with what has happened so far in its record."""

    manager: ResourceManager
    plan: Plan
    record: DeploymentRecord
    correlation: str
    made: list[str] = field(default_factory=list)  # ids of what was put, in this and in nested deployments
    _failures: dict[str, ArmError] = field(default_factory=dict)

    async def run(self) -> None:
        """Deploy, and keep how it ended. Raises ArmError `DeploymentFailed`; what was done stays done."""
        try:
            self.record.run()
            self.plan.surroundings.begin()
            found = await self._deploy_all()
            resources = [{"id": identifier} for identifier in self.made]
            self.record.end(State.SUCCEEDED, outputs=found, outputResources=resources)
        except ArmError as error:
            self.record.end(State.FAILED, error=error.body())
            raise
        except asyncio.CancelledError:
            self.record.end(State.CANCELED)
            raise
        except Exception as error:
            log.exception("deployment %s failed unexpectedly", self.record.id.name)
            body = {"code": "InternalServerError", "message": "The local cloud failed; see its log."}
            if full_disk.is_full(error):
                body = {"code": full_disk.CODE, "message": "This computer's disk is full (No space left on device)."}
            self.record.end(State.FAILED, error=body)
            raise

    async def _deploy_all(self) -> JsonObject:
        """The outputs, once every resource is there."""
        events = {resource.symbol: asyncio.Event() for resource in self.plan.resources}

        async def deploy_one(resource: PlannedResource) -> None:
            try:
                for needed in resource.needs:
                    await events[needed].wait()
                if not resource.needs & self._failures.keys():
                    await self._deploy(resource)
                else:
                    self._failures[resource.symbol] = ArmError("DependencyFailed", "A resource that it needs failed.")
            except ArmError as error:
                self._failures[resource.symbol] = error
            finally:
                events[resource.symbol].set()

        async with asyncio.TaskGroup() as group:
            for resource in self.plan.resources:
                group.create_task(deploy_one(resource))
        own = [error for error in self._failures.values() if error.code != "DependencyFailed"]
        if own:
            raise ArmError(
                "DeploymentFailed",
                "At least one resource deployment operation failed. Please list deployment operations for details. "
                "Please see https://aka.ms/arm-deployment-operations for usage details.",
                status=CONFLICT,
                details=[error.body() for error in own],
            )
        return outputs(self.plan.template, self.plan.scope)

    async def _deploy(self, resource: PlannedResource) -> None:
        operation = OperationRecord(resource)
        self.record.operations.append(operation)
        self.record.keep_operations()
        try:
            operation.status_code = await self._perform(resource, operation)
            operation.state = State.SUCCEEDED
        except ArmError as error:
            operation.state, operation.error = State.FAILED, error.body()
            operation.status_code = "Conflict" if error.status == CONFLICT else "BadRequest"
            raise
        except asyncio.CancelledError:
            operation.state = State.CANCELED
            raise
        finally:
            operation.ended = datetime.now(UTC)
            self.record.keep_operations()

    async def _perform(self, resource: PlannedResource, operation: OperationRecord) -> str:
        """The status of what is done for one resource."""
        if resource.existing:
            operation.was_only_read = True
            if self.manager.find_type(resource.type) is not None:
                self.manager.require(resource.known_id)
            return "OK"  # one of another type is elsewhere: only an expression that reads it would find out
        if resource.is_deployment:
            return await self._deploy_nested(resource, resource.nested)
        if resource.only_if_missing and self.manager.find(resource.known_id) is not None:
            operation.was_only_read = True
            return "OK"
        accepted = self.manager.accept(resource.known_id, resource.whole_body(), resource.api_version)
        # Azure goes on with a resource that it has begun, also where its deployment is cancelled meanwhile.
        making = self.manager.operations.background(self._finish(accepted))
        making.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(making)
        self.made.append(str(resource.known_id))
        return "Created" if accepted.is_new else "OK"

    async def _finish(self, accepted: Accepted) -> None:
        await self.manager.finish(accepted)

    async def _deploy_nested(self, resource: PlannedResource, planned: Plan | None) -> str:
        """A deployment within this one; it is planned anew only where its parameters were not known."""
        if planned is None or not planned.is_known or any(one.id is None for one in planned.everything()):
            planned = plan_nested(resource, self.plan.site, self.plan.surroundings)
            check_plan(self.manager, planned)
        record = DeploymentRecord(self.manager.store, resource.known_id)
        existed = self.manager.store.get(resource.known_id) is not None
        record.begin(planned, self.correlation)
        run = DeploymentRun(self.manager, planned, record, self.correlation)
        await run.run()
        self.made.extend(run.made)
        return "OK" if existed else "Created"
