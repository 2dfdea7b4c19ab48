"""Deployments of templates to a resource group or a subscription, over HTTP."""

import asyncio
import contextlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, ResourceId
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import Polled, polling_query
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import OF_THE_MANAGER, Place
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes, paged
from ai_toolkit.local_cloud.resource_manager.subscriptions import (
    check_location,
    check_subscription,
    subscription_document,
)
from ai_toolkit.local_cloud.resource_manager.vaults import with_secrets
from ai_toolkit.local_cloud.resource_manager.write_checks import check_may_write
from ai_toolkit.local_cloud.template.parameters import shown_parameters
from ai_toolkit.local_cloud.template.plan import make_plan
from ai_toolkit.local_cloud.template.planned import Plan
from ai_toolkit.local_cloud.template.preview import change, check_plan, ignored
from ai_toolkit.local_cloud.template.record import (
    ENDED,
    DeploymentRecord,
    State,
    dependencies,
    document,
    providers,
    template_hash,
)
from ai_toolkit.local_cloud.template.record import change as change_record
from ai_toolkit.local_cloud.template.run import DeploymentRun, ManagedCloud
from ai_toolkit.local_cloud.template.site import Site
from ai_toolkit.local_cloud.template.surroundings import DeploymentSurroundings

NAME = re.compile(r"[\w().-]{1,64}")
WHAT_IF_TAKES = timedelta(seconds=15)
DELETION_TAKES = timedelta(seconds=15)


@dataclass(frozen=True)
class _Asked:
    """What a request wants deployed, and where."""

    id: ResourceId
    template: JsonObject
    parameters: JsonObject
    site: Site
    tags: JsonObject | None
    shows_ids_only: bool


class Deployments:
    """Validates, previews, runs and cancels deployments, and keeps their history."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager
        self._active: dict[str, asyncio.Task[None]] = {}

    def add_routes(self, routes: Routes) -> None:
        """Add the routes of deployments."""
        for scope in ("/subscriptions/{subscription}/resourcegroups/{group}", "/subscriptions/{subscription}"):
            collection = f"{scope}/providers/Microsoft.Resources/deployments"
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
            for base in (one, f"{scope}/deployments/{{deployment}}"):
                routes.add("GET", f"{base}/operations", self._operations)
                routes.add("GET", f"{base}/operations/{{operation}}", self._operation)

    def fail_interrupted(self) -> None:
        """Deployments that a stop of the local cloud interrupted have failed, and say so."""
        for deployment in list(self._manager.store.below("/subscriptions", DEPLOYMENT_TYPE)):
            if deployment.body["properties"]["provisioningState"] not in ENDED:
                error = {
                    "code": "DeploymentInterrupted",
                    "message": "The local cloud stopped during the deployment.",
                }
                change_record(self._manager.store, deployment.id, provisioningState=State.FAILED, error=error)

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
        asked, plan = self._checked(request)
        existed = self._manager.store.get(identifier) is not None
        correlation = _correlation(request)
        record = DeploymentRecord(self._manager.store, identifier)
        stored = record.begin(plan, correlation, asked.tags)
        run = DeploymentRun(self._manager, plan, record, correlation)
        self._active[identifier.key] = self._manager.operations.background(self._run(identifier, run))
        status = f"{request.origin}{identifier}/operationStatuses/{record.started.strftime('%Y%m%d%H%M%S%f')}"
        headers = {**self._again(), "Azure-AsyncOperation": f"{status}?{polling_query(request.api_version)}"}
        return web.json_response(document(stored), status=200 if existed else 201, headers=headers)

    async def _run(self, identifier: ResourceId, run: DeploymentRun) -> None:
        try:
            with contextlib.suppress(Exception):  # how it ended is in its record, and unexpected ends are logged
                await run.run()
        finally:
            self._active.pop(identifier.key, None)

    def _checked(self, request: ArmRequest) -> tuple[_Asked, Plan]:
        """What is asked for, planned once and checked once; ArmError for the first thing that is wrong."""
        asked = self._asked(request)
        surroundings = DeploymentSurroundings(ManagedCloud(self._manager))
        plan = make_plan(asked.template, asked.parameters, asked.site, surroundings)
        check_plan(self._manager, plan)
        return asked, plan

    async def _validate(self, request: ArmRequest) -> web.Response:
        asked, plan = self._checked(request)
        properties = {
            "templateHash": template_hash(asked.template),
            "mode": "Incremental",
            "provisioningState": State.SUCCEEDED,
            "timestamp": datetime.now(UTC).isoformat(),
            "duration": "PT0S",
            "parameters": shown_parameters(asked.template, plan.parameters),
            "providers": providers(plan),
            "dependencies": dependencies(plan),
            "validatedResources": [{"id": resource.shown_id} for resource in plan.everything()],
        }
        return web.json_response(
            {"id": str(asked.id), "name": asked.id.name, "type": DEPLOYMENT_TYPE, "properties": properties}
        )

    async def _what_if(self, request: ArmRequest) -> web.Response:
        asked, plan = self._checked(request)
        changes = [change(self._manager, resource) for resource in plan.everything() if not resource.existing]
        planned = {resource.id.key for resource in plan.everything() if resource.id is not None}
        if asked.site.group is not None:
            for resource in self._manager.store.below(str(asked.site.id)):
                known = self._manager.find_type(resource.id.type) is not None
                if known and len(resource.id.types) == 1 and resource.id.key not in planned:
                    changes.append(ignored(self._manager, resource))
        if asked.shows_ids_only:
            changes = [{name: one[name] for name in ("resourceId", "changeType")} for one in changes]
        operations = self._manager.operations
        operation = operations.start(Place.of_manager(asked.id.subscription), self._for(WHAT_IF_TAKES))
        operation.answer = {
            "status": "Succeeded",
            "properties": {"correlationId": _correlation(request), "changes": changes},
        }
        return web.Response(status=202, headers=operations.headers(request, operation, Polled.RESULT))

    async def _cancel(self, request: ArmRequest) -> web.Response:
        deployment = self._require(request)
        active = self._active.get(deployment.id.key)
        if active is None:
            raise ArmError(
                "DeploymentCannotBeCancelled",
                f"The deployment '{deployment.id.name}' cannot be cancelled because it has ended.",
                status=409,
            )
        active.cancel()
        return web.Response(status=204)

    async def _list(self, request: ArmRequest) -> web.Response:
        scope = self._scope(request)
        self._manager.require_group(scope)
        found = [one for one in self._manager.store.below(str(scope), DEPLOYMENT_TYPE) if one.id.group == scope.group]
        return paged(request, [document(deployment) for deployment in reversed(found)])

    async def _get(self, request: ArmRequest) -> web.Response:
        return web.json_response(document(self._require(request)))

    async def _head(self, request: ArmRequest) -> web.Response:
        return web.Response(status=204 if self._manager.store.get(self._identifier(request)) else 404)

    async def _delete(self, request: ArmRequest) -> web.Response:
        deployment = self._require(request)
        if deployment.id.key in self._active:
            raise ArmError("DeploymentActive", "The deployment is still active; cancel it first.", status=409)

        async def delete() -> None:
            await self._for(DELETION_TAKES)
            self._manager.store.delete(deployment.id)

        operations = self._manager.operations
        operation = operations.start(Place.of_manager(deployment.id.subscription), delete())
        return web.Response(status=202, headers=operations.headers(request, operation, Polled.RESULT))

    async def _for(self, azures: timedelta) -> None:
        """Takes as long as Azure does."""
        await asyncio.sleep(self._manager.operations.pace.seconds(azures))

    def _again(self) -> dict[str, str]:
        return self._manager.operations.pace.again_after(OF_THE_MANAGER.again_after)

    async def _export(self, request: ArmRequest) -> web.Response:
        return web.json_response({"template": self._require(request).body["localTemplate"]})

    async def _status(self, request: ArmRequest) -> web.Response:
        properties = self._require(request).body["properties"]
        state = properties["provisioningState"]
        body: JsonObject = {"status": state if state in ENDED else State.RUNNING}
        if "error" in properties:
            body["error"] = properties["error"]
        return web.json_response(body, headers={} if state in ENDED else self._again())

    async def _operations(self, request: ArmRequest) -> web.Response:
        return paged(request, self._require(request).body["localOperations"])

    async def _operation(self, request: ArmRequest) -> web.Response:
        for operation in self._require(request).body["localOperations"]:
            if operation["operationId"] == request.names["operation"]:
                return web.json_response(operation)
        raise ArmError("DeploymentOperationNotFound", "The deployment has no such operation.", status=404)

    def _scope(self, request: ArmRequest) -> ResourceId:
        check_subscription(request.names["subscription"])
        return ResourceId(request.names["subscription"], request.names.get("group", ""))

    def _identifier(self, request: ArmRequest) -> ResourceId:
        scope = self._scope(request)
        namespace, kind = DEPLOYMENT_TYPE.split("/")
        return ResourceId(scope.subscription, scope.group, namespace, (kind,), (request.names["deployment"],))

    def _require(self, request: ArmRequest) -> StoredResource:
        identifier = self._identifier(request)
        self._manager.require_group(identifier)
        found = self._manager.store.get(identifier)
        if found is None:
            raise ArmError("DeploymentNotFound", f"Deployment '{identifier.name}' could not be found.", status=404)
        return found

    def _asked(self, request: ArmRequest) -> _Asked:
        identifier = self._identifier(request)
        check_may_write(self._manager.faults, identifier, f"{DEPLOYMENT_TYPE}/write")
        body = request.require_body()
        properties = body.get("properties")
        if not isinstance(properties, dict):
            raise ArmError("InvalidRequestContent", "The property 'properties' is required.", target="properties")
        if str(properties.get("mode") or "Incremental").lower() != "incremental":
            raise ArmError(
                "NotImplementedByLocalCloud",
                "The local cloud deploys in mode Incremental only.",
                status=501,
                target="mode",
            )
        for link in ("templateLink", "parametersLink"):
            if properties.get(link) is not None:
                raise ArmError(
                    "NotImplementedByLocalCloud",
                    f"The local cloud deploys what stands in the request itself: '{link}' is not read.",
                    status=501,
                    target=f"properties.{link}",
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
        settings = properties.get("whatIfSettings") or {}
        return _Asked(
            identifier,
            template,
            with_secrets(self._manager.store, parameters),
            self._site(identifier, body, template),
            body.get("tags"),
            str(settings.get("resultFormat")).lower() == "resourceidonly",
        )

    def _site(self, identifier: ResourceId, body: JsonObject, template: JsonObject) -> Site:
        subscription = subscription_document(identifier.subscription)
        is_for_subscription = "subscriptiondeploymenttemplate" in str(template.get("$schema")).lower()
        if is_for_subscription == bool(identifier.group):
            found, wanted = ("a subscription", "a resource group") if is_for_subscription else (
                "a resource group", "a subscription"
            )  # fmt: skip
            raise ArmError(
                "InvalidTemplate",
                f"Deployment template validation failed: 'The template is one for {found}, and this deployment is to "
                f"{wanted} (at $schema)'.",
                target="$schema",
            )
        if identifier.group:
            group = self._manager.view(self._manager.group(identifier))
            return Site(subscription, group, identifier.name, None, self._group_document)
        location = body.get("location")
        if not isinstance(location, str):
            raise ArmError(
                "LocationRequired",
                "The location property is required for this definition: a deployment to a subscription is kept there.",
                target="location",
            )
        check_location(location)
        return Site(subscription, None, identifier.name, location, self._group_document)

    def _group_document(self, identifier: ResourceId) -> JsonObject | None:
        found = self._manager.store.get(identifier)
        return self._manager.view(found) if found else None


def _correlation(request: ArmRequest) -> str:
    """What the caller calls the request, else an id of its own."""
    return request.http.headers.get("x-ms-client-request-id") or str(uuid.uuid4())
