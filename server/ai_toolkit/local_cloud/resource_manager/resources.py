"""Resources over HTTP: any registered type by its id, its collections and its actions."""

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import location_headers, status_headers
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, paged, refuse_unknown
from ai_toolkit.local_cloud.resource_manager.subscriptions import check_subscription


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
        resource = self._manager.patch(identifier, request.require_body())
        if not self._manager.type_of(identifier, None).is_long_running():
            return web.json_response(self._manager.view(await self._manager.finish(resource)))

        async def finish_patch() -> None:
            await self._manager.finish(resource)

        operation = self._manager.operations.start(
            identifier.namespace,
            "westus3",
            identifier.subscription,
            finish_patch(),
            identifier,
        )
        return web.Response(status=202, headers=location_headers(request, operation))

    async def _delete(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        self._manager.require_group(identifier)
        if self._manager.store.get(identifier) is None:
            return web.Response(status=204)
        self._manager.check_deletable(identifier)
        if not self._manager.type_of(identifier, None).is_long_running():
            await self._manager.delete(identifier)
            return web.Response(status=200)
        operation = self._manager.operations.start(
            identifier.namespace, "westus3", identifier.subscription, self._manager.delete(identifier)
        )
        return web.Response(status=202, headers=location_headers(request, operation))

    async def _put(self, request: ArmRequest, identifier: ResourceId) -> web.StreamResponse:
        resource_type = self._manager.type_of(identifier, request.api_version)
        resource, created = self._manager.accept(identifier, request.require_body(), request.api_version)
        if not resource_type.is_long_running():
            finished = await self._manager.finish(resource)
            return web.json_response(
                self._manager.view(finished), status=resource_type.created_status if created else 200
            )

        async def finish_put() -> None:
            await self._manager.finish(resource)

        operation = self._manager.operations.start(
            identifier.namespace, "westus3", identifier.subscription, finish_put()
        )
        return web.json_response(
            self._manager.view(resource),
            status=resource_type.created_status if created else 200,
            headers=status_headers(request, operation),
        )

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
