"""Deployments of templates to a resource group, over HTTP."""

import asyncio
import hashlib
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import location_headers, poll_headers
from ai_toolkit.local_cloud.resource_manager.registration import check_may_write
from ai_toolkit.local_cloud.resource_manager.resource_groups import ResourceGroups
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes, paged
from ai_toolkit.local_cloud.resource_manager.subscriptions import check_subscription
from ai_toolkit.local_cloud.template.parameters import shown_parameters
from ai_toolkit.local_cloud.template.plan import Plan, make_plan
from ai_toolkit.local_cloud.template.run import DeploymentRun, RunningSurroundings, change, validate

log = logging.getLogger(__name__)

TYPE = "Microsoft.Resources/deployments"
NAME = re.compile(r"[\w().-]{1,64}")
ENDED = frozenset({"Succeeded", "Failed", "Canceled"})


@dataclass(frozen=True)
class ActiveDeployment:
    """A deployment that has not ended."""

    task: asyncio.Task[None]
    run: DeploymentRun


class Deployments:
    """Validates, previews, runs and cancels deployments, and keeps their history."""

    def __init__(self, manager: ResourceManager, groups: ResourceGroups) -> None:
        self._manager = manager
        self._groups = groups
        self._active: dict[str, ActiveDeployment] = {}

    def add_routes(self, routes: Routes) -> None:
        """Add the routes of deployments."""
        group = "/subscriptions/{subscription}/resourcegroups/{group}"
        collection = f"{group}/providers/Microsoft.Resources/deployments"
        one = f"{collection}/{{deployment}}"
        routes.add("GET", collection, self._list)
        routes.add("PUT", one, self._put)
        routes.add("GET", one, self._get)
        routes.add("HEAD", one, self._head)
        routes.add("DELETE", one, self._delete)
        routes.add("POST", f"{one}/validate", self._validate)
        routes.add("POST", f"{one}/whatIf", self._what_if)
        routes.add("POST", f"{one}/cancel", self._cancel)
        routes.add("POST", f"{one}/exportTemplate", self._export)
        routes.add("GET", f"{one}/operationStatuses/{{operation}}", self._status)
        for base in (one, f"{group}/deployments/{{deployment}}"):
            routes.add("GET", f"{base}/operations", self._operations)
            routes.add("GET", f"{base}/operations/{{operation}}", self._operation)

    def fail_interrupted(self) -> None:
        """Deployments that a stop of the local cloud interrupted have failed, and say so."""
        for deployment in list(self._manager.store.below("/subscriptions", TYPE)):
            if deployment.body["properties"]["provisioningState"] not in ENDED:
                error = {
                    "code": "DeploymentInterrupted",
                    "message": "The local cloud stopped during the deployment.",
                }
                self._record(deployment.id, provisioningState="Failed", error=error)

    async def _put(self, request: ArmRequest) -> web.Response:
        identifier = self._identifier(request)
        if not NAME.fullmatch(identifier.name):
            raise ArmError(
                "InvalidDeploymentName",
                f"The deployment name '{identifier.name}' is not valid: "
                "1 to 64 letters, digits, '-', '_', '.' and brackets.",
            )
        if identifier.key in self._active:
            raise ArmError(
                "DeploymentActive",
                f"Unable to edit or replace deployment '{identifier.name}': previous deployment from "
                f"'{datetime.now(UTC).isoformat()}' is still active.",
                status=409,
            )
        check_may_write(self._manager.faults, identifier, f"{TYPE}/write")
        template, parameters = self._content(request)
        group = self._groups.document(self._manager.require_group(identifier))
        validate(self._manager, template, parameters, group, identifier.name)
        surroundings = RunningSurroundings(self._manager)
        plan = make_plan(template, parameters, group, identifier.name, surroundings)
        existed = self._manager.store.get(identifier) is not None
        started = datetime.now(UTC)
        body = {
            "localTemplate": template,
            "localOperations": [],
            "properties": {
                "templateHash": hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest(),
                "parameters": shown_parameters(template, dict(plan.parameters)),
                "mode": "Incremental",
                "provisioningState": "Accepted",
                "timestamp": started.isoformat(),
                "duration": "PT0S",
                "correlationId": request.http.headers.get("x-ms-client-request-id", identifier.key),
                "providers": _providers(plan),
                "dependencies": _dependencies(plan),
            },
        }
        stored = self._manager.store.put(identifier, body)
        run = DeploymentRun(self._manager, plan, surroundings)
        run.on_change = lambda: self._record_operations(identifier, run)
        task = self._manager.operations.background(self._run(identifier, run, started))
        self._active[identifier.key] = ActiveDeployment(task, run)
        status = f"{request.origin}{identifier}/operationStatuses/{started.strftime('%Y%m%d%H%M%S%f')}"
        headers = {**poll_headers(), "Azure-AsyncOperation": f"{status}?api-version={request.api_version}"}
        return web.json_response(_document(stored), status=200 if existed else 201, headers=headers)

    async def _run(self, identifier: ResourceId, run: DeploymentRun, started: datetime) -> None:
        try:
            self._record(identifier, provisioningState="Running")
            outputs = await run.run()
            resources = [{"id": str(resource.id)} for resource in run.plan.resources if not resource.existing]
            self._end(identifier, started, "Succeeded", outputs=outputs, outputResources=resources)
        except ArmError as error:
            self._end(identifier, started, "Failed", error=error.body())
        except asyncio.CancelledError:
            self._end(identifier, started, "Canceled")
            raise
        except Exception:
            log.exception("deployment %s failed unexpectedly", identifier.name)
            error_body = {"code": "InternalServerError", "message": "The local cloud failed; see its log."}
            self._end(identifier, started, "Failed", error=error_body)
        finally:
            self._active.pop(identifier.key, None)

    def _end(self, identifier: ResourceId, started: datetime, state: str, **properties: object) -> None:
        now = datetime.now(UTC)
        self._record(
            identifier,
            provisioningState=state,
            timestamp=now.isoformat(),
            duration=f"PT{(now - started).total_seconds():.3f}S",
            **properties,
        )

    def _record(self, identifier: ResourceId, **properties: object) -> None:
        deployment = self._manager.store.get(identifier)
        if deployment is not None:
            merged = {**deployment.body["properties"], **properties}
            self._manager.store.put(identifier, {**deployment.body, "properties": merged})

    def _record_operations(self, identifier: ResourceId, run: DeploymentRun) -> None:
        deployment = self._manager.store.get(identifier)
        if deployment is not None:
            documents = [record.document(str(identifier)) for record in run.operations]
            self._manager.store.put(identifier, {**deployment.body, "localOperations": documents})

    async def _validate(self, request: ArmRequest) -> web.Response:
        identifier = self._identifier(request)
        check_may_write(self._manager.faults, identifier, f"{TYPE}/write")
        template, parameters = self._content(request)
        group = self._groups.document(self._manager.require_group(identifier))
        plan = validate(self._manager, template, parameters, group, identifier.name)
        properties = {
            "mode": "Incremental",
            "provisioningState": "Succeeded",
            "timestamp": datetime.now(UTC).isoformat(),
            "duration": "PT0S",
            "parameters": shown_parameters(template, dict(plan.parameters)),
            "providers": _providers(plan),
            "dependencies": _dependencies(plan),
            "validatedResources": [{"id": str(resource.id)} for resource in plan.resources],
        }
        return web.json_response(
            {"id": str(identifier), "name": identifier.name, "type": TYPE, "properties": properties}
        )

    async def _what_if(self, request: ArmRequest) -> web.Response:
        identifier = self._identifier(request)
        check_may_write(self._manager.faults, identifier, f"{TYPE}/write")
        template, parameters = self._content(request)
        group = self._groups.document(self._manager.require_group(identifier))
        plan = validate(self._manager, template, parameters, group, identifier.name)
        changes = [change(self._manager, resource) for resource in plan.resources if not resource.existing]
        planned = {resource.id.key for resource in plan.resources}
        for resource in self._manager.store.below(str(identifier.group_id)):
            known = self._manager.find_type(resource.id.type) is not None
            if known and len(resource.id.types) == 1 and resource.id.key not in planned:
                body = self._manager.view(resource)
                changes.append({"resourceId": str(resource.id), "changeType": "Ignore", "before": body, "after": body})
        operation = self._manager.operations.start(
            TYPE.partition("/")[0], "westus3", identifier.subscription, _nothing()
        )
        operation.answer = {"status": "Succeeded", "properties": {"changes": changes}}
        return web.Response(status=202, headers=location_headers(request, operation))

    async def _cancel(self, request: ArmRequest) -> web.Response:
        deployment = self._require(request)
        active = self._active.get(deployment.id.key)
        if active is None:
            raise ArmError(
                "DeploymentCannotBeCancelled",
                f"The deployment '{deployment.id.name}' cannot be cancelled because it has ended.",
                status=409,
            )
        active.task.cancel()
        return web.Response(status=204)

    async def _list(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        group = self._manager.require_group(ResourceId(request.names["subscription"], request.names["group"]))
        newest_first = reversed(list(self._manager.store.below(str(group.id), TYPE)))
        return paged(request, [_document(deployment) for deployment in newest_first])

    async def _get(self, request: ArmRequest) -> web.Response:
        return web.json_response(_document(self._require(request)))

    async def _head(self, request: ArmRequest) -> web.Response:
        return web.Response(status=204 if self._manager.store.get(self._identifier(request)) else 404)

    async def _delete(self, request: ArmRequest) -> web.Response:
        deployment = self._require(request)
        if deployment.id.key in self._active:
            raise ArmError("DeploymentActive", "The deployment is still active; cancel it first.", status=409)
        self._manager.store.delete(deployment.id)
        return web.Response(status=204)

    async def _export(self, request: ArmRequest) -> web.Response:
        return web.json_response({"template": self._require(request).body["localTemplate"]})

    async def _status(self, request: ArmRequest) -> web.Response:
        properties = self._require(request).body["properties"]
        state = properties["provisioningState"]
        body: JsonObject = {"status": state if state in ENDED else "Running"}
        if "error" in properties:
            body["error"] = properties["error"]
        return web.json_response(body, headers=poll_headers())

    async def _operations(self, request: ArmRequest) -> web.Response:
        return paged(request, self._require(request).body["localOperations"])

    async def _operation(self, request: ArmRequest) -> web.Response:
        for operation in self._require(request).body["localOperations"]:
            if operation["operationId"] == request.names["operation"]:
                return web.json_response(operation)
        raise ArmError("DeploymentOperationNotFound", "The deployment has no such operation.", status=404)

    def _identifier(self, request: ArmRequest) -> ResourceId:
        check_subscription(request.names["subscription"])
        names = request.names
        return ResourceId(
            names["subscription"],
            names["group"],
            "Microsoft.Resources",
            ("deployments",),
            (names["deployment"],),
        )

    def _require(self, request: ArmRequest) -> StoredResource:
        identifier = self._identifier(request)
        self._manager.require_group(identifier)
        found = self._manager.store.get(identifier)
        if found is None:
            raise ArmError("DeploymentNotFound", f"Deployment '{identifier.name}' could not be found.", status=404)
        return found

    def _content(self, request: ArmRequest) -> tuple[JsonObject, JsonObject]:
        properties = request.require_body().get("properties")
        if not isinstance(properties, dict):
            raise ArmError("InvalidRequestContent", "The property 'properties' is required.", target="properties")
        if str(properties.get("mode") or "Incremental").lower() != "incremental":
            raise ArmError(
                "NotImplementedByLocalCloud",
                "The local cloud deploys in mode Incremental only.",
                status=501,
                target="mode",
            )
        template, parameters = properties.get("template"), properties.get("parameters") or {}
        if not isinstance(template, dict):
            raise ArmError(
                "InvalidRequestContent",
                "The property 'template' is required as an object.",
                target="properties.template",
            )
        if not isinstance(parameters, dict):
            raise ArmError(
                "InvalidRequestContent",
                "The property 'parameters' must be an object.",
                target="properties.parameters",
            )
        return template, parameters


async def _nothing() -> None:
    """What is left to do for an answer that is known already."""


def _document(deployment: StoredResource) -> JsonObject:
    return {
        "id": str(deployment.id),
        "name": deployment.id.name,
        "type": TYPE,
        "properties": deployment.body["properties"],
    }


def _providers(plan: Plan) -> list[JsonObject]:
    kinds: dict[str, set[str]] = {}
    for resource in plan.resources:
        kinds.setdefault(resource.id.namespace, set()).add("/".join(resource.id.types))
    return [
        {"namespace": namespace, "resourceTypes": [{"resourceType": kind} for kind in sorted(found)]}
        for namespace, found in kinds.items()
    ]


def _dependencies(plan: Plan) -> list[JsonObject]:
    by_symbol = {resource.symbol: resource for resource in plan.resources}

    def named(symbol: str) -> JsonObject:
        identifier = by_symbol[symbol].id
        return {
            "id": str(identifier),
            "resourceType": identifier.type,
            "resourceName": "/".join(identifier.names),
        }

    return [
        {**named(resource.symbol), "dependsOn": [named(needed) for needed in sorted(resource.needs)]}
        for resource in plan.resources
        if resource.needs
    ]
