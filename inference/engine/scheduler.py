"""Answers requests in one running batch that they join and leave at every step.

One thread owns model and cache. In each step it takes waiting requests into free slots, puts some prompts
(or a piece of a long one) through the model together, and moves every running request one token further in
one forward pass, whichever adapter each one uses.

The rows of the batch are the slots of the cache: first those that are answering, then those whose prompt is
still being read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.generation import EngineError, Generation, Piece, QueueFullError
from engine.sampling import Chooser, Sampling, next_tokens
from engine.text import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from engine.generation import FinishReason
    from engine.lora import LoadedAdapter
    from engine.models import Models
    from engine.sampling import TokenLogprob

logger = logging.getLogger(__name__)

_MOST_FILLING = 1.5  # times the prompts' own tokens


class _Row:
    """A running request's state in the engine's thread; its place in the list is its slot in the cache."""

    def __init__(self, generation: Generation, adapter: LoadedAdapter | None, models: Models) -> None:
        sampling = generation.sampling
        self.generation = generation
        self.adapter = adapter  # kept until its end, whatever is loaded under that name meanwhile
        self.text = TextStream(models.tokenizer.backend_tokenizer, sampling.stop)
        self.chooser = Chooser(sampling, generation.prompt)
        self.ends = (frozenset() if sampling.ignore_end else models.end_tokens) | sampling.stop_tokens
        self.length = 0  # tokens in the cache
        self.last = 0  # the newest token, not yet in the cache
        self.answer_tokens = 0

    @property
    def unread(self) -> int:
        """Tokens of the prompt that are not in the cache."""
        return len(self.generation.prompt) - self.length


@dataclass(frozen=True)
class Load:
    """How busy the engine is."""

    running: int
    waiting: int
    batch_limit: int
    cached_tokens: int


class Scheduler:
    """The engine: submit requests, get their pieces."""

    def __init__(  # noqa: PLR0913 - limits, and whom to tell
        self,
        models: Models,
        *,
        max_batch: int,
        max_queue: int,
        prompt_tokens: int = 2048,
        stopped: Callable[[str], None] = lambda _: None,
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        self._models = models
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._prompt_tokens = prompt_tokens  # that go through the model in one pass, filling included
        self._stopped = stopped
        self._restarted = restarted
        self._cache = models.new_cache()
        self._rows: list[_Row] = []
        self._answering = 0  # how many of the rows, from the front, have read their prompt
        self._waiting: deque[Generation] = deque()
        self._between: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, prompt: list[int], sampling: Sampling, adapter: str | None) -> Generation:
        """A request, begun as soon as there is room. Raises `QueueFullError`."""
        generation = Generation(prompt, sampling, adapter)
        with self._changed:
            self._drop_cancelled()
            room = self._max_batch - len(self._rows)
            if self._closing or len(self._waiting) >= self._max_queue + max(room, 0):
                raise QueueFullError
            self._waiting.append(generation)
            self._changed.notify()
        return generation

    def between_steps(self, action: Callable[[], None], done: Future[None]) -> None:
        """Run `action` in the engine's thread when no pass is under way."""
        with self._changed:
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
        rows = list(self._rows)
        return Load(len(rows), len(self._waiting), self._max_batch, sum(row.length for row in rows))

    def _run(self) -> None:
        with torch.inference_mode():
            while True:
                with self._changed:
                    while not (self._closing or self._waiting or self._rows or self._between):
                        self._changed.wait()
                    if self._closing:
                        self._drop_all("The app is stopping.")
                        return
                try:
                    self._act_between()
                    self._remove([row for row in self._rows if row.generation.cancelled])
                    self._admit()
                    self._read_prompts()
                    self._step()
                except Exception as error:  # the thread's edge: nobody may wait for an answer that never comes
                    logger.exception("The engine stopped with %s requests", len(self._rows))
                    if not self._restart(error):
                        return

    def _restart(self, error: Exception) -> bool:
        """Drop the batch and try a token with a new cache; whether that went well."""
        self._stopped(f"{type(error).__name__}: {error}")
        for row in self._rows:
            row.generation.deliver(EngineError(f"The engine stopped and is being started again: {error}"))
        self._rows, self._answering = [], 0
        try:
            self._cache = self._models.new_cache()
            self._models.forward(self._models.new_cache(), 0, [[0]], [0], [None])
        except Exception:  # the same edge
            logger.exception("The engine could not be started again")
            with self._changed:
                self._closing = True
                self._drop_all(f"The engine stopped: {error}")
            return False
        self._restarted()
        return True

    def _drop_all(self, why: str) -> None:
        for generation in (*(row.generation for row in self._rows), *self._waiting):
            generation.deliver(EngineError(why))
        self._rows, self._answering = [], 0
        self._waiting.clear()
        for _, done in self._between:
            done.cancel()
        self._between.clear()

    def _act_between(self) -> None:
        while self._between:
            action, done = self._between.popleft()
            try:
                action()
            except Exception as error:  # noqa: BLE001 - whoever asked for it gets it
                done.set_exception(error)
            else:
                done.set_result(None)

    def _drop_cancelled(self) -> None:
        self._waiting = deque(each for each in self._waiting if not each.cancelled)

    def _admit(self) -> None:
        """Take waiting requests into free slots."""
        while len(self._rows) < self._max_batch:
            with self._changed:
                self._drop_cancelled()
                if not self._waiting:
                    return
                generation = self._waiting.popleft()
            adapter = self._models.adapters.get(generation.adapter) if generation.adapter else None
            if generation.adapter and adapter is None:
                generation.deliver(EngineError(f"The adapter {generation.adapter} was unloaded.", status=404))
                continue
            self._rows.append(_Row(generation, adapter, self._models))

    def _read_prompts(self) -> None:
        """One pass over the first prompts that are not read: several short ones, or a piece of a long one."""
        group = self._next_prompts(self._rows[self._answering :])
        if not group:
            return
        pieces = [row.generation.prompt[row.length : row.length + self._prompt_tokens] for row in group]
        try:
            logits = self._pass(self._answering, group, pieces)
        except torch.OutOfMemoryError as error:
            self._shrink(group[-1], error)
            return
        for row, piece in zip(group, pieces, strict=True):
            row.length += len(piece)
        if not group[0].unread:  # a piece of a long prompt is alone
            self._answering += len(group)
            self._advance(group, logits)

    def _next_prompts(self, unread: Sequence[_Row]) -> list[_Row]:
        group: list[_Row] = []
        for row in unread:
            wanted = [each.unread for each in (*group, row)]
            filled = len(wanted) * max(wanted)
            if group and (filled > self._prompt_tokens or filled > _MOST_FILLING * sum(wanted)):
                break
            group.append(row)
        return group

    def _step(self) -> None:
        """One token for every row that is answering."""
        rows = self._rows[: self._answering]
        if not rows:
            return
        try:
            logits = self._pass(0, rows, [[row.last] for row in rows])
        except torch.OutOfMemoryError as error:
            self._shrink(max(rows, key=lambda row: row.generation.begun), error)
            return
        for row in rows:
            row.length += 1
        self._advance(rows, logits)

    def _pass(self, first: int, rows: Sequence[_Row], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        return self._models.forward(
            self._cache, first, tokens, [row.length for row in rows], [row.adapter for row in rows]
        )

    def _shrink(self, row: _Row, error: torch.OutOfMemoryError) -> None:
        """Out of memory: end one request, and take no more than remain at the same time from now on."""
        self._max_batch = max(1, len(self._rows) - 1)
        logger.warning("Out of memory; at most %s requests at a time from now on: %s", self._max_batch, error)
        self._remove([row])
        row.generation.deliver(
            EngineError("There is not enough memory for this request now. Try again, or make it shorter.", status=503)
        )
        if not self._rows:
            self._cache = self._models.new_cache()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _advance(self, rows: list[_Row], logits: torch.Tensor) -> None:
        """Choose the rows' next tokens, hand their text over, and let the finished ones go."""
        chosen = next_tokens(logits, [row.chooser for row in rows])
        now = time.monotonic()
        taken = []
        for row, (token, logprob) in zip(rows, chosen, strict=True):
            row.generation.token_at(now)
            taken.append((row, self._take(row, token, logprob)))
        self._remove([row for row, piece in taken if piece.finish_reason])
        # After the removal: whoever hears of an answer's end finds its place free.
        for row, piece in taken:
            row.generation.deliver(piece)

    def _take(self, row: _Row, token: int, logprob: TokenLogprob | None) -> Piece:
        """Give the row its token; what that adds to its answer."""
        row.last = token
        row.answer_tokens += 1
        sampling = row.generation.sampling
        text = ""
        finish: FinishReason | None = None
        if token in row.ends:
            finish = "stop"
        else:
            text = row.text.push(token)
            length = row.length + 1  # once the token is in the cache
            if row.text.stopped:
                finish = "stop"
            elif row.answer_tokens >= sampling.max_tokens or length >= self._models.context_length:
                finish = "length"
        if finish and not row.text.stopped:
            text += row.text.finish()
        return Piece(text, row.answer_tokens, finish, None if finish == "stop" else logprob)

    def _remove(self, rows: list[_Row]) -> None:
        """Free the rows' slots: the last answering row moves into the hole, and the last row into its place."""
        for row in rows:
            hole = self._rows.index(row)
            if hole < self._answering:
                self._answering -= 1
                self._move(self._answering, hole)
                hole = self._answering
            self._move(len(self._rows) - 1, hole)
            self._rows.pop()

    def _move(self, source: int, target: int) -> None:
        if source != target:
            row = self._rows[source]
            if row.length:
                self._cache.move(source, target, row.length)
            self._rows[target] = row
