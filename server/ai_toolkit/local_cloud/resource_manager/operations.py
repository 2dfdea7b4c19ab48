"""Long-running operations: started, polled through a URL, ended with a result or an error."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperations, Pace, Polled, polling_query
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, refuse_unknown

log = logging.getLogger(__name__)

KEPT_OPERATIONS: Final = 1000
OF_THE_MANAGER: Final = LongOperations("operationstatuses", "operationresults")


@dataclass(frozen=True)
class Place:
    """Where an operation is polled, and how often: paths without its id."""

    statuses: str
    results: str
    kinds: LongOperations

    @classmethod
    def of_type(cls, kinds: LongOperations, subscription: str, namespace: str, location: str) -> Self:
        """The operations of a resource provider are below its location."""
        base = f"/subscriptions/{subscription}/providers/{namespace}/locations/{location}"
        return cls(f"{base}/{kinds.statuses}", f"{base}/{kinds.results}", kinds)

    @classmethod
    def of_manager(cls, subscription: str) -> Self:
        """Those of the Resource Manager itself are below the subscription."""
        base = f"/subscriptions/{subscription}"
        return cls(f"{base}/{OF_THE_MANAGER.statuses}", f"{base}/{OF_THE_MANAGER.results}", OF_THE_MANAGER)


@dataclass
class Operation:
    """One long-running operation and, once it ended, how."""

    id: str
    scope: str  # the path of its status
    results: str  # the path of its result
    again_after: timedelta
    started: datetime
    task: asyncio.Task[None] | None = None
    status: str = "InProgress"
    error: JsonObject | None = None
    resource: str | None = None  # whose GET is the result; None where nothing is left
    answer: JsonObject | None = None  # the result itself, where it is no resource; not kept over a restart
    ends_with: int = 204  # the status of a result that is nothing

    def document(self) -> JsonObject:
        """The body that polling returns."""
        body: JsonObject = {
            "id": self.scope,
            "name": self.id,
            "status": self.status,
            "startTime": self.started.replace(tzinfo=None).isoformat(),
        }
        if self.error is not None:
            body["error"] = self.error
        return body


class Operations:
    """All operations; one that a stop of the local cloud interrupted has failed, and says so."""

    def __init__(self, store: ResourceStore, pace: Pace) -> None:
        self._store = store
        self.pace = pace
        self.is_closed = False
        self.view: Callable[[ResourceId], JsonObject] | None = None
        self._operations = {name: _interrupted(name, body) for name, body in store.operations().items()}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, place: Place, work: Coroutine[Any, Any, None], resource: ResourceId | None = None, ends_with: int = 204
    ) -> Operation:
        """An operation that does the work in the background; ArmErrors become its outcome."""
        identifier = str(uuid.uuid4())
        operation = Operation(
            identifier,
            f"{place.statuses}/{identifier}",
            f"{place.results}/{identifier}",
            place.kinds.again_after,
            datetime.now(UTC),
            resource=str(resource) if resource else None,
            ends_with=ends_with,
        )
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
        self.is_closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def answer(self, request: ArmRequest) -> web.StreamResponse:
        """Answer a poll of either URL: of the status 200 with it, of the result 202 until it ended, then that."""
        operation = self._find(request)
        if request.segments[-2].lower().endswith("statuses"):
            return web.json_response(operation.document(), headers=self._again(operation))
        if operation.status == "InProgress":
            return web.Response(status=202, headers=self.headers(request, operation, Polled.RESULT))
        if operation.error is not None:
            return web.json_response({"error": operation.error}, status=400)
        if operation.answer is not None:
            return web.json_response(operation.answer)
        if operation.resource is None or self.view is None:
            return web.Response(status=operation.ends_with)
        return web.json_response(self.view(ResourceId.parse(operation.resource)))

    def headers(self, request: ArmRequest, operation: Operation, polled: Polled) -> dict[str, str]:
        """Headers of an answer whose operation is polled."""
        found = self._again(operation)
        if Polled.STATUS in polled:
            query = polling_query(request.api_version, "&azureAsyncOperation=true")
            found["Azure-AsyncOperation"] = f"{request.origin}{operation.scope}?{query}"
        if Polled.RESULT in polled:
            monitor = "&monitor=true" if "asyncoperations" in operation.results else ""
            query = polling_query(request.api_version, monitor)
            found["Location"] = f"{request.origin}{operation.results}?{query}"
        return found

    def _again(self, operation: Operation) -> dict[str, str]:
        """When to ask again, while it runs."""
        return self.pace.again_after(operation.again_after) if operation.status == "InProgress" else {}

    def _keep(self, operation: Operation) -> None:
        self._store.put_operation(
            operation.id,
            {
                "scope": operation.scope,
                "results": operation.results,
                "endsWith": operation.ends_with,
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
        body.get("results", ""),
        OF_THE_MANAGER.again_after,
        datetime.fromisoformat(body["started"]),
        status=body["status"],
        error=body["error"],
        resource=body["resource"],
        ends_with=body.get("endsWith", 204),
    )
    if operation.status == "InProgress":
        operation.status = "Failed"
        operation.error = {
            "code": "OperationInterrupted",
            "message": "The local cloud stopped during the operation.",
        }
    return operation
