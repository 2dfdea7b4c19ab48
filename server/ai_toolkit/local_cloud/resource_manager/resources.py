"""Resources over HTTP: any registered type by its id, its collections and its actions."""

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, Polled
from ai_toolkit.local_cloud.resource_manager.manager import Accepted, ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import Operation, Place
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, paged, refuse_unknown
from ai_toolkit.local_cloud.resource_manager.subscriptions import check_subscription, normal_location


class Resources:
    """Answers PUT, PATCH, GET, HEAD, DELETE and POST of resources whose type is registered."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager

    async def answer(self, request: ArmRequest) -> web.StreamResponse:
        """The answer to a request below `…/providers/`; ArmError 501 for what is not emulated."""
        segments = request.segments
        lowered = [segment.lower() for segment in segments]
        if len(segments) >= 2:  # noqa: PLR2004  # /subscriptions/{s}
            check_subscription(segments[1])
        mark = max((at for at, segment in enumerate(lowered) if segment == "providers" and at % 2 == 0), default=0)
        rest = segments[mark + 2 :]
        if mark and rest:
            if len(rest) % 2 == 0:
                return await self._resource(request, ResourceId.parse("/".join(segments)))
            if request.method == "GET":
                return self._collection(request, "/" + "/".join(segments[:mark]), segments[mark + 1 :])
            if request.method == "POST" and len(rest) > 1:
                return await self._action(request, ResourceId.parse("/".join(segments[:-1])), segments[-1])
        raise refuse_unknown(request)

    async def _resource(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        self._manager.type_of(identifier, request.api_version)
        perform = {
            "GET": self._get,
            "HEAD": self._head,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }.get(request.method)
        if perform is None:
            raise refuse_unknown(request)
        return await perform(request, identifier)

    async def _get(self, _request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        return web.json_response(self._manager.view(self._manager.require(identifier)))

    async def _head(self, _request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        self._manager.require_group(identifier)
        return web.Response(status=204 if self._manager.store.get(identifier) else 404)

    async def _patch(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        return await self._written(request, self._manager.patch(identifier, request.require_body()), 200)

    async def _delete(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        self._manager.require_group(identifier)
        if self._manager.store.get(identifier) is None:
            return web.Response(status=204)
        self._manager.check_deletable(identifier)
        resource = self._manager.require(identifier)
        resource_type = self._manager.type_of(identifier, None)
        if (busy := resource_type.busy(resource)) is not None:
            raise busy
        resource_type.check_removable(resource)
        long = resource_type.long.delete if resource_type.long else None
        if long is None or (long.asked_by and request.query.get(long.asked_by, "").lower() != "true"):
            await self._manager.delete(identifier)
            return web.Response(status=200)
        operation = self._manager.operations.start(self._place(resource), self._manager.delete(identifier))
        return self._begun(request, operation, long)

    async def _put(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        resource_type = self._manager.type_of(identifier, request.api_version)
        accepted = self._manager.accept(identifier, request.require_body(), request.api_version)
        return await self._written(request, accepted, resource_type.created_status if accepted.is_new else 200)

    async def _written(self, request: ArmRequest, accepted: Accepted, status: int) -> web.StreamResponse:
        """The answer to a write: the resource, or what is polled until it is there."""
        if accepted.long is None:
            return web.json_response(self._manager.view(await self._manager.finish(accepted)), status=status)

        async def finish() -> None:
            await self._manager.finish(accepted)

        resource = accepted.resource
        operation = self._manager.operations.start(self._place(resource), finish(), resource.id)
        return self._begun(request, operation, accepted.long, self._manager.view(resource))

    def _place(self, resource: StoredResource) -> Place:
        """Where the operations of a resource are polled."""
        kinds = self._manager.type_of(resource.id, None).long
        if kinds is None:
            raise RuntimeError(f"{resource.id.type} has no long operations")
        location = normal_location(str(resource.body.get("location") or ""))
        return Place.of_type(kinds, resource.id.subscription, resource.id.namespace, location)

    def _begun(
        self, request: ArmRequest, operation: Operation, long: LongOperation, body: JsonObject | None = None
    ) -> web.Response:
        """The answer to a write that goes on."""
        headers = self._manager.operations.headers(request, operation, long.polled)
        if long.polled is Polled.ITSELF:
            headers["Location"] = f"{request.origin}{request.path}?api-version={request.api_version}"
        elif long.has_body:
            headers["x-ms-async-operation-timeout"] = "PT15M"
        if long.has_body:
            return web.json_response(body, status=long.status, headers=headers)
        return web.Response(status=long.status, headers=headers)

    def _collection(self, request: ArmRequest, scope: str, type_segments: tuple[str, ...]) -> web.StreamResponse:
        """A list such as `…/Microsoft.App/containerApps`, or of the parts of one resource."""
        namespace, rest = type_segments[0], type_segments[1:]
        name = "/".join((namespace, *rest[::2]))
        if self._manager.find_type(name) is None:
            raise refuse_unknown(request)
        below = scope
        if len(rest) > 1:
            parent = ResourceId.parse(f"{scope}/providers/{namespace}/{'/'.join(rest[:-1])}")
            below = str(self._manager.require(parent).id)
        else:
            self._manager.require_group(ResourceId.parse(scope))
        return paged(request, self._manager.list(below, name))

    async def _action(self, request: ArmRequest, identifier: ResourceId, action: str) -> web.StreamResponse:
        if self._manager.find_type(identifier.type) is None:
            raise refuse_unknown(request)
        try:
            answer = await self._manager.act(identifier, action, request.body or {})
        except ArmError as error:
            if error.status == 501:  # noqa: PLR2004  # say the whole path, as for every unknown one
                raise refuse_unknown(request) from error
            raise
        return web.json_response(answer)
