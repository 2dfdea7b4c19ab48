"""The thread that steps: takes waiting requests into free places, and moves every running one a token further.

One thread owns models and caches. Who runs in which slot is decided in `batch.py`, what one pass does is in `lane.py`;
a request takes the batched lane, or the one for requests that the model answers one at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from aitk_app.engine.generation import EngineError, Generation, QueueFullError
from aitk_app.engine.lane import LaneLimits, RunningLane
from aitk_app.engine.memory import free_bytes
from aitk_app.engine.model import Lane
from aitk_app.engine.row import RequestRow
from aitk_app.incidents import recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from aitk_app.engine.lora import LoadedAdapter
    from aitk_app.engine.model import Models
    from aitk_app.engine.sampling import Constraint, Sampling

_KEPT = 8  # conversations

Result = TypeVar("Result")


@dataclass(frozen=True)
class Load:
    """How busy the engine is."""

    running: int
    waiting: int
    batch_limit: int
    cached_tokens: int
    cache_bytes: int
    free_bytes: int
    shared_tokens: int  # of prompts, since the start: copied from another request's or an earlier turn's, not read


@dataclass(frozen=True)
class Watcher:
    """Whom the engine's thread tells what happens."""

    ended: Callable[[Generation, str], None] = lambda _, __: None
    stopped: Callable[[str], None] = lambda _: None
    restarted: Callable[[], None] = lambda: None
    failed: Callable[[str], None] = lambda _: None


class Scheduler:
    """The engine: submit requests, get their pieces."""

    def __init__(
        self, models: Models, *, max_batch: int, max_queue: int, prompt_tokens: int, watcher: Watcher | None = None
    ) -> None:
        self._models = models
        self._max_queue = max_queue
        self._watcher = watcher or Watcher()
        alone = LaneLimits(1, prompt_tokens, whole_prompts=True, fails_alone=True)
        self._lanes = {Lane.ALONE: RunningLane(models.path(Lane.ALONE), alone, self._watcher.ended)}
        if models.batched is not None:
            # On a GPU a slot takes its memory at once, and what is kept would be missing for requests.
            kept = _KEPT if models.device.type == "cpu" else 0
            limits = LaneLimits(max_batch, prompt_tokens, kept=kept)
            self._lanes[Lane.BATCHED] = RunningLane(models.path(Lane.BATCHED), limits, self._watcher.ended)
        self._most = self._lanes.get(Lane.BATCHED, self._lanes[Lane.ALONE])
        self._waiting: deque[Generation] = deque()
        self._between: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: list[int],
        sampling: Sampling,
        adapter: str | None,
        *,
        continues: bool = False,
        constraint: Constraint | None = None,
    ) -> Generation:
        """A request, begun as soon as there is room; `continues`: its text goes on where the prompt's ends.

        Raises `QueueFullError`.
        """
        generation = Generation(prompt, sampling, adapter, continues=continues, constraint=constraint)
        with self._changed:
            self._drop_cancelled()
            room = self._most.max_rows - len(self._rows)
            if self._closing or len(self._waiting) >= self._max_queue + max(room, 0):
                raise QueueFullError
            self._waiting.append(generation)
            self._changed.notify()
        return generation

    def between_steps(self, action: Callable[[], Result], done: Future[Result]) -> None:
        """Run `action` in the engine's thread when no pass is under way; `done` gets what it returns or raises."""
        with self._changed:
            if self._closing:
                done.cancel()
                return
            self._between.append((action, done))
            self._changed.notify()

    def close(self) -> None:
        """End the thread after its current step."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=10)

    @property
    def load(self) -> Load:
        """How busy it is at this moment."""
        rows = self._rows
        return Load(
            running=len(rows),
            waiting=len(self._waiting),
            batch_limit=self._most.max_rows,
            cached_tokens=sum(row.length for row in rows),
            cache_bytes=sum(lane.cache.nbytes for lane in self._lanes.values()),
            free_bytes=free_bytes(self._models.device),
            shared_tokens=sum(lane.shared_tokens for lane in self._lanes.values()),
        )

    @property
    def _rows(self) -> list[RequestRow]:
        return [row for lane in self._lanes.values() for row in list(lane.batch.rows)]

    def _run(self) -> None:
        with torch.inference_mode():
            while True:
                with self._changed:
                    while not (self._closing or self._waiting or self._rows or self._between):
                        self._changed.wait()
                    if self._closing:
                        self._end("The app is stopping.")
                        return
                try:
                    self._act_between()
                    for lane in self._lanes.values():
                        lane.let_go()
                    self._admit()
                    for lane in self._lanes.values():
                        lane.step()
                except Exception as error:  # noqa: BLE001 - the thread's edge: nobody may wait for an answer that never comes
                    if not self._restart(error):
                        return

    def _restart(self, error: Exception) -> bool:
        """Drop the batch and try a token with a new cache; whether that went well."""
        number = recorded(error, f"The engine stopped with {len(self._rows)} requests")
        self._watcher.stopped(f"error {number} in its log")
        for row in self._rows:
            why = f"The engine stopped and is being started again. Its log says why under error {number}."
            self._fail(row.generation, why, 503)
        try:
            for lane in self._lanes.values():
                lane.restart()
            self._models.warm()
        except Exception as again:  # noqa: BLE001 - the same edge
            number = recorded(again, "The engine could not be started again")
            why = f"The engine stopped and could not be started again. Its log says why under error {number}."
            self._watcher.failed(why)
            with self._changed:
                self._closing = True
                self._end(why)
            return False
        self._watcher.restarted()
        return True

    def _end(self, why: str) -> None:
        """Tell everybody who runs or waits, and end what runs."""
        for generation in (*(row.generation for row in self._rows), *self._waiting):
            self._fail(generation, why, 503)
        for lane in self._lanes.values():
            lane.batch.clear()
            lane.cache.close()
        self._waiting.clear()
        for _, done in self._between:
            done.cancel()
        self._between.clear()

    def _act_between(self) -> None:
        while self._between:
            action, done = self._between.popleft()
            try:
                result = action()
            except Exception as error:  # noqa: BLE001 - whoever asked for it gets it
                done.set_exception(error)
            else:
                done.set_result(result)
            for lane in self._lanes.values():
                lane.kept.only(self._models.adapters.values())

    def _drop_cancelled(self) -> None:
        self._waiting = deque(each for each in self._waiting if not each.cancelled)

    def _admit(self) -> None:
        """Take waiting requests into free places, each into the lane of its path."""
        with self._changed:
            self._drop_cancelled()
            waiting = list(self._waiting)
        for generation in waiting:
            if not any(lane.has_room for lane in self._lanes.values()):
                return
            try:
                adapter = self._adapter(generation)
                lane = self._lane(generation, adapter)
                if not lane.has_room:
                    continue
                row = RequestRow(generation, adapter, self._models)
            except EngineError as refused:
                self._refuse(generation, refused)
            except Exception as error:  # noqa: BLE001 - of its own work: it alone ends
                what = "This request could not be begun"
                why = f"{what}. The log says why under error {recorded(error, what)}."
                self._refuse(generation, EngineError(why))
            else:
                with self._changed:
                    if generation in self._waiting:  # it may have left meanwhile
                        self._waiting.remove(generation)
                        lane.batch.add(row)

    def _adapter(self, generation: Generation) -> LoadedAdapter | None:
        if not generation.adapter:
            return None
        adapter = self._models.adapters.get(generation.adapter)
        if adapter is None:
            raise EngineError(f"The adapter {generation.adapter} was unloaded.", 404)
        return adapter

    def _lane(self, generation: Generation, adapter: LoadedAdapter | None) -> RunningLane:
        longest = min(len(generation.prompt) + generation.sampling.max_tokens, self._models.context_length)
        return self._lanes[self._models.lane(adapter, longest)]

    def _refuse(self, generation: Generation, error: EngineError) -> None:
        with self._changed:
            if generation not in self._waiting:  # it has left meanwhile
                return
            self._waiting.remove(generation)
        self._watcher.ended(generation, "error")
        generation.deliver(error)

    def _fail(self, generation: Generation, why: str, status: int) -> None:
        self._watcher.ended(generation, "error")
        generation.deliver(EngineError(why, status))
