"""One choice of a response: what the engine says, read as text, reasoning and calls of tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aitk_app.engine.generation import Generation
    from aitk_app.engine.sampling import TokenLogprob
    from aitk_app.web.tool_calls.answer_reader import AnswerReader, Call

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class Delta:
    """What one step adds; the last one has a finish reason."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None

    @property
    def says(self) -> bool:
        """Whether there is anything to send but the end."""
        return bool(self.text or self.reasoning or self.calls or self.logprobs)


class Answer:
    """An answer under way; without a reader all of its text is said. `before` is said before it."""

    def __init__(self, generation: Generation, reader: AnswerReader | None = None, before: Delta | None = None) -> None:
        self.generation = generation
        self._reader = reader
        self._before = before

    async def next(self, limit_seconds: float | None = None) -> Delta | None:
        """What comes next; None when nothing came in time. Raises `EngineError`."""
        if self._before is not None:
            before, self._before = self._before, None
            return before
        piece = await self.generation.next_piece(limit_seconds)
        if piece is None:
            return None
        if self._reader is None:
            return Delta(piece.text, logprobs=piece.logprobs, finish=piece.finish_reason)
        read = self._reader.push(piece.text)
        text, reasoning, calls = read.text, read.reasoning, tuple(read.calls)
        finish: Finish | None = piece.finish_reason
        if self._reader.done and finish is None:
            self.generation.cancel()
            finish = "stop"
        if finish is not None:
            rest = self._reader.finish()
            text, reasoning, calls = text + rest.text, reasoning + rest.reasoning, (*calls, *rest.calls)
            if self._reader.calls and finish == "stop":
                finish = "tool_calls"
        return Delta(text, reasoning, calls, piece.logprobs, finish)

    async def deltas(self, silence: float | None = None) -> AsyncIterator[Delta | None]:
        """All of it; None for each time in which nothing came. Leaving ends the request. Raises `EngineError`."""
        try:
            while True:
                delta = await self.next(silence)
                yield delta
                if delta is not None and delta.finish is not None:
                    return
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Free its place; harmless when it has ended."""
        self.generation.cancel()
