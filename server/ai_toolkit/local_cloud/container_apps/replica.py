"""One replica: a process group, its probes, and what happens when either fails."""

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from ai_toolkit.local_cloud.container_apps.guarded_process import start_guarded
from ai_toolkit.local_cloud.container_apps.probes import Probe
from ai_toolkit.local_cloud.container_apps.replica_environment import (
    ReplicaEnvironmentError,
    ReplicaEnvironments,
    replica_variables,
)
from ai_toolkit.local_cloud.container_apps.replica_log import LineLog, read_lines
from ai_toolkit.local_cloud.container_apps.replica_plan import ReplicaPlan, ReplicaPlanError
from ai_toolkit.local_cloud.core.processes import kill_group, start_time
from ai_toolkit.local_cloud.faults.model import Fault, Faults, Kind

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 300.0
GOOD_RUN_SECONDS: Final = 600.0  # after such a run the backoff begins anew
CRASH_WORDS: Final = "The local cloud was told to let this replica crash."


@dataclass(frozen=True)
class ReplicaHost:
    """What this computer gives to every replica."""

    environments: ReplicaEnvironments
    records: Path  # one file per live process group
    faults: Faults


class Replica:
    """A container that is started, watched, and started again when it ends, until it is stopped."""

    def __init__(
        self,
        name: str,
        plan: Callable[[], Awaitable[ReplicaPlan]],
        host: ReplicaHost,
        output: LineLog,
        on_change: Callable[["Replica", str, str], None],
    ) -> None:
        self.name = name
        self.created = datetime.now(UTC)
        self.output = output
        self.plan: ReplicaPlan | None = None
        self.started = False
        self.ready = False
        self.running = False
        self.restart_count = 0
        self.failure: str | None = None
        self.exit_code: int | None = None
        self.stopping = False
        self._make_plan = plan
        self._host = host
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def has_crashed(self) -> bool:
        """Whether it has ended or could not start, and has not become ready since."""
        return self.failure is not None and not self.ready

    @property
    def affinity(self) -> str:
        """What a client's cookie names it by."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def url(self) -> str:
        """Where it answers on this computer."""
        return f"http://127.0.0.1:{self.plan.port}" if self.plan else ""

    def start(self) -> None:
        """Begin to run in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the process, politely first; returns when its group is gone."""
        self.stopping = True
        self.ready = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.output.close()
        if self.plan is not None:
            await asyncio.to_thread(shutil.rmtree, self.plan.work, ignore_errors=True)

    async def _run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                self.plan = _struck(await self._make_plan(), self._host.faults.for_replica(self.name))
                variables = await self._variables(self.plan)
                self.exit_code = await self._run_once(self.plan, variables)
                self.failure = f"The container ended with exit code {self.exit_code}."
            except (ReplicaPlanError, ReplicaEnvironmentError, OSError) as error:
                self.failure = str(error)
                self.output.add(f"The container could not be started: {error}")
            finally:
                self.ready = self.started = self.running = False
            if time.monotonic() - began > GOOD_RUN_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self.restart_count += 1
            self._on_change(self, "ContainerTerminated", self.failure)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _variables(self, plan: ReplicaPlan) -> dict[str, str]:
        binaries = await self._host.environments.binaries(plan.requirements, self.output.add)
        return {**replica_variables(binaries, plan.work), **plan.variables}

    async def _run_once(self, plan: ReplicaPlan, variables: dict[str, str]) -> int:
        """The exit code of one run of the command."""
        guarded = await start_guarded(plan.command, variables, Path(variables["HOME"]))
        process = guarded.process
        record = self._host.records / str(process.pid)
        record.write_text(start_time(process.pid) or "", encoding="utf-8")
        self._process = process
        self.running = True
        self._on_change(self, "ContainerStarted", f"Started container '{plan.container}'.")
        reading = asyncio.create_task(read_lines(guarded.output, self.output.add))
        probing = asyncio.create_task(self._probe(plan, process))
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await self._end(process, plan.grace_seconds)
            raise
        finally:
            probing.cancel()
            kill_group(process.pid)
            await asyncio.gather(probing, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await asyncio.gather(reading, return_exceptions=True)
            reading.cancel()
            record.unlink(missing_ok=True)
            os.close(guarded.lifeline)
        return status

    async def _end(self, process: asyncio.subprocess.Process, grace_seconds: int) -> None:
        """Ask the group to end; the caller kills what is left."""
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.killpg(process.pid, signal.SIGTERM)
            async with asyncio.timeout(grace_seconds):
                await process.wait()
        kill_group(process.pid)
        await process.wait()

    async def _probe(self, plan: ReplicaPlan, process: asyncio.subprocess.Process) -> None:
        """Startup first, then readiness and liveness side by side, as long as the process runs."""
        async with aiohttp.ClientSession() as session:
            startup = plan.probes.get("startup")
            if startup is not None and not await self._await_startup(startup, plan, session):
                await self._kill_for("startup", process, plan)
                return
            self.started = True
            self._on_change(self, "ContainerReady", "The startup probe succeeded.")
            async with asyncio.TaskGroup() as probes:
                if (readiness := plan.probes.get("readiness")) is not None:
                    probes.create_task(self._watch_readiness(readiness, plan, session))
                if (liveness := plan.probes.get("liveness")) is not None:
                    probes.create_task(self._watch_liveness(liveness, plan, session, process))

    async def _await_startup(self, probe: Probe, plan: ReplicaPlan, session: aiohttp.ClientSession) -> bool:
        await asyncio.sleep(probe.initial_delay_seconds)
        for attempt in range(probe.failure_threshold):
            began = time.monotonic()
            if await probe.passes(session, plan.probe_port(probe)):
                return True
            if attempt + 1 < probe.failure_threshold:
                await asyncio.sleep(max(0.0, probe.period_seconds - (time.monotonic() - began)))
        return False

    async def _watch_readiness(self, probe: Probe, plan: ReplicaPlan, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(probe.initial_delay_seconds)
        in_a_row = 0
        while True:
            passed = await probe.passes(session, plan.probe_port(probe))
            in_a_row = (max(in_a_row, 0) + 1) if passed else (min(in_a_row, 0) - 1)
            if not self.ready and in_a_row >= probe.success_threshold:
                self.ready = True
                self.failure = None
                self._on_change(self, "ReplicaReady", "The readiness probe succeeded.")
            elif self.ready and -in_a_row >= probe.failure_threshold:
                self.ready = False
                self._on_change(self, "ProbeFailed", "The readiness probe failed.")
            await asyncio.sleep(probe.period_seconds)

    async def _watch_liveness(
        self,
        probe: Probe,
        plan: ReplicaPlan,
        session: aiohttp.ClientSession,
        process: asyncio.subprocess.Process,
    ) -> None:
        await asyncio.sleep(probe.initial_delay_seconds)
        failures = 0
        while failures < probe.failure_threshold:
            await asyncio.sleep(probe.period_seconds)
            failures = 0 if await probe.passes(session, plan.probe_port(probe)) else failures + 1
        await self._kill_for("liveness", process, plan)

    async def _kill_for(self, kind: str, process: asyncio.subprocess.Process, plan: ReplicaPlan) -> None:
        """End a container whose probe failed; it is started again like one that ended by itself."""
        self.ready = False
        self._on_change(self, "ProbeFailed", f"The {kind} probe failed; the container is restarted.")
        await self._end(process, plan.grace_seconds)


def _struck(plan: ReplicaPlan, fault: Fault | None) -> ReplicaPlan:
    """The plan with a command that misbehaves as it was asked for."""
    if fault is None:
        return plan
    if fault.kind is Kind.REPLICA_WRAPPED:
        share = str(plan.shares[0]) if plan.shares else ""
        wrapper = tuple(share if part == "{share}" else part for part in fault.command)
        return replace(plan, command=(*wrapper, *plan.command))
    script = {
        Kind.REPLICA_CRASHES: f"sleep {fault.seconds}; echo '{CRASH_WORDS}'; exit 1",
        Kind.REPLICA_HANGS: "exec sleep 2147483647",
        Kind.REPLICA_SLOW: f'sleep {fault.seconds}; exec "$@"',
    }[fault.kind]
    return replace(plan, command=("/bin/sh", "-c", script, "sh", *plan.command))
