"""A container app at run time: its revisions, its address, and how it is scaled and woken."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from ai_toolkit.local_cloud.container_apps import traffic
from ai_toolkit.local_cloud.container_apps.changes import Changes
from ai_toolkit.local_cloud.container_apps.host import AppHost
from ai_toolkit.local_cloud.container_apps.ingress import NOT_FOUND_TEXT, Ingress, NotServedError
from ai_toolkit.local_cloud.container_apps.ingress_rules import IngressRules
from ai_toolkit.local_cloud.container_apps.replica import Replica
from ai_toolkit.local_cloud.container_apps.replica_log import EventLog
from ai_toolkit.local_cloud.container_apps.replica_plan import ReplicaPlan, make_plan
from ai_toolkit.local_cloud.container_apps.revision import LETTERS, RunningRevision, comparable
from ai_toolkit.local_cloud.container_apps.scaling import Scaling
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import LOCAL, StoredResource
from ai_toolkit.local_cloud.faults.model import Port
from ai_toolkit.local_cloud.faults.routes import misbehaving
from ai_toolkit.local_cloud.resource_manager.resource_type import properties

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0  # how often scaling is considered while nothing happens
WAKE_LIMIT: Final = timedelta(seconds=240)  # how long a request waits for a replica
PROVISION_LIMIT: Final = timedelta(minutes=20)


class RunningApp:
    """One container app; what must survive a restart of the cloud is in the store."""

    def __init__(self, identifier: ResourceId, host: AppHost) -> None:
        self.id = identifier
        self.changes = Changes()
        self.events = EventLog(host.home.logs / identifier.group / identifier.name / "system.log", identifier.name)
        self.revisions: dict[str, RunningRevision] = {}
        self._host = host
        self.ingress = Ingress(self._replica_for_request, misbehaving(host.faults, Port.INGRESS))
        self._scalings: dict[str, Scaling] = {}
        self._supervisor: asyncio.Task[None] | None = None
        self.ingress_error: str | None = None  # why the app's address cannot be listened on

    # What is stored.

    @property
    def body(self) -> JsonObject:
        """The app as stored."""
        found = self._host.store.get(self.id)
        if found is None:
            raise ArmError("ResourceNotFound", f"The container app '{self.id.name}' is gone.", status=404)
        return found.body

    @property
    def local(self) -> JsonObject:
        """Port, latest revisions and whether it is stopped."""
        found: JsonObject = self.body.get(LOCAL) or {}
        return found

    def _remember(self, **changed: object) -> None:
        self._host.store.put(self.id, {**self.body, LOCAL: {**self.local, **changed}})

    def revision_records(self) -> list[StoredResource]:
        """Every revision, the oldest first."""
        return list(self._host.store.below(str(self.id), "Microsoft.App/containerApps/revisions"))

    def record(self, name: str) -> StoredResource:
        """One revision as stored, or ArmError 404."""
        found = self._host.store.get(self.id.child("revisions", name))
        if found is None:
            raise ArmError("RevisionNotFound", f"The revision '{name}' was not found.", status=404, target=name)
        return found

    def _change_record(self, name: str, **changed: object) -> None:
        record = self.record(name)
        self._host.store.put(record.id, {**record.body, **changed})

    @property
    def fqdn(self) -> str | None:
        """The app's host and port on this computer; None without ingress."""
        port = self.local.get("ingressPort")
        has_ingress = (properties(self.body).get("configuration") or {}).get("ingress")
        return f"127.0.0.1:{port}" if port and has_ingress else None

    # Life.

    async def resume(self) -> None:
        """Continue with an app that was there before this process: it listens, and sleeps unless it may not."""
        for record in self.revision_records():
            self._revision(record.id.name)
        has_address = await self._try_ingress()
        if properties(self.body).get("provisioningState") == "InProgress":
            state = "Succeeded" if has_address else "Failed"
            body = {**properties(self.body), "provisioningState": state}
            self._host.store.put(self.id, {**self.body, "properties": body})
        if not self.local.get("stopped"):
            for record in self.revision_records():
                if record.body["active"]:
                    revision = self._revision(record.id.name)
                    revision.start_replicas(revision.scale.least_now())
        self._supervise()

    async def apply(self) -> None:
        """Bring the app to what is stored; a changed template becomes a revision that must get ready.

        Raises ArmError when the address cannot be listened on or the revision's replica fails.
        """
        await self._open_ingress()
        self._supervise()
        template = properties(self.body)["template"]
        latest = self.local.get("latestRevision")
        if latest is not None and comparable(self.record(latest).body["template"]) == comparable(template):
            self.changes.notify()
            return
        name = self._add_revision(template)
        if self.local.get("stopped"):
            return
        revision = self._revision(name)
        revision.start_replicas(max(1, revision.scale.least_now()))
        ready = await revision.wait_until_ready(PROVISION_LIMIT, lambda: self._is_active(name))
        if not ready and self._is_active(name):
            reason = next(
                (replica.failure for replica in revision.replicas if replica.failure),
                "it waits for a GPU that another revision holds"
                if revision.waiting_for_gpu
                else f"it was not ready within {PROVISION_LIMIT.total_seconds() / 60:.0f} minutes",
            )
            self._change_record(name, provisioningState="Failed", provisioningError=reason)
            if self._host.faults.overlooks_crashes:
                return
            raise ArmError(
                "ContainerAppOperationError",
                f"Failed to provision revision for container app '{self.id.name}'. Error details: {reason}",
                target=name,
            )
        await self._hand_over()

    async def close(self) -> None:
        """Stop listening and end every replica; what is stored stays."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        await self.ingress.close()
        await asyncio.gather(*(revision.stop_replicas() for revision in self.revisions.values()))
        self.events.close()

    # What the management API asks for.

    async def stop(self) -> None:
        """No replicas, and no answers, until `start`."""
        self._remember(stopped=True)
        self.events.say("ContainerAppStopped", "The container app was stopped.")
        await asyncio.gather(*(revision.stop_replicas() for revision in self.revisions.values()))
        self.changes.notify()

    async def start(self) -> None:
        """Answer again; active revisions start a replica."""
        self._remember(stopped=False)
        self.events.say("ContainerAppStarted", "The container app was started.")
        self._touch()
        await self._try_ingress()
        for record in self.revision_records():
            if record.body["active"]:
                revision = self._revision(record.id.name)
                revision.start_replicas(max(1, revision.scale.least_now()))
        self.changes.notify()

    async def restart_revision(self, name: str) -> None:
        """Stop the revision's replicas and start as many."""
        self.record(name)
        self.events.say("RevisionRestarting", "The revision is restarted.", revision=name)
        self._touch()
        await self._try_ingress()
        await self._revision(name).restart()
        self.changes.notify()

    async def activate_revision(self, name: str) -> None:
        """Let the revision have replicas again; it starts one."""
        self.record(name)
        self._change_record(name, active=True)
        self.events.say("RevisionActivated", "The revision was activated.", revision=name)
        self._touch()
        await self._try_ingress()
        if not self.local.get("stopped"):
            revision = self._revision(name)
            revision.start_replicas(max(1, revision.scale.least_now()))
        self.changes.notify()

    async def deactivate_revision(self, name: str) -> None:
        """End the revision's replicas; it gets no traffic."""
        self.record(name)
        self._change_record(name, active=False)
        self.events.say("RevisionDeactivating", "The revision was deactivated.", revision=name)
        await self._revision(name).stop_replicas()
        self.changes.notify()

    def running_status(self) -> str:
        """Running or Stopped."""
        return "Stopped" if self.local.get("stopped") else "Running"

    # Requests from outside.

    @contextlib.asynccontextmanager
    async def _replica_for_request(self, affinity: str | None) -> AsyncIterator[Replica]:
        """A ready replica, woken where none runs; the request counts until it has been answered."""
        name = traffic.choose(self.traffic_weights())
        if name is None or self.local.get("stopped"):
            raise NotServedError(404, NOT_FOUND_TEXT)
        scaling = self._scaling_of(name)
        scaling.begin()
        self.changes.notify()
        try:
            yield await self._ready_replica(name, affinity)
        finally:
            scaling.end()
            scaling.touch()

    async def _ready_replica(self, name: str, affinity: str | None) -> Replica:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAKE_LIMIT.total_seconds()
        while True:
            if not self._is_multiple() or not self._is_active(name):
                name = traffic.choose(self.traffic_weights()) or name
            if self.local.get("stopped") or not self._is_active(name):
                raise NotServedError(404, NOT_FOUND_TEXT)
            revision = self._revision(name)
            same = [one for each in self._receiving() for one in each.ready_replicas if one.affinity == affinity]
            if same or revision.ready_replicas:
                return secrets.choice(same or revision.ready_replicas)
            if revision.has_failed:
                raise NotServedError(503, "no healthy upstream: the container of the revision ends or fails its probes")
            revision.start_replicas(max(1, revision.scale.least_now()))
            left = deadline - loop.time()
            if left <= 0:
                raise NotServedError(503, f"no healthy upstream: no replica was ready within {WAKE_LIMIT.seconds} s")
            await self.changes.wait(left)

    def traffic_weights(self) -> dict[str, int]:
        """The share of the requests that each revision gets, of a hundred."""
        active = [record.id.name for record in self.revision_records() if record.body["active"]]
        ready, latest = self.local.get("latestReadyRevision"), self.local.get("latestRevision")
        newest = next((name for name in (ready, latest, *reversed(active)) if name in active), None)
        if self._is_multiple():
            ingress = (properties(self.body).get("configuration") or {}).get("ingress") or {}
            return traffic.weights_of(traffic.read_traffic(ingress), newest, active)
        return {} if newest is None else {newest: traffic.WHOLE}

    def _receiving(self) -> list[RunningRevision]:
        """The revisions that get requests."""
        return [self._revision(name) for name in self.traffic_weights()]

    def _scaling_of(self, revision: str) -> Scaling:
        """Who counts the requests of a revision: in single mode all are counted together."""
        return self._scalings.setdefault(revision if self._is_multiple() else "", Scaling())

    def _touch(self) -> None:
        """Something happened that the app stays awake for."""
        for scaling in self._scalings.values():
            scaling.touch()

    # Supervision.

    def _supervise(self) -> None:
        if self._supervisor is None or self._supervisor.done():
            self._supervisor = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                if self.ingress_error is not None:
                    await self._try_ingress()
                await self._hand_over()
                await self._scale()
            except ArmError as error:
                log.warning("%s: %s", self.id.name, error.message)
            await self.changes.wait(LOOK_SECONDS)

    async def _hand_over(self) -> None:
        """Hand traffic over to the newest ready revision and, in single mode, end the others."""
        latest = self.local.get("latestRevision")
        if latest is None or not self._is_active(latest) or not self._revision(latest).ready_replicas:
            return
        if self.record(latest).body["provisioningState"] != "Provisioned":
            self._change_record(latest, provisioningState="Provisioned", provisioningError=None)
        if self.local.get("latestReadyRevision") != latest:
            self._remember(latestReadyRevision=latest)
            self._touch()
            self.events.say("RevisionReady", "The revision is ready.", revision=latest)
        if not self._is_multiple():
            for record in self.revision_records():
                if record.id.name != latest and record.body["active"]:
                    await self.deactivate_revision(record.id.name)

    async def _scale(self) -> None:
        """As many replicas of each revision as its requests need; fewer after the cooldown."""
        if self.local.get("stopped"):
            return
        for revision in self._receiving():
            target = self._scaling_of(revision.name).target(revision.scale, revision.wanted)
            is_starting = any(replica.failure is None and not replica.ready for replica in revision.replicas)
            if target > revision.wanted:
                revision.start_replicas(target)
            elif target < revision.wanted and not is_starting:
                self.events.say("ScaledDown", f"Scaled to {target} replicas.", revision=revision.name)
                await revision.stop_replicas(target)

    async def _open_ingress(self) -> None:
        """Listen where the app has ingress; the port is remembered for ever."""
        ingress = (properties(self.body).get("configuration") or {}).get("ingress")
        if not ingress:
            self.ingress_error = None
            await self.ingress.close()
            return
        self.ingress.rules = IngressRules.read(ingress)
        try:
            port = await self.ingress.open(self.local.get("ingressPort"), self.id.name)
        except ArmError as error:
            if self.ingress_error is None:
                log.warning("%s", error.message)
                self.events.say("IngressFailed", error.message)
            self.ingress_error = error.message
            self.changes.notify()
            raise
        self.ingress_error = None
        if self.local.get("ingressPort") != port:
            self._remember(ingressPort=port)

    async def _try_ingress(self) -> bool:
        """Whether the app has its address; where not, its revisions say why."""
        try:
            await self._open_ingress()
        except ArmError:
            return False  # kept in ingress_error, and tried again while the app is supervised
        return True

    # Parts.

    def _add_revision(self, template: JsonObject) -> str:
        suffix = template.get("revisionSuffix") or "".join(secrets.choice(LETTERS) for _ in range(7))
        name = f"{self.id.name}--{suffix}"
        identifier = self.id.child("revisions", name)
        if self._host.store.get(identifier) is not None:
            raise ArmError(
                "RevisionNameAlreadyInUse",
                f"The revision suffix '{suffix}' was used before by this container app.",
                target="properties.template.revisionSuffix",
            )
        body = {
            "template": template,
            "active": True,
            "createdTime": datetime.now(UTC).isoformat(),
            "provisioningState": "Provisioning",
        }
        self._host.store.put(identifier, body)
        self._remember(latestRevision=name)
        self.events.say("RevisionCreation", "A new revision was created.", revision=name)
        return name

    def _revision(self, name: str) -> RunningRevision:
        revision = self.revisions.get(name)
        if revision is None:
            gpus = self._host.gpus(self.body)
            template = self.record(name).body["template"]
            revision = RunningRevision(name, template, gpus, self._make_replica, self.changes)
            self.revisions[name] = revision
        return revision

    def _make_replica(self, revision: RunningRevision, name: str) -> Replica:
        async def plan() -> ReplicaPlan:
            return await asyncio.to_thread(
                make_plan,
                properties(self.body),
                revision.template,
                self._host.identity(self.body, self.id.name, revision.name, name, self.fqdn or ""),
                self._host.work_folder(name),
                lambda storage: self._host.share_folder(self.body, storage),
            )

        def changed(replica: Replica, reason: str, message: str) -> None:
            self.events.say(reason, message, revision=revision.name, replica=replica.name)
            self._touch()
            self.changes.notify()

        logs = self._host.home.logs / self.id.group / self.id.name
        self.events.say("AssigningReplica", "A replica is started.", revision=revision.name, replica=name)
        return Replica(name, revision.template, plan, self._host.replica_host, logs, changed)

    def _is_active(self, name: str) -> bool:
        found = self._host.store.get(self.id.child("revisions", name))
        return found is not None and bool(found.body["active"])

    def _is_multiple(self) -> bool:
        configuration = properties(self.body).get("configuration") or {}
        return str(configuration.get("activeRevisionsMode")).lower() == "multiple"
