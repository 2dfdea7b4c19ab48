"""Answers requests in one running batch that they join and leave at every step.

One thread owns model and cache. In each step it takes waiting requests into free slots; then one forward pass
moves every running request one token further and reads some of the waiting prompts, or a piece of a long one,
whichever adapter each one uses.

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

from aitk_app.engine.cache import Segment
from aitk_app.engine.generation import EngineError, Generation, Piece, QueueFullError
from aitk_app.engine.memory import free_bytes
from aitk_app.engine.sampling import Chooser, Sampling, next_tokens
from aitk_app.engine.text import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from aitk_app.engine.generation import FinishReason
    from aitk_app.engine.lora import LoadedAdapter
    from aitk_app.engine.model import Models
    from aitk_app.engine.sampling import TokenLogprob

logger = logging.getLogger(__name__)

_WORTH_SHARING = 16  # tokens: fewer are read as quickly as they are copied


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
        self.logprobs: list[TokenLogprob] = []  # of tokens whose text may still turn out to be a stop text

    def shares(self, other: _Row) -> int:
        """How many tokens both prompts begin with, short of this one's last; 0 for rows of different adapters."""
        if self.adapter is not other.adapter:
            return 0
        mine, theirs = self.generation.prompt, other.generation.prompt
        low, high = 0, min(len(mine) - 1, len(theirs))
        while low < high:  # comparing slices is quick, comparing tokens is not
            middle = (low + high + 1) // 2
            if mine[low:middle] == theirs[low:middle]:
                low = middle
            else:
                high = middle - 1
        return low

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
    cache_bytes: int
    free_bytes: int
    shared_tokens: int  # of prompts, since the start: copied from another request's, not read


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
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._prompt_tokens = prompt_tokens  # that go through the model in one pass, filling included
        self._watcher = watcher or Watcher()
        self._cache = models.new_cache()
        self._rows: list[_Row] = []
        self._answering = 0  # how many of the rows, from the front, have read their prompt
        self._waiting: deque[Generation] = deque()
        self._between: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._shared_tokens = 0
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
        return Load(
            running=len(rows),
            waiting=len(self._waiting),
            batch_limit=self._max_batch,
            cached_tokens=sum(row.length for row in rows),
            cache_bytes=self._cache.nbytes,
            free_bytes=free_bytes(self._models.device),
            shared_tokens=self._shared_tokens,
        )

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
                    self._let_go()
                    self._admit()
                    self._step()
                except Exception as error:  # the thread's edge: nobody may wait for an answer that never comes
                    logger.exception("The engine stopped with %s requests", len(self._rows))
                    if not self._restart(error):
                        return

    def _restart(self, error: Exception) -> bool:
        """Drop the batch and try a token with a new cache; whether that went well."""
        self._watcher.stopped(f"{type(error).__name__}: {error}")
        for row in self._rows:
            self._fail(row.generation, f"The engine stopped and is being started again: {error}", 503)
        self._rows, self._answering = [], 0
        try:
            self._cache = self._models.new_cache()
            self._models.warm()
        except Exception:  # the same edge
            logger.exception("The engine could not be started again")
            self._watcher.failed(f"The engine stopped and could not be started again: {error}")
            with self._changed:
                self._closing = True
                self._drop_all(f"The engine stopped: {error}")
            return False
        self._watcher.restarted()
        return True

    def _drop_all(self, why: str) -> None:
        for generation in (*(row.generation for row in self._rows), *self._waiting):
            self._fail(generation, why, 503)
        self._rows, self._answering = [], 0
        self._waiting.clear()
        for _, done in self._between:
            done.cancel()
        self._between.clear()

    def _let_go(self) -> None:
        """Free the places of those who left."""
        left = [row for row in self._rows if row.generation.cancelled]
        self._remove(left)
        for row in left:
            self._watcher.ended(row.generation, "cancelled")

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
                self._fail(generation, f"The adapter {generation.adapter} was unloaded.", 404)
                continue
            self._rows.append(_Row(generation, adapter, self._models))

    def _step(self) -> None:
        """One pass: a token for every row that is answering, and as much of the prompts as fits beside them."""
        answering = self._rows[: self._answering]
        reading = self._next_prompts()
        segments = [
            *(Segment(slot, row.length, [row.last], row.adapter) for slot, row in enumerate(answering)),
            *(segment for _, segment in reading),
        ]
        if not segments:
            return
        try:
            logits = self._models.forward(self._cache, segments)
        except torch.OutOfMemoryError as error:
            youngest = reading[-1][0] if reading else max(answering, key=lambda row: row.generation.begun)
            self._shrink(youngest, error)
            return
        rows = [*answering, *(row for row, _ in reading)]
        for row, segment in zip(rows, segments, strict=True):
            row.length = segment.start + len(segment.tokens)
        if rows[-1].unread > 0:  # a piece of a long prompt; only the last can be one
            rows.pop()
        self._answering = len(rows)
        if rows:
            self._advance(rows, logits[: len(rows)])

    def _next_prompts(self) -> list[tuple[_Row, Segment]]:
        """Rows that have not read their prompt, each with what it reads now; they come to the front.

        A beginning that another row has read already or reads in this pass, such as the system prompt, is copied
        from there.
        """
        unread = self._rows[self._answering :]
        begun = next((place for place, row in enumerate(unread) if row.length), 0)  # the only one, if any
        if begun:
            self._cache.copy(self._answering + begun, self._answering, unread[begun].length)
            unread.insert(0, unread.pop(begun))
            self._rows[self._answering :] = unread
        left = self._prompt_tokens
        reading: list[tuple[_Row, Segment]] = []
        for row in unread:
            if left <= 0:
                break
            source, start = self._most_shared(row, reading)
            piece = row.generation.prompt[start : start + left]
            left -= len(piece)
            self._shared_tokens += start - row.length
            reading.append((row, Segment(self._answering + len(reading), start, piece, row.adapter, source)))
        return reading

    def _most_shared(self, row: _Row, reading: list[tuple[_Row, Segment]]) -> tuple[int | None, int]:
        """The slot to copy the longest beginning of the row's prompt from, if any, and how many tokens it then has."""
        if row.length:  # it is being read already
            return None, row.length
        held = [
            *((slot, other, other.length) for slot, other in enumerate(self._rows[: self._answering])),
            *((segment.slot, other, segment.start + len(segment.tokens)) for other, segment in reading),
        ]
        shared, source = max(((min(row.shares(other), length), slot) for slot, other, length in held), default=(0, 0))
        return (source, shared) if shared >= _WORTH_SHARING else (None, 0)

    def _shrink(self, row: _Row, error: torch.OutOfMemoryError) -> None:
        """Out of memory: end one request, and take no more than remain at the same time from now on."""
        self._max_batch = max(1, len(self._rows) - 1)
        logger.warning("Out of memory; at most %s requests at a time from now on: %s", self._max_batch, error)
        self._remove([row])
        self._fail(
            row.generation, "There is not enough memory for this request now. Try again, or make it shorter.", 503
        )
        if not self._rows:
            self._cache = self._models.new_cache()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _fail(self, generation: Generation, why: str, status: int) -> None:
        self._watcher.ended(generation, "error")
        generation.deliver(EngineError(why, status))

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
            if piece.finish_reason:
                self._watcher.ended(row.generation, piece.finish_reason)
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
        if logprob is not None and finish != "stop":
            row.logprobs.append(logprob)
        logprobs: tuple[TokenLogprob, ...] = ()
        if row.logprobs and not row.text.holding and not row.text.stopped:
            logprobs, row.logprobs = tuple(row.logprobs), []
        return Piece(text, row.answer_tokens, finish, logprobs)

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
                self._cache.copy(source, target, row.length)
            self._rows[target] = row
