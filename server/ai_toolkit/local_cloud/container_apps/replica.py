"""One replica: its init containers one after the other, then its containers side by side."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from ai_toolkit.local_cloud.container_apps.container import Container, ReplicaHost, misbehaving_plan
from ai_toolkit.local_cloud.container_apps.replica_log import LineLog
from ai_toolkit.local_cloud.container_apps.replica_plan import ContainerPlan, ReplicaPlan, ReplicaPlanError
from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.faults.model import Kind

NO_COMMAND = "The container has no command: the local cloud runs commands, no images."


class Replica:
    """Containers that are started, watched, and started again when they end, until the replica is stopped."""

    def __init__(  # noqa: PLR0913, PLR0917  # what it runs, where, and who hears of it
        self,
        name: str,
        template: JsonObject,
        plan: Callable[[], Awaitable[ReplicaPlan]],
        host: ReplicaHost,
        logs: Path,
        on_change: Callable[["Replica", str, str], None],
    ) -> None:
        self.name = name
        self.created = datetime.now(UTC)
        self.plan: ReplicaPlan | None = None
        self._is_planned = asyncio.Event()
        self._make_plan = plan
        self._host = host
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        listed: list[JsonObject] = template["containers"]
        serving = next((one for one in listed if one.get("command") or one.get("args")), listed[0])
        self.init_containers = [self._container(one, logs) for one in template.get("initContainers") or []]
        self.containers = [self._container(one, logs, is_serving=one is serving) for one in listed]
        self.serving = next(one for one, given in zip(self.containers, listed, strict=True) if given is serving)
        self._runs = {
            container
            for container, given in zip(self.containers, listed, strict=True)
            if given is serving or given.get("command") or given.get("args")
        }
        self._init_runs = [
            container
            for container, given in zip(self.init_containers, template.get("initContainers") or [], strict=True)
            if given.get("command") or given.get("args")
        ]
        for container in (*self.init_containers, *self.containers):
            if container not in self._runs and container not in self._init_runs:
                container.output.add(f"{container.name}: {NO_COMMAND}")

    def _container(self, given: JsonObject, logs: Path, *, is_serving: bool = False) -> Container:
        name = str(given.get("name"))
        output = LineLog(logs / (f"{self.name}.log" if is_serving else f"{self.name}.{name}.log"))
        return Container(name, self._host, output, self._say)

    def runs(self, container: Container) -> bool:
        """Whether a container has a command, which is what runs here."""
        return container in self._runs or container in self._init_runs

    @property
    def ready(self) -> bool:
        """Whether it gets traffic: each container that runs is ready. One without a command is never counted."""
        return all(container.ready for container in self._runs)

    @property
    def failure(self) -> str | None:
        """Why a container ended or could not start."""
        for container in (*self._init_runs, *self.containers):
            if container.failure is not None:
                is_only = len(self._runs) + len(self._init_runs) == 1
                return container.failure if is_only else f"{container.name}: {container.failure}"
        return None

    @property
    def has_crashed(self) -> bool:
        """Whether a container has ended or could not start, and has not become ready since."""
        return any(container.has_crashed for container in (*self._init_runs, *self._runs))

    @property
    def affinity(self) -> str:
        """What a client's cookie names it by."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def url(self) -> str:
        """Where it answers on this computer."""
        return f"http://127.0.0.1:{self.plan.port}" if self.plan else ""

    def find(self, container: str) -> Container:
        """The container of that name, else the one that serves."""
        every = (*self.containers, *self.init_containers)
        return next((one for one in every if one.name.lower() == container.lower()), self.serving)

    def start(self) -> None:
        """Begin to run in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the processes, politely first; returns when their groups are gone."""
        for container in self.containers:
            container.ready = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for container in (*self.init_containers, *self.containers):
            container.output.close()
        if self.plan is not None:
            await asyncio.to_thread(shutil.rmtree, self.plan.work, ignore_errors=True)

    async def _run(self) -> None:
        for container in self._init_runs:
            await container.run_to_end(self._planner(container))
        self._is_planned.clear()
        async with asyncio.TaskGroup() as group:
            for container in self._runs:
                group.create_task(container.run_for_ever(self._planner(container)))

    def _planner(self, container: Container) -> Callable[[], Awaitable[tuple[ReplicaPlan, ContainerPlan]]]:
        """How a container finds out what to run: the one that serves has the replica planned anew."""

        async def plan() -> tuple[ReplicaPlan, ContainerPlan]:
            if container is self.serving or container in self._init_runs:
                self.plan = await self._make_plan()
                self._is_planned.set()
            await self._is_planned.wait()  # one plan, and so one port, for all that run side by side
            whole = self._known_plan()
            own = next((one for one in (*whole.init_containers, *whole.containers) if one.name == container.name), None)
            if own is None:
                raise ReplicaPlanError(f"The container '{container.name}' is not in the template any more.")
            faults = self._host.faults.for_replica(self.name) if container is self.serving else []
            for fault in faults:
                if fault.kind is Kind.START_STALLS:
                    self._say(fault.code or "AssigningReplica", fault.message)
                    await asyncio.Event().wait()
                own = misbehaving_plan(own, fault)
            return whole, own

        return plan

    def _known_plan(self) -> ReplicaPlan:
        if self.plan is None:
            raise ReplicaPlanError("The replica has no plan.")
        return self.plan

    def _say(self, reason: str, message: str) -> None:
        self._on_change(self, reason, message)
