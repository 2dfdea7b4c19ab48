"""A revision at run time: as many replicas of its template as it is scaled to."""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ai_toolkit.local_cloud.container_apps.changes import Changes
from ai_toolkit.local_cloud.container_apps.replica import Replica
from ai_toolkit.local_cloud.container_apps.schedule import Schedule, read_schedules
from ai_toolkit.local_cloud.core.arm_error import JsonObject

log = logging.getLogger(__name__)

DEFAULT_MAX_REPLICAS: Final = 10
DEFAULT_COOLDOWN_SECONDS: Final = 300
DEFAULT_POLLING_SECONDS: Final = 30
DEFAULT_CONCURRENT_REQUESTS: Final = 10
LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes names of


@dataclass(frozen=True)
class Scale:
    """How many replicas a revision may have."""

    least: int
    most: int
    cooldown: timedelta
    concurrent_requests: int
    polling: timedelta = timedelta(seconds=30)
    schedules: tuple[Schedule, ...] = ()

    @classmethod
    def read(cls, template: JsonObject) -> "Scale":
        """The template's scale with Azure's defaults."""
        scale: JsonObject = template.get("scale") or {}
        concurrent = DEFAULT_CONCURRENT_REQUESTS
        for rule in scale.get("rules") or []:
            metadata: dict[str, Any] = (rule.get("http") or {}).get("metadata") or {}
            if str(metadata.get("concurrentRequests", "")).isdigit():
                concurrent = max(1, int(metadata["concurrentRequests"]))
        most = scale.get("maxReplicas")
        cooldown = scale.get("cooldownPeriod")
        polling = scale.get("pollingInterval")
        return cls(
            scale.get("minReplicas") or 0,
            DEFAULT_MAX_REPLICAS if most is None else most,
            timedelta(seconds=DEFAULT_COOLDOWN_SECONDS if cooldown is None else cooldown),
            concurrent,
            timedelta(seconds=DEFAULT_POLLING_SECONDS if polling is None else polling),
            read_schedules(scale),
        )

    def least_now(self) -> int:
        """How many replicas there are at least at this moment: the minimum, or what a cron rule holds."""
        held = (schedule.holds(datetime.now(UTC)) for schedule in self.schedules)
        return min(max((self.least, *held)), max(self.most, 1))


class RunningRevision:
    """Replicas of one template; each holds a GPU where the app's profile has one."""

    def __init__(
        self,
        name: str,
        template: JsonObject,
        gpus: asyncio.Semaphore | None,
        make_replica: Callable[["RunningRevision", str], Replica],
        changes: Changes,
    ) -> None:
        self.name = name
        self.template = template
        self.scale = Scale.read(template)
        self.replicas: list[Replica] = []
        self.waiting_for_gpu = 0
        self._gpus = gpus
        self._make_replica = make_replica
        self._changes = changes
        self._scaling = asyncio.Lock()
        self._waiters: set[asyncio.Task[None]] = set()

    @property
    def ready_replicas(self) -> list[Replica]:
        """Those that get traffic."""
        return [replica for replica in self.replicas if replica.ready]

    @property
    def has_failed(self) -> bool:
        """Whether a replica ended and none is ready."""
        return not self.ready_replicas and any(replica.has_crashed for replica in self.replicas)

    @property
    def wanted(self) -> int:
        """How many replicas there are or will be once a GPU is free."""
        return len(self.replicas) + self.waiting_for_gpu

    def running_state(self, *, active: bool) -> str:
        """In Azure's words."""
        if not active:
            return "Stopped"
        if self.has_failed:
            return "Failed"
        if self.ready_replicas:
            crashed = any(replica.has_crashed for replica in self.replicas)
            return (
                "Degraded" if crashed else "RunningAtMaxScale" if len(self.replicas) >= self.scale.most else "Running"
            )
        return "Processing" if self.wanted else "ScaledToZero"

    def start_replicas(self, count: int) -> None:
        """Start replicas until there are so many; each waits for a GPU where it needs one."""
        while self.wanted < min(count, max(self.scale.most, 1)):
            self.waiting_for_gpu += 1
            waiter = asyncio.get_running_loop().create_task(self._start_one())
            self._waiters.add(waiter)
            waiter.add_done_callback(self._waiters.discard)

    async def _start_one(self) -> None:
        try:
            if self._gpus is not None:
                await self._gpus.acquire()
        finally:
            self.waiting_for_gpu -= 1
        suffix = (
            "".join(secrets.choice(LETTERS) for _ in range(10)),
            "".join(secrets.choice(LETTERS) for _ in range(5)),
        )
        replica = self._make_replica(self, f"{self.name}-{suffix[0]}-{suffix[1]}")
        self.replicas.append(replica)
        replica.start()
        self._changes.notify()

    async def stop_replicas(self, keep: int = 0) -> None:
        """Stop replicas until so many are left, and give their GPUs back."""
        async with self._scaling:
            for waiter in list(self._waiters):
                if self.wanted > keep:
                    waiter.cancel()
                    await asyncio.gather(waiter, return_exceptions=True)
            surplus = self.replicas[keep:]
            await asyncio.gather(*(self._stop_one(replica) for replica in surplus))

    async def _stop_one(self, replica: Replica) -> None:
        try:
            await replica.stop()
        finally:
            if replica in self.replicas:
                self.replicas.remove(replica)
            if self._gpus is not None:
                self._gpus.release()
            self._changes.notify()

    async def restart(self) -> None:
        """Stop the replicas that run and start as many; a sleeping revision stays asleep."""
        count = self.wanted
        await self.stop_replicas()
        self.start_replicas(count)

    async def wait_until_ready(self, limit: timedelta, still_wanted: Callable[[], bool]) -> bool:
        """Whether a replica became ready: False when one ended, the limit passed, or it is not wanted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit.total_seconds()
        while still_wanted() and not self.has_failed and loop.time() < deadline:
            if self.ready_replicas:
                return True
            await self._changes.wait(deadline - loop.time())
        return bool(self.ready_replicas)


def comparable(template: JsonObject) -> str:
    """The template without what does not make a revision."""
    return json.dumps({key: value for key, value in template.items() if key != "revisionSuffix"}, sort_keys=True)
