"""One request's answer, handed from the engine's thread to whoever asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aitk_app.engine.sampling import Constraint, Sampling, TokenLogprob

FinishReason = Literal["stop", "length"]


class QueueFullError(Exception):
    """As many requests wait as may; try again later."""


class EngineError(Exception):
    """The engine could not go on with this request; `status` is HTTP's."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Piece:
    """What one step adds to an answer; the last piece has a finish reason."""

    text: str
    answer_tokens: int  # so far
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] = ()  # of the tokens whose text is certain


class Generation:
    """One request's answer: iterate it for its pieces; leaving early needs `cancel`."""

    def __init__(
        self,
        prompt: list[int],
        sampling: Sampling,
        adapter: str | None,
        *,
        continues: bool = False,
        constraint: Constraint | None = None,
    ) -> None:
        self.prompt = prompt
        self.constraint = constraint
        self.continues = prompt if continues else ()  # the text that the answer continues, and does not begin anew
        self.sampling = sampling
        self.adapter = adapter
        self.cancelled = False
        self.begun = time.monotonic()
        self.first_token: float | None = None  # when they came, as time.monotonic() says
        self.last_token: float | None = None
        self.tokens = 0
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | EngineError] = asyncio.Queue()

    def cancel(self) -> None:
        """Free its slot at the next step; harmless when it has ended."""
        self.cancelled = True

    def token_at(self, now: float) -> None:
        """Note that a token came."""
        self.first_token = self.first_token or now
        self.last_token = now
        self.tokens += 1

    def deliver(self, piece: Piece | EngineError) -> None:
        """Hand a piece over from the engine's thread."""
        self.deliver_all([(self, piece)])

    @staticmethod
    def deliver_all(pieces: Sequence[tuple[Generation, Piece | EngineError]]) -> None:
        """Hand over what a step brought to all of its requests, and wake each event loop once.

        Woken for each piece it would begin to send the first one, and the engine's thread wait for it.
        """
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Generation, Piece | EngineError]]] = {}
        for generation, piece in pieces:
            by_loop.setdefault(generation._loop, []).append((generation, piece))  # noqa: SLF001 - its own kind
        for loop, found in by_loop.items():
            try:
                loop.call_soon_threadsafe(_put, found)
            except RuntimeError:  # the loop has closed: nobody listens
                for generation, _ in found:
                    generation.cancelled = True

    def put(self, piece: Piece | EngineError) -> None:
        """A piece for whoever iterates, in the event loop."""
        self._pieces.put_nowait(piece)

    async def next_piece(self, limit_seconds: float | None = None) -> Piece | None:
        """The next piece; None when none came in time. Raises `EngineError`."""
        try:
            async with asyncio.timeout(limit_seconds):
                piece = await self._pieces.get()
        except TimeoutError:
            return None
        if isinstance(piece, EngineError):
            raise piece
        return piece

    async def pieces(self) -> AsyncIterator[Piece]:
        """The pieces as they come, one per token. Raises `EngineError`."""
        try:
            while (piece := await self.next_piece()) is not None:
                yield piece
                if piece.finish_reason is not None:
                    return
        finally:
            self.cancel()


def _put(pieces: Sequence[tuple[Generation, Piece | EngineError]]) -> None:
    for generation, piece in pieces:
        generation.put(piece)
