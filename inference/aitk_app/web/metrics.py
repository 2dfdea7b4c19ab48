"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from aitk_app.engine.generation import Generation
    from aitk_app.engine.scheduler import Scheduler

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of the engine's requests, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "aitk_requests", "Requests that ended, by model and reason", ("model", "reason"), registry=self._registry
        )
        self._prompt = Counter("aitk_prompt_tokens", "Tokens of prompts", ("model",), registry=self._registry)
        self._answer = Counter("aitk_answer_tokens", "Tokens of answers", ("model",), registry=self._registry)
        self._first = Histogram(
            "aitk_first_token_seconds", "Time to the first token", buckets=_SECONDS, registry=self._registry
        )
        self._between = Histogram(
            "aitk_between_tokens_seconds",
            "Time between tokens, a request's mean",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def watch(self, scheduler: Scheduler) -> None:
        """Read the moment's numbers from `scheduler` when asked."""
        gauges = {
            "aitk_requests_running": ("Requests in the batch", lambda: scheduler.load.running),
            "aitk_requests_waiting": ("Requests in the queue", lambda: scheduler.load.waiting),
            "aitk_batch_limit": ("Requests that may run at the same time", lambda: scheduler.load.batch_limit),
            "aitk_cached_tokens": ("Tokens whose keys and values are held", lambda: scheduler.load.cached_tokens),
            "aitk_reused_prompt_tokens": (
                "Tokens of prompts, since the start, that were held already and not read again",
                lambda: scheduler.load.shared_tokens,
            ),
            "aitk_cache_bytes": ("Memory of keys and values", lambda: scheduler.load.cache_bytes),
            "aitk_device_memory_free_bytes": ("Free memory of the device", lambda: scheduler.load.free_bytes),
        }
        for name, (description, value) in gauges.items():
            Gauge(name, description, registry=self._registry).set_function(value)

    def ended(self, generation: Generation, reason: str) -> None:
        """Count a request that left the engine."""
        model = generation.adapter or "base"
        self._requests.labels(model, reason).inc()
        self._prompt.labels(model).inc(len(generation.prompt))
        self._answer.labels(model).inc(generation.tokens)
        if generation.first_token is not None and generation.last_token is not None:
            self._first.observe(generation.first_token - generation.begun)
            if generation.tokens > 1:
                self._between.observe((generation.last_token - generation.first_token) / (generation.tokens - 1))

    def text(self) -> tuple[bytes, str]:
        """Prometheus' text format, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
