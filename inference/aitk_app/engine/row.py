"""A running request: what the engine's thread keeps of it, and what each of its tokens adds to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitk_app.engine.batch import Row
from aitk_app.engine.generation import Piece
from aitk_app.engine.sampling import Chooser
from aitk_app.engine.text import TextStream

if TYPE_CHECKING:
    from aitk_app.engine.generation import FinishReason, Generation
    from aitk_app.engine.lora import LoadedAdapter
    from aitk_app.engine.model import Models
    from aitk_app.engine.sampling import TokenLogprob


class RequestRow(Row):
    """A row of a batch with the request that it answers."""

    def __init__(self, generation: Generation, adapter: LoadedAdapter | None, models: Models) -> None:
        super().__init__(generation.prompt, adapter)
        sampling = generation.sampling
        self.generation = generation
        voice = adapter.voice if adapter is not None and adapter.voice is not None else models.voice
        self.text = TextStream(
            voice.tokenizer, sampling.stop, generation.continues, skip_special=sampling.skip_special_tokens
        )
        self.ends = (frozenset() if sampling.ignore_end else voice.end_tokens) | sampling.stop_tokens
        self.chooser = Chooser(sampling, generation.prompt, self.ends, generation.constraint)
        self._context_length = models.context_length
        self.longest = min(len(generation.prompt) + sampling.max_tokens, models.context_length)  # tokens in the cache
        self._answer_tokens = 0
        self._answer: list[int] = []
        self._logprobs: list[TokenLogprob] = []  # of tokens whose text may still turn out to be a stop text

    @property
    def held(self) -> list[int]:
        """The tokens that are in the cache."""
        return [*self.prompt, *self._answer][: self.length]

    def take(self, token: int, logprob: TokenLogprob | None) -> Piece:
        """Give the row its token; what that adds to its answer."""
        self.last = token
        self._answer_tokens += 1
        self._answer.append(token)
        text = ""
        finish: FinishReason | None = None
        ended = token in self.ends
        if ended:
            finish = "stop"
        else:
            text = self.text.push(token)
            length = self.length + 1  # once the token is in the cache
            if self.text.stopped or self.chooser.complete:
                finish = "stop"
            elif self._answer_tokens >= self.generation.sampling.max_tokens or length >= self._context_length:
                finish = "length"
        if finish and not self.text.stopped:
            text += self.text.finish()
        if logprob is not None and not ended and not self.text.stopped:
            self._logprobs.append(logprob)
        logprobs: tuple[TokenLogprob, ...] = ()
        if self._logprobs and not self.text.holding and not self.text.stopped:
            logprobs, self._logprobs = tuple(self._logprobs), []
        return Piece(text, self._answer_tokens, finish, logprobs)
