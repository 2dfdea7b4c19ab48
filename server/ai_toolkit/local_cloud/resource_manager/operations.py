"""Long-running operations: started, polled through a URL, ended with a result or an error."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, refuse_unknown

log = logging.getLogger(__name__)

POLL_AFTER_MS: Final = 200  # `Retry-After: 0` would make the SDKs sleep for 30 seconds
KEPT_OPERATIONS: Final = 1000


@dataclass
class Operation:
    """One long-running operation and, once it ended, how."""

    id: str
    scope: str
    started: datetime
    task: asyncio.Task[None] | None = None
    status: str = "InProgress"
    error: JsonObject | None = None
    resource: str | None = None  # whose GET is the result; None where nothing is left
    answer: JsonObject | None = None  # the result itself, where it is no resource; not kept over a restart

    def document(self) -> JsonObject:
        """The body that polling returns."""
        body: JsonObject = {
            "id": self.scope,
            "name": self.id,
            "status": self.status,
            "startTime": self.started.isoformat(),
        }
        if self.error is not None:
            body["error"] = self.error
        return body


class Operations:
    """All operations; one that a stop of the local cloud interrupted has failed, and says so."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self.view: Callable[[ResourceId], JsonObject] | None = None
        self._operations = {name: _interrupted(name, body) for name, body in store.operations().items()}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        namespace: str,
        location: str,
        subscription: str,
        work: Coroutine[Any, Any, None],
        resource: ResourceId | None = None,
    ) -> Operation:
        """An operation that does the work in the background; ArmErrors become its outcome."""
        identifier = str(uuid.uuid4())
        scope = (
            f"/subscriptions/{subscription}/providers/{namespace}/locations/{location}/operationStatuses/{identifier}"
        )
        operation = Operation(identifier, scope, datetime.now(UTC), resource=str(resource) if resource else None)
        self._operations[identifier] = operation
        while len(self._operations) > KEPT_OPERATIONS:
            oldest = next(iter(self._operations))
            del self._operations[oldest]
            self._store.delete_operation(oldest)
        self._keep(operation)
        operation.task = self.background(self._run(operation, work))
        return operation

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that is kept until it is done, and cancelled when the cloud closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def status(self, request: ArmRequest) -> web.StreamResponse:
        """Answer a poll of an `Azure-AsyncOperation` URL: 200 with the status."""
        operation = self._find(request)
        return web.json_response(operation.document(), headers=poll_headers())

    async def outcome(self, request: ArmRequest) -> web.StreamResponse:
        """Answer a poll of a `Location` URL: 202 until it ended, then the resource or 204."""
        operation = self._find(request)
        if operation.status == "InProgress":
            return web.Response(status=202, headers={**poll_headers(), "Location": str(request.http.url)})
        if operation.error is not None:
            return web.json_response({"error": operation.error}, status=400)
        if operation.answer is not None:
            return web.json_response(operation.answer)
        if operation.resource is None or self.view is None:
            return web.Response(status=204)
        return web.json_response(self.view(ResourceId.parse(operation.resource)))

    def _keep(self, operation: Operation) -> None:
        self._store.put_operation(
            operation.id,
            {
                "scope": operation.scope,
                "started": operation.started.isoformat(),
                "status": operation.status,
                "error": operation.error,
                "resource": operation.resource,
            },
        )

    async def _run(self, operation: Operation, work: Awaitable[None]) -> None:
        try:
            await work
        except ArmError as error:
            operation.error = error.body()
            operation.status = "Failed"
        except asyncio.CancelledError:
            operation.error = {"code": "OperationCanceled", "message": "The operation was cancelled."}
            operation.status = "Canceled"
            raise
        except Exception:
            log.exception("operation %s failed unexpectedly", operation.id)
            operation.error = {"code": "InternalServerError", "message": "The local cloud failed; see its log."}
            operation.status = "Failed"
        else:
            operation.status = "Succeeded"
        finally:
            if operation.status != "Canceled":  # then the process ends, and the store may be closed
                self._keep(operation)

    def _find(self, request: ArmRequest) -> Operation:
        operation = self._operations.get(request.names["operation"])
        if operation is None:
            raise (
                refuse_unknown(request)
                if not request.names["operation"]
                else ArmError(
                    "OperationNotFound",
                    "The operation is not known: the local cloud may have restarted.",
                    status=404,
                )
            )
        return operation


def _interrupted(identifier: str, body: JsonObject) -> Operation:
    """An operation of an earlier process."""
    operation = Operation(
        identifier,
        body["scope"],
        datetime.fromisoformat(body["started"]),
        status=body["status"],
        error=body["error"],
        resource=body["resource"],
    )
    if operation.status == "InProgress":
        operation.status = "Failed"
        operation.error = {
            "code": "OperationInterrupted",
            "message": "The local cloud stopped during the operation.",
        }
    return operation


def poll_headers() -> dict[str, str]:
    """When to ask again; `Retry-After` is in whole seconds and 0 counts as absent."""
    return {"x-ms-retry-after-ms": str(POLL_AFTER_MS)}


def status_headers(request: ArmRequest, operation: Operation) -> dict[str, str]:
    """Headers of an answer whose operation is polled by status."""
    return {
        **poll_headers(),
        "Azure-AsyncOperation": f"{request.origin}{operation.scope}?api-version={request.api_version}",
    }


def location_headers(request: ArmRequest, operation: Operation) -> dict[str, str]:
    """Headers of an answer whose operation is polled by its result."""
    scope = operation.scope.replace("/operationStatuses/", "/operationResults/")
    return {**poll_headers(), "Location": f"{request.origin}{scope}?api-version={request.api_version}"}
