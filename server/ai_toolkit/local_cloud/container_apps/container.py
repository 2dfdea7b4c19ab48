"""One container of a replica: a process that is watched, and started again when it ends, until it is stopped."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp

from ai_toolkit.local_cloud.container_apps.guarded_process import end, guarded
from ai_toolkit.local_cloud.container_apps.probes import Probe
from ai_toolkit.local_cloud.container_apps.replica_environment import (
    ReplicaEnvironmentError,
    ReplicaEnvironments,
    replica_variables,
)
from ai_toolkit.local_cloud.container_apps.replica_log import LineLog
from ai_toolkit.local_cloud.container_apps.replica_plan import ContainerPlan, ReplicaPlan, ReplicaPlanError
from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.core.processes import start_time
from ai_toolkit.local_cloud.faults.model import Fault, Faults, Kind

FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 300.0
GOOD_RUN_SECONDS: Final = 600.0  # after such a run the backoff begins anew
CRASH_WORDS: Final = "The local cloud was told to let this replica crash."

Said = Callable[[str, str], None]  # a reason in Azure's words, and a sentence


@dataclass(frozen=True)
class ReplicaHost:
    """What this computer gives to every replica."""

    environments: ReplicaEnvironments
    records: Path  # one file per live process group
    faults: Faults


class Container:
    """A container's process, as often as it is started."""

    def __init__(self, name: str, host: ReplicaHost, output: LineLog, say: Said) -> None:
        self.name = name
        self.output = output
        self.started = False
        self.ready = False
        self.running = False
        self.restart_count = 0
        self.failure: str | None = None
        self.exit_code: int | None = None
        self._host = host
        self._say = say

    @property
    def has_crashed(self) -> bool:
        """Whether it has ended or could not start, and has not become ready since."""
        return self.failure is not None and not self.ready

    async def run_for_ever(self, plan: Callable[[], Awaitable[tuple[ReplicaPlan, ContainerPlan]]]) -> None:
        """Run, and run again after a while when it ends; what to run is asked anew each time."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            await self.run_once(plan)
            if time.monotonic() - began > GOOD_RUN_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self.restart_count += 1
            self._say("ContainerTerminated", self.failure or "")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def run_to_end(self, plan: Callable[[], Awaitable[tuple[ReplicaPlan, ContainerPlan]]]) -> None:
        """Run until it ends well once, as an init container does."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            await self.run_once(plan)
            if self.exit_code == 0:
                self.failure = None
                self._say("ContainerCompleted", f"The init container '{self.name}' has ended.")
                return
            self.restart_count += 1
            self._say("ContainerTerminated", self.failure or "")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def run_once(self, plan: Callable[[], Awaitable[tuple[ReplicaPlan, ContainerPlan]]]) -> None:
        """One run of its command; how it ended is in `failure` and `exit_code`."""
        self.exit_code = None
        try:
            whole, own = await plan()
            binaries = await self._host.environments.binaries(own.requirements, self.output.add)
            clean = replica_variables(binaries, own.work, writes_home=not own.has_gpu, user=own.user)
            variables = {**clean, **own.variables}
            self.exit_code = await self._run(whole, own, variables)
            self.failure = f"The container ended with exit code {self.exit_code}."
        except (ReplicaPlanError, ReplicaEnvironmentError, OSError) as error:
            self.failure = full_disk.in_words(self._host.records) if full_disk.is_full(error) else str(error)
            self.output.add(f"The container could not be started: {self.failure}")
        finally:
            self.ready = self.started = self.running = False

    async def _run(self, whole: ReplicaPlan, plan: ContainerPlan, variables: dict[str, str]) -> int:
        async with guarded(plan.command, variables, self.output.add, plan.folder) as process:
            record = self._host.records / str(process.pid)
            record.write_text(start_time(process.pid) or "", encoding="utf-8")
            self.running = True
            self._say("ContainerCreated", f"Created container '{plan.name}'.")
            self._say("ContainerStarted", f"Started container '{plan.name}'.")
            probing = asyncio.create_task(self._probe(whole, plan, process))
            try:
                return await process.wait()
            except asyncio.CancelledError:
                await end(process, plan.grace_seconds)
                raise
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
                record.unlink(missing_ok=True)

    async def _probe(self, whole: ReplicaPlan, plan: ContainerPlan, process: asyncio.subprocess.Process) -> None:
        """Startup first, then readiness and liveness side by side, as long as the process runs."""
        async with aiohttp.ClientSession() as session:
            startup = plan.probes.get("startup")
            if startup is not None and not await _has_started(startup, whole, session):
                await self._end_for("startup", process, plan)
                return
            self.started = True
            self._say("ContainerReady", "The startup probe succeeded.")
            async with asyncio.TaskGroup() as probes:
                if (readiness := plan.probes.get("readiness")) is not None:
                    probes.create_task(self._watch_readiness(readiness, whole, session))
                else:
                    self._become_ready("The container runs and has no readiness probe.")
                if (liveness := plan.probes.get("liveness")) is not None:
                    probes.create_task(self._watch_liveness(liveness, whole, plan, session, process))

    def _become_ready(self, why: str) -> None:
        self.ready = True
        self.failure = None
        self._say("ReplicaReady", why)

    async def _watch_readiness(self, probe: Probe, whole: ReplicaPlan, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(probe.initial_delay_seconds)
        in_a_row = 0
        while True:
            passed = await probe.passes(session, whole.probe_port(probe))
            in_a_row = (max(in_a_row, 0) + 1) if passed else (min(in_a_row, 0) - 1)
            if not self.ready and in_a_row >= probe.success_threshold:
                self._become_ready("The readiness probe succeeded.")
            elif self.ready and -in_a_row >= probe.failure_threshold:
                self.ready = False
                self._say("ProbeFailed", "The readiness probe failed.")
            await asyncio.sleep(probe.period_seconds)

    async def _watch_liveness(  # what is asked, where, and who ends for it
        self,
        probe: Probe,
        whole: ReplicaPlan,
        plan: ContainerPlan,
        session: aiohttp.ClientSession,
        process: asyncio.subprocess.Process,
    ) -> None:
        await asyncio.sleep(probe.initial_delay_seconds)
        failures = 0
        while failures < probe.failure_threshold:
            await asyncio.sleep(probe.period_seconds)
            failures = 0 if await probe.passes(session, whole.probe_port(probe)) else failures + 1
        await self._end_for("liveness", process, plan)

    async def _end_for(self, kind: str, process: asyncio.subprocess.Process, plan: ContainerPlan) -> None:
        """End a container whose probe failed; it is started again like one that ended by itself."""
        self.ready = False
        self._say("ProbeFailed", f"The {kind} probe failed; the container is restarted.")
        await end(process, plan.grace_seconds)


async def _has_started(probe: Probe, whole: ReplicaPlan, session: aiohttp.ClientSession) -> bool:
    await asyncio.sleep(probe.initial_delay_seconds)
    for attempt in range(probe.failure_threshold):
        began = time.monotonic()
        if await probe.passes(session, whole.probe_port(probe)):
            return True
        if attempt + 1 < probe.failure_threshold:
            await asyncio.sleep(max(0.0, probe.period_seconds - (time.monotonic() - began)))
    return False


def misbehaving_plan(plan: ContainerPlan, fault: Fault) -> ContainerPlan:
    """The plan with a command that misbehaves as it was asked for; what is about a share needs one."""
    if fault.kind is Kind.REPLICA_WRAPPED:
        if "{share}" in fault.command and not plan.shares:
            return plan
        share = str(plan.shares[0]) if plan.shares else ""
        wrapper = tuple(share if part == "{share}" else part for part in fault.command)
        return replace(plan, command=(*wrapper, *plan.command))
    script = {
        Kind.REPLICA_CRASHES: f"sleep {fault.seconds}; echo '{CRASH_WORDS}'; exit 1",
        Kind.REPLICA_HANGS: "exec sleep 2147483647",
        Kind.REPLICA_SLOW: f'sleep {fault.seconds}; exec "$@"',
    }[fault.kind]
    return replace(plan, command=("/bin/sh", "-c", script, "sh", *plan.command))
