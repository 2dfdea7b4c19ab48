"""The next token of each row of a batch, from its logits and its own parameters and random numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Sampling:
    """What a request asks for; temperature 0 takes the most probable token."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


def random_numbers(seed: int | None) -> random.Random:
    """A request's own source of random numbers, so that its answer does not depend on its neighbours."""
    return random.Random(seed)  # noqa: S311 - a choice of words, not a secret


def next_tokens(logits: torch.Tensor, asked: Sequence[Sampling], sources: Sequence[random.Random]) -> list[int]:
    """One token id per row of `logits`, `[rows, vocabulary]`."""
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    for row, (sampling, source) in enumerate(zip(asked, sources, strict=True)):
        if sampling.temperature > 0:
            tokens[row] = _drawn(logits[row].float() / sampling.temperature, sampling.top_p, source.random())
    return tokens


def _drawn(logits: torch.Tensor, top_p: float, number: float) -> int:
    """The token at `number` (0 to 1) of the cumulative distribution, most probable first."""
    probabilities, order = logits.softmax(dim=-1).sort(descending=True, stable=True)
    cumulated = probabilities.double().cumsum(dim=-1)
    if top_p < 1:
        # The smallest set whose probability reaches top_p; always at least one token.
        kept = int(torch.searchsorted(cumulated, top_p).item()) + 1
        cumulated, order = cumulated[:kept], order[:kept]
    place = int(torch.searchsorted(cumulated, number * cumulated[-1].item(), right=True).item())
    return int(order[min(place, len(order) - 1)].item())
