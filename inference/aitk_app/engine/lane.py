"""One path with the requests that run on it: plan a pass, make it, give every row its token."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from aitk_app.engine.batch import Batch
from aitk_app.engine.cache import Segment
from aitk_app.engine.generation import EngineError, Generation
from aitk_app.engine.kept import Kept
from aitk_app.engine.sampling import next_tokens
from aitk_app.incidents import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitk_app.engine.batch import Move
    from aitk_app.engine.generation import Piece
    from aitk_app.engine.model import Path
    from aitk_app.engine.row import RequestRow
    from aitk_app.engine.sampling import TokenLogprob

logger = logging.getLogger(__name__)

_NO_MEMORY = "There is not enough memory for this request now. Try again, or make it shorter."


@dataclass(frozen=True)
class LaneLimits:
    """How much a lane takes at a time."""

    rows: int
    prompt_tokens: int  # that go through the model in one pass, filling included
    whole_prompts: bool = False  # a prompt is never read in pieces
    fails_alone: bool = False  # an error in a pass concerns its only row, not the engine
    kept: int = 0  # ended requests whose keys and values stay, for a conversation's next turn


class RunningLane:
    """The requests on one path. Everything is called from the engine's thread."""

    def __init__(self, path: Path, limits: LaneLimits, ended: Callable[[Generation, str], None]) -> None:
        self.path = path
        self.limits = limits
        self.max_rows = limits.rows
        self.batch: Batch[RequestRow] = Batch()
        self.cache = path.new_cache()
        self.kept = Kept(limits.rows, limits.kept)
        self.shared_tokens = 0
        self._ended = ended

    @property
    def has_room(self) -> bool:
        """Whether one more request may join."""
        return len(self.batch.rows) < self.max_rows

    def restart(self) -> None:
        """Begin anew with nothing."""
        self.batch.clear()
        self.kept.clear()
        self.cache.close()
        self.cache = self.path.new_cache()

    def let_go(self) -> None:
        """Free the places of those who left."""
        left = [row for row in self.batch.rows if row.generation.cancelled]
        self._keep(left)
        self.remove(left)
        for row in left:
            self._ended(row.generation, "cancelled")

    def step(self) -> None:
        """One pass: a token for every row that is answering, and as much of the prompts as fits beside them."""
        plan = self.batch.plan(self.limits.prompt_tokens, whole_prompts=self.limits.whole_prompts, kept=self.kept.rows)
        self._make(plan.moves)
        segments = [
            *(Segment(slot, row.length, [row.last], row.adapter) for slot, row in enumerate(plan.answering)),
            *(
                Segment(len(plan.answering) + place, read.start, read.tokens, row.adapter, read.copied_from)
                for place, (row, read) in enumerate(plan.reading)
            ),
        ]
        if not segments:
            return
        try:
            if plan.reading:
                slots = max(len(segments), self.kept.slots)
                self.cache.reserve(slots, max(row.longest for row, _ in plan.reading))
            logits = self.path.forward(self.cache, segments)
        except torch.OutOfMemoryError as error:
            reading = [row for row, _ in plan.reading]
            self._shrink(reading[-1] if reading else max(plan.answering, key=lambda row: row.generation.begun), error)
            return
        except Exception as error:
            if not self.limits.fails_alone:
                raise
            what = "The model could not go on with this request"
            [row] = plan.rows
            self.fail(row, f"{what}. The log says why under error {recorded(error, what)}.", 500)
            return
        self.shared_tokens += plan.shared_tokens
        for _, read in plan.reading:
            self.kept.used(read.copied_from)
        rows = self.batch.done(plan)
        if rows:
            self._advance(rows, logits[: len(rows)])

    def _advance(self, rows: list[RequestRow], logits: torch.Tensor) -> None:
        """Choose the rows' next tokens, hand their text over, and let the finished ones go."""
        chosen = next_tokens(logits, [row.chooser for row in rows])
        now = time.monotonic()
        taken = [(row, _taken(row, each, now)) for row, each in zip(rows, chosen, strict=True)]
        self._keep([row for row, piece in taken if not isinstance(piece, EngineError) and piece.finish_reason])
        self.remove([row for row, piece in taken if isinstance(piece, EngineError) or piece.finish_reason])
        # After the removal: whoever hears of an answer's end finds its place free.
        for row, piece in taken:
            if isinstance(piece, EngineError):
                self._ended(row.generation, "error")
            elif piece.finish_reason:
                self._ended(row.generation, piece.finish_reason)
        Generation.deliver_all([(row.generation, piece) for row, piece in taken])

    def _shrink(self, row: RequestRow, error: torch.OutOfMemoryError) -> None:
        """Out of memory: end one request, and take no more than remain at the same time from now on."""
        self.max_rows = max(1, len(self.batch.rows) - 1)
        logger.warning("Out of memory; at most %s requests at a time from now on: %s", self.max_rows, error)
        self.fail(row, _NO_MEMORY, 503)
        if not self.batch.rows:
            self.restart()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def fail(self, row: RequestRow, why: str, status: int) -> None:
        """End one request with an error."""
        self.remove([row])
        self._ended(row.generation, "error")
        row.generation.deliver(EngineError(why, status))

    def _keep(self, rows: Sequence[RequestRow]) -> None:
        """Keep what the rows hold, which are about to leave."""
        if not self.limits.kept:
            return
        for row in rows:
            if self.cache.has_memory_for(row.length):
                self._make(self.kept.keep(self.batch.rows.index(row), row.held, row.adapter))

    def remove(self, rows: Sequence[RequestRow]) -> None:
        """Free the rows' slots."""
        self._make(self.batch.remove(rows))

    def _make(self, moves: Sequence[Move]) -> None:
        for move in moves:
            self.cache.copy(*move)


def _taken(row: RequestRow, chosen: tuple[int, TokenLogprob | None] | Exception, now: float) -> Piece | EngineError:
    """What the token adds to the row's answer; an error of the row's own ends that row, and no other."""
    error: Exception
    if isinstance(chosen, Exception):
        error = chosen
    else:
        try:
            row.generation.token_at(now)
            return row.take(*chosen)
        except Exception as raised:  # noqa: BLE001 - logged below
            error = raised
    what = "This request could not be continued"
    number = recorded(error, what)
    if isinstance(error, FloatingPointError):
        return EngineError(f"{what}: {error}. The log has it as error {number}.")
    return EngineError(f"{what}. The log says why under error {number}.")
