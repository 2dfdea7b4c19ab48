"""Revisions, replicas, log streams, and starting and stopping an app, over HTTP."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiohttp import web

from ai_toolkit.local_cloud.container_apps.app_resource import CHANGE_TAKES, ContainerApps
from ai_toolkit.local_cloud.container_apps.container import Container
from ai_toolkit.local_cloud.container_apps.defaults import APP_DEFAULTS, shown_containers, with_defaults
from ai_toolkit.local_cloud.container_apps.replica import NO_COMMAND, Replica
from ai_toolkit.local_cloud.container_apps.replica_log import LineLog, written_line
from ai_toolkit.local_cloud.container_apps.revision import RunningRevision
from ai_toolkit.local_cloud.container_apps.running_app import RunningApp
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import Polled
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import Place
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes
from ai_toolkit.local_cloud.resource_manager.subscriptions import check_subscription, normal_location

MOST_TAIL_LINES = 300


class Revisions:
    """Answers what is asked below a container app."""

    def __init__(self, manager: ResourceManager, apps: ContainerApps) -> None:
        self._manager = manager
        self._apps = apps

    def add_routes(self, routes: Routes) -> None:
        """Add the routes below a container app."""
        group = "/subscriptions/{subscription}/resourcegroups/{group}"
        app = f"{group}/providers/Microsoft.App/containerApps/{{app}}"
        revision = f"{app}/revisions/{{revision}}"
        routes.add("POST", f"{app}/start", self._start)
        routes.add("POST", f"{app}/stop", self._stop)
        routes.add("GET", f"{app}/revisions", self._list)
        routes.add("GET", revision, self._get)
        routes.add("POST", f"{revision}/restart", self._restart)
        routes.add("POST", f"{revision}/activate", self._activate)
        routes.add("POST", f"{revision}/deactivate", self._deactivate)
        routes.add("GET", f"{revision}/replicas", self._list_replicas)
        routes.add("GET", f"{revision}/replicas/{{replica}}", self._get_replica)
        stream = f"{group}/containerApps/{{app}}"
        routes.add("GET", f"{stream}/eventstream", self._event_stream)
        routes.add(
            "GET", f"{stream}/revisions/{{revision}}/replicas/{{replica}}/containers/{{container}}/logstream",
            self._log_stream,
        )  # fmt: skip

    def _app(self, request: ArmRequest) -> tuple[StoredResource, RunningApp]:
        names = request.names
        check_subscription(names["subscription"])
        identifier = ResourceId(
            names["subscription"], names["group"], "Microsoft.App", ("containerApps",), (names["app"],)
        )
        resource = self._manager.require(identifier)
        return resource, self._apps.running(resource.id)

    async def _start(self, request: ArmRequest) -> web.Response:
        resource, app = self._app(request)
        return self._long_running(request, resource, app.start)

    async def _stop(self, request: ArmRequest) -> web.Response:
        resource, app = self._app(request)
        return self._long_running(request, resource, app.stop)

    def _long_running(
        self, request: ArmRequest, resource: StoredResource, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> web.Response:
        if (busy := self._apps.busy(resource)) is not None:
            raise busy
        location = normal_location(str(resource.body.get("location")))
        place = Place.of_type(self._apps.long, resource.id.subscription, resource.id.namespace, location)
        operation = self._manager.operations.start(place, self._in_azures_time(work()), resource.id)
        headers = self._manager.operations.headers(request, operation, Polled.RESULT)
        return web.Response(status=202, headers=headers)

    async def _in_azures_time(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it as long as a change of the app takes; how long a start or stop takes Azure is not known."""
        await work
        await asyncio.sleep(self._manager.operations.pace.seconds(CHANGE_TAKES))

    async def _list(self, request: ArmRequest) -> web.Response:
        _resource, app = self._app(request)
        documents = [_revision_document(app, record) for record in app.revision_records()]
        return web.json_response({"value": documents})

    async def _get(self, request: ArmRequest) -> web.Response:
        _resource, app = self._app(request)
        return web.json_response(_revision_document(app, app.record(request.names["revision"])))

    async def _restart(self, request: ArmRequest) -> web.Response:
        _resource, app = self._app(request)
        await app.restart_revision(app.record(request.names["revision"]).id.name)
        return web.json_response("Restarted")

    async def _activate(self, request: ArmRequest) -> web.Response:
        _resource, app = self._app(request)
        await app.activate_revision(app.record(request.names["revision"]).id.name)
        return web.json_response("Activated")

    async def _deactivate(self, request: ArmRequest) -> web.Response:
        _resource, app = self._app(request)
        await app.deactivate_revision(app.record(request.names["revision"]).id.name)
        return web.json_response("Deactivated")

    async def _list_replicas(self, request: ArmRequest) -> web.Response:
        resource, app = self._app(request)
        name = app.record(request.names["revision"]).id.name
        revision = app.revisions.get(name)
        hides = self._manager.faults.hides_replicas
        replicas = [one for one in revision.replicas if not (hides and one.ready)] if revision else []
        value = [self._replica_document(request, resource, name, replica) for replica in replicas]
        return web.json_response({"value": value})

    async def _get_replica(self, request: ArmRequest) -> web.Response:
        resource, app = self._app(request)
        name = app.record(request.names["revision"]).id.name
        replica = _find_replica(app, name, request.names["replica"])
        return web.json_response(self._replica_document(request, resource, name, replica))

    def _replica_document(
        self, request: ArmRequest, resource: StoredResource, revision: str, replica: Replica
    ) -> JsonObject:
        base = (
            f"{request.origin}{resource.id.group_id}/containerApps/{resource.id.name}/revisions/{revision}"
            f"/replicas/{replica.name}/containers"
        )
        serving = _container_document(replica, replica.serving, base)
        return {
            "id": f"{resource.id}/revisions/{revision}/replicas/{replica.name}",
            "name": replica.name,
            "type": "Microsoft.App/containerapps/revisions/replicas",
            "properties": {
                "createdTime": replica.created.isoformat(),
                "runningState": "Running" if replica.ready else "NotRunning",
                "runningStateDetails": serving["runningStateDetails"],
                "initContainers": [_container_document(replica, one, base) for one in replica.init_containers],
                "containers": [_container_document(replica, one, base) for one in replica.containers],
            },
        }

    async def _event_stream(self, request: ArmRequest) -> web.StreamResponse:
        _resource, app = self._app(request)
        return await _stream(request, app.events, opening=self._apps.opening_events())

    async def _log_stream(self, request: ArmRequest) -> web.StreamResponse:
        _resource, app = self._app(request)
        name = app.record(request.names["revision"]).id.name
        replica = _find_replica(app, name, request.names["replica"])
        return await _stream(request, replica.find(request.names["container"]).output)


def _container_document(replica: Replica, container: Container, base: str) -> JsonObject:
    """A container as it is in the list of replicas; one without a command is never ready, and says so."""
    state = "Running" if container.running else "Terminated" if container.exit_code is not None else "Waiting"
    if container.running:
        details = "" if container.ready else "The container runs and is not ready."
    elif not replica.runs(container):
        details = NO_COMMAND
    else:
        details = container.failure or "The container is being created."
    return {
        "name": container.name,
        "containerId": f"process://{replica.name}/{container.name}",
        "ready": container.ready,
        "started": container.started,
        "restartCount": container.restart_count,
        "runningState": state,
        "runningStateDetails": details,
        "logStreamEndpoint": f"{base}/{container.name}/logstream",
        "execEndpoint": f"{base}/{container.name}/exec",
    }


async def _stream(request: ArmRequest, log: LineLog, *, opening: Sequence[str] = ()) -> web.StreamResponse:
    """The log's last lines; with `follow=true` also what is added, until either side ends.

    A stream that has opening lines is one of events, which are written as they are.
    """
    asked = request.query.get("taillines", "20")
    if not asked.isdigit() or int(asked) > MOST_TAIL_LINES:
        raise ArmError("InvalidQueryParameter", f"tailLines is 0 to {MOST_TAIL_LINES}.", target="tailLines")
    form = request.query.get("output", "json").lower()
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request.http)
    for line in opening:
        await response.write(f"{line}\n".encode())
    if request.query.get("follow", "false").lower() == "true":
        async for moment, text in log.follow(int(asked)):
            await response.write(f"{text}\n".encode() if opening else written_line(moment, text, form))
    else:
        for moment, text in log.tail(int(asked)):
            await response.write(f"{text}\n".encode() if opening else written_line(moment, text, form))
    await response.write_eof()
    return response


def _find_replica(app: RunningApp, revision: str, name: str) -> Replica:
    running = app.revisions.get(revision)
    for replica in running.replicas if running else []:
        if replica.name.lower() == name.lower():
            return replica
    raise ArmError("ReplicaNotFound", f"The replica '{name}' was not found.", status=404, target=name)


def _shown_template(template: JsonObject) -> JsonObject:
    """What a revision runs, as Azure shows it."""
    shown = with_defaults(template, {**APP_DEFAULTS["template"], "revisionSuffix": None})
    containers = [{"probes": [], **one} for one in shown_containers(template["containers"], disk=False)]
    scale = {**template["scale"], "rules": template["scale"].get("rules") or None}
    return {**shown, "containers": containers, "scale": scale}


def _revision_document(app: RunningApp, record: StoredResource) -> JsonObject:
    body = record.body
    revision: RunningRevision | None = app.revisions.get(record.id.name)
    active = bool(body["active"]) and app.running_status() == "Running"
    state = revision.running_state(active=active) if revision else ("ScaledToZero" if active else "Stopped")
    problem = body.get("provisioningError")
    if active and app.ingress_error is not None:
        state, problem = "Failed", app.ingress_error
    health = "Unhealthy" if state in {"Failed", "Degraded"} else "Healthy" if state.startswith("Running") else "None"
    document: JsonObject = {
        "createdTime": body["createdTime"],
        "fqdn": app.fqdn or "",
        "template": _shown_template(body["template"]),
        "active": bool(body["active"]),
        "replicas": len(revision.replicas) if revision else 0,
        "trafficWeight": app.traffic_weights().get(record.id.name, 0),
        "healthState": health,
        "provisioningState": body["provisioningState"],
        "runningState": state,
    }
    if problem:
        document["provisioningError"] = problem
    return {
        "id": str(record.id),
        "name": record.id.name,
        "type": "Microsoft.App/containerapps/revisions",
        "properties": document,
    }
