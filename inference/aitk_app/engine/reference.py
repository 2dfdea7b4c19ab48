"""The reference path: one request at a time through the model's own `generate`, with its own cache and attention.

transformers and peft are the truth about a model. Here nothing of ours stands between the tokens and them:
`generate` runs in a thread of its own, and stops after each pass to hand the logits over and to be told the next token.
So every model that transformers can generate with is served, however it keeps its past.
"""

from __future__ import annotations

import copy
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.cache import Segment

_SMALL_BUFFER_NUMBERS = 1 << 20
_ENDLESS = 1 << 30


def twin(model: Any) -> Any:  # noqa: ANN401 - a module of transformers
    """The same model with modules of its own: what is put in place of a layer in one is not seen in the other.

    Both share the parameters, so that a twin takes hardly any memory.
    """
    memo: dict[int, Any] = {id(each): each for each in model.parameters()}
    memo |= {id(each): each for each in model.buffers() if each.numel() > _SMALL_BUFFER_NUMBERS}
    return copy.deepcopy(model, memo)


class _LeftError(Exception):
    """The request has left; raised inside `generate` to end it."""


@dataclass
class _Sequence:
    """One request in its thread: logits come out, tokens go in."""

    logits: queue.SimpleQueue[torch.Tensor | BaseException] = field(default_factory=queue.SimpleQueue)
    tokens: queue.SimpleQueue[int | None] = field(default_factory=queue.SimpleQueue)


class _HandOver(LogitsProcessor):
    """Gives each pass's logits out, and makes `generate` take the token that comes back."""

    def __init__(self, sequence: _Sequence) -> None:
        self._sequence = sequence

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        del input_ids
        self._sequence.logits.put(scores)
        token = self._sequence.tokens.get()
        if token is None:
            raise _LeftError
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, token] = 0
        return chosen


class ReferenceCache:
    """What the reference path keeps of the one request that it answers."""

    nbytes = 0  # transformers' own cache does not tell

    def __init__(self) -> None:
        self._sequence: _Sequence | None = None
        self._thread: threading.Thread | None = None

    def begin(
        self,
        model: Any,  # noqa: ANN401 - of transformers
        prompt: Sequence[int],
        device: torch.device,
        *,
        use_cache: bool,
    ) -> torch.Tensor:
        """The logits after `prompt`, `[vocabulary]`."""
        self.close()
        sequence = self._sequence = _Sequence()
        self._thread = threading.Thread(
            target=_generate,
            args=(sequence, model, list(prompt), device),
            kwargs={"use_cache": use_cache},
            name="reference",
            daemon=True,
        )
        self._thread.start()
        return self._taken(sequence)

    def go_on(self, token: int) -> torch.Tensor:
        """The logits after one more token, `[vocabulary]`."""
        assert self._sequence is not None
        self._sequence.tokens.put(token)
        return self._taken(self._sequence)

    def _taken(self, sequence: _Sequence) -> torch.Tensor:
        found = sequence.logits.get()
        if isinstance(found, BaseException):
            self._sequence = None
            raise found
        return found[0]

    def reserve(self, slots: int, length: int) -> None:
        """Nothing to reserve: transformers' own cache grows by itself."""

    def has_memory_for(self, tokens: int) -> bool:
        """Nothing is kept of a request that ended."""
        return not tokens

    def copy(self, source: int, target: int, length: int) -> None:
        """Nothing to copy: there is one row, in slot 0."""
        raise AssertionError((source, target, length))

    def close(self) -> None:
        """End what runs."""
        if self._sequence is not None:
            self._sequence.tokens.put(None)
            self._sequence = None
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _generate(
    sequence: _Sequence,
    model: Any,  # noqa: ANN401 - of transformers
    prompt: list[int],
    device: torch.device,
    *,
    use_cache: bool,
) -> None:
    try:
        tokens = torch.tensor([prompt], device=device)
        with torch.inference_mode():
            model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=GenerationConfig(  # type: ignore[no-untyped-call] # untyped there
                    max_length=_ENDLESS, do_sample=False, pad_token_id=0, use_cache=use_cache
                ),
                logits_processor=LogitsProcessorList([_HandOver(sequence)]),
            )
    except _LeftError:
        return
    except BaseException as error:  # noqa: BLE001 - whoever waits for the logits raises it
        sequence.logits.put(error)
    else:
        sequence.logits.put(RuntimeError("The model ended its answer by itself."))


class ReferencePath:
    """The path itself, with the same shape as the batched one; its cache holds one row."""

    def __init__(self, model: Any, device: torch.device) -> None:  # noqa: ANN401 - of transformers
        self.model = model  # the base; an adapter brings its own
        self.device = device
        # What the self-check has seen of the base model's own answers, and how far they are from themselves.
        self.proof: tuple[list[torch.Tensor], float] | None = None
        self.use_cache = True  # a few models have a cache that `generate` cannot make: they read all again for a token
        # What the model's authors recommend for sampling is a request's business, not generate's.
        settings = GenerationConfig()  # type: ignore[no-untyped-call] # untyped there
        settings.cache_implementation = getattr(model.generation_config, "cache_implementation", None)
        model.generation_config = settings

    def new_cache(self) -> ReferenceCache:
        """An empty cache."""
        return ReferenceCache()

    def forward(self, cache: ReferenceCache, segments: Sequence[Segment]) -> torch.Tensor:
        """The logits after the only segment's last token, `[1, vocabulary]`."""
        [segment] = segments
        if segment.start == 0:
            model = segment.adapter.reference if segment.adapter is not None else self.model
            return cache.begin(model, segment.tokens, self.device, use_cache=self.use_cache)[None]
        for token in segment.tokens:
            logits = cache.go_on(token)
        return logits[None]
