"""Answers requests in one running batch that they join and leave at every step.

One thread owns model and cache. It takes waiting requests into free slots (their prompt goes through the
model alone), then moves every running request one token further in one forward pass, whichever adapter each
one uses.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.sampling import Sampling, next_tokens, random_numbers
from engine.text import TextStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import torch

    from engine.models import Models

logger = logging.getLogger(__name__)

FinishReason = Literal["stop", "length"]


class QueueFullError(Exception):
    """As many requests wait as may; try again later."""


class EngineError(Exception):
    """The engine could not go on with this request."""


@dataclass(frozen=True)
class Piece:
    """What one step adds to an answer; the last piece has a finish reason."""

    text: str
    answer_tokens: int  # so far
    finish_reason: FinishReason | None = None


class Generation:
    """One request's answer: iterate it for its pieces; leaving early needs `cancel`."""

    def __init__(self, prompt: list[int], sampling: Sampling, adapter: str | None) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.adapter = adapter
        self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | EngineError] = asyncio.Queue()

    def cancel(self) -> None:
        """Free its slot at the next step; harmless when it has ended."""
        self.cancelled = True

    def deliver(self, piece: Piece | EngineError) -> None:
        """Hand a piece over from the engine's thread."""
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:  # the loop has closed: nobody listens
            self.cancelled = True

    async def pieces(self) -> AsyncIterator[Piece]:
        """The pieces as they come. Raises `EngineError`."""
        try:
            while True:
                piece = await self._pieces.get()
                if isinstance(piece, EngineError):
                    raise piece
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            self.cancel()


class _Row:
    """A running request's state in the engine's thread; its place in the list is its slot in the cache."""

    def __init__(self, generation: Generation, models: Models) -> None:
        self.generation = generation
        self.text = TextStream(models.tokenizer.backend_tokenizer, generation.sampling.stop)
        self.source = random_numbers(generation.sampling.seed)
        self.length = 0  # tokens in the cache
        self.last = 0  # the newest token, not yet in the cache
        self.answer_tokens = 0


class Scheduler:
    """The engine: submit requests, get their pieces."""

    def __init__(self, models: Models, *, max_batch: int, max_queue: int) -> None:
        self._models = models
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._cache = models.new_cache()
        self._rows: list[_Row] = []
        self._waiting: deque[Generation] = deque()
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
            if len(self._waiting) >= self._max_queue + room:
                raise QueueFullError
            self._waiting.append(generation)
            self._changed.notify()
        return generation

    def close(self) -> None:
        """End the thread after its current step."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=10)

    @property
    def running(self) -> int:
        """How many requests are in the batch."""
        return len(self._rows)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._waiting and not self._rows:
                    self._changed.wait()
                if self._closing:
                    return
            try:
                self._remove([row for row in self._rows if row.generation.cancelled])
                self._admit()
                if self._rows:
                    self._step()
            except Exception as error:  # the thread's edge: nobody may wait for an answer that never comes
                logger.exception("The batch of %s was dropped", len(self._rows))
                self._drop_batch(error)

    def _drop_batch(self, error: Exception) -> None:
        for row in self._rows:
            row.generation.deliver(EngineError(f"The engine could not go on: {error}"))
        self._rows, self._cache = [], self._models.new_cache()

    def _drop_cancelled(self) -> None:
        self._waiting = deque(each for each in self._waiting if not each.cancelled)

    def _admit(self) -> None:
        """Put waiting requests through the model, each alone, into the next slots."""
        while len(self._rows) < self._max_batch:
            with self._changed:
                self._drop_cancelled()
                if not self._waiting:
                    return
                generation = self._waiting.popleft()
            row = _Row(generation, self._models)
            try:
                logits = self._models.forward(
                    self._cache, len(self._rows), [generation.prompt], [0], [generation.adapter]
                )
            except (RuntimeError, ValueError) as error:
                logger.exception("A request of %s tokens was dropped", len(generation.prompt))
                generation.deliver(EngineError(str(error)))
                continue
            row.length = len(generation.prompt)
            self._rows.append(row)
            self._advance([row], logits)

    def _step(self) -> None:
        """One token for every row."""
        rows = self._rows
        logits = self._models.forward(
            self._cache,
            0,
            [[row.last] for row in rows],
            [row.length for row in rows],
            [row.generation.adapter for row in rows],
        )
        for row in rows:
            row.length += 1
        self._advance(rows, logits)

    def _advance(self, rows: list[_Row], logits: torch.Tensor) -> None:
        """Choose the rows' next tokens, hand their text over, and let the finished ones go."""
        asked = [row.generation.sampling for row in rows]
        tokens = next_tokens(logits, asked, [row.source for row in rows])
        taken = [(row, self._take(row, token)) for row, token in zip(rows, tokens, strict=True)]
        self._remove([row for row, piece in taken if piece.finish_reason])
        # After the removal: whoever hears of an answer's end finds its place free.
        for row, piece in taken:
            if piece.text or piece.finish_reason:
                row.generation.deliver(piece)

    def _take(self, row: _Row, token: int) -> Piece:
        """Give the row its token; what that adds to its answer."""
        row.last = token
        row.answer_tokens += 1
        text = ""
        finish: FinishReason | None = None
        if token in self._models.end_tokens:
            finish = "stop"
        else:
            text = row.text.push(token)
            length = row.length + 1  # once the token is in the cache
            if row.text.stopped:
                finish = "stop"
            elif row.answer_tokens >= row.generation.sampling.max_tokens or length >= self._models.context_length:
                finish = "length"
        if finish and not row.text.stopped:
            text += row.text.finish()
        return Piece(text, row.answer_tokens, finish)

    def _remove(self, rows: list[_Row]) -> None:
        """Free the rows' slots: the last row moves into each hole."""
        for row in rows:
            slot = self._rows.index(row)
            last = self._rows.pop()
            if last is not row:
                self._cache.move(len(self._rows), slot, last.length)
                self._rows[slot] = last
