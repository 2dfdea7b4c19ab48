"""How many replicas the requests in flight need, with Azure's polling and cooldown.

Source: https://learn.microsoft.com/azure/container-apps/scale-app
"""

import math
import time
from collections.abc import Callable

from ai_toolkit.local_cloud.container_apps.revision import Scale


class Scaling:
    """Counts requests, and says how many replicas there should be."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._in_flight = 0
        self._peak = 0  # of requests in flight since the last look: short ones count, too
        self._polled = float("-inf")
        self._needed = clock()  # when as many replicas as there are were needed last

    def begin(self) -> None:
        """A request has come."""
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        self.touch()

    def end(self) -> None:
        """A request has been answered."""
        self._in_flight -= 1

    def touch(self) -> None:
        """Something happened that an app stays awake for."""
        if self._in_flight <= 1:
            self._needed = self._clock()

    def target(self, scale: Scale, replicas: int) -> int:
        """How many replicas there should be, where there are so many now."""
        now = self._clock()
        needed = max(scale.least_now(), min(math.ceil(self._peak / scale.concurrent_requests), scale.most))
        self._peak = self._in_flight
        if needed >= replicas:
            self._needed = now
        if needed > replicas:
            if replicas and now - self._polled < scale.polling.total_seconds():
                return replicas
            self._polled = now
            return needed
        return needed if now - self._needed > scale.cooldown.total_seconds() else replicas
