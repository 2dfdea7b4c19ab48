"""The next token of each row of a batch, from its logits and its own parameters and random numbers."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_PROBABLE_FIRST = 256  # a first look for top_p and min_p; only a row that needs more is sorted whole


@dataclass(frozen=True)
class Sampling:
    """What a request asks for; temperature 0 takes the most probable token."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0  # of the most probable token's probability
    repetition_penalty: float = 1.0  # of every token of prompt and answer
    frequency_penalty: float = 0.0  # per occurrence in the answer
    presence_penalty: float = 0.0  # once, for a token of the answer
    logit_bias: tuple[tuple[int, float], ...] = ()  # added to the logits of these tokens
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    logprobs: int | None = None  # None: none; otherwise with this many alternatives
    min_tokens: int = 0  # before these the answer does not end by a token of its own
    skip_special_tokens: bool = True  # whether the answer's text leaves special tokens out
    ignore_end: bool = False  # go on after the model's end of text: for measurements

    @property
    def penalised(self) -> bool:
        """Whether what was said before matters."""
        return self.repetition_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0


@dataclass(frozen=True)
class TokenLogprob:
    """A token with its logarithmic probability, and the most probable ones in its place."""

    token: int
    logprob: float | None  # None for the first token of a text, before which there is nothing
    top: tuple[tuple[int, float], ...]


class Constraint(Protocol):
    """What an answer must be: which tokens may come next, as one comes after the other."""

    @property
    def complete(self) -> bool:
        """Whether nothing may follow any more."""

    def restrict(self, logits: torch.Tensor) -> None:
        """Give what may not come next minus infinity, in place; `[vocabulary]`."""

    def take(self, token: int) -> None:
        """The token came. Raises ValueError for one that may not."""


@dataclass
class Chooser:
    """One request's memory for choosing: its random numbers and what was said."""

    sampling: Sampling
    prompt: Sequence[int]
    ends: frozenset[int] = frozenset()  # the tokens that would end the answer
    constraint: Constraint | None = None
    said: int = 0  # tokens of the answer
    source: random.Random = field(init=False)
    answer: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # A source of its own, so that its answer does not depend on its neighbours.
        self.source = random.Random(self.sampling.seed)  # noqa: S311 - a choice of words, not a secret

    @property
    def complete(self) -> bool:
        """Whether the answer is all that it may be."""
        return self.constraint is not None and self.constraint.complete

    def adjust(self, logits: torch.Tensor) -> None:
        """Change `logits` `[vocabulary]` in place as the request wants them."""
        sampling = self.sampling
        if sampling.penalised:
            _penalise(logits, self)
        if sampling.logit_bias:
            tokens = torch.tensor([token for token, _ in sampling.logit_bias], device=logits.device)
            added = torch.tensor([bias for _, bias in sampling.logit_bias], device=logits.device, dtype=logits.dtype)
            logits[tokens] += added
        if self.said < sampling.min_tokens and self.ends:
            logits[torch.tensor(sorted(self.ends), device=logits.device)] = -torch.inf
        if self.constraint is not None:
            self.constraint.restrict(logits)


Chosen = tuple[int, "TokenLogprob | None"]


def next_tokens(logits: torch.Tensor, choosers: Sequence[Chooser]) -> list[Chosen | Exception]:
    """One token id per row of `logits`, `[rows, vocabulary]`, with its probability where that was asked for.

    What cannot be chosen for one row is an exception in its place; the other rows are as they would be without it.
    """
    numbers: list[float] = []
    failed: dict[int, Exception] = {}
    logprobs: dict[int, torch.Tensor] = {}
    for row, chooser in enumerate(choosers):
        numbers.append(0.0)
        try:
            if chooser.sampling.logprobs is not None:
                logprobs[row] = logits[row].float().log_softmax(dim=-1)
            chooser.adjust(logits[row])
            if chooser.sampling.temperature > 0:
                numbers[row] = chooser.source.random()
        except Exception as error:  # noqa: BLE001 - it ends its own row
            failed[row] = error
    best, places = logits.max(dim=-1)
    tokens: list[int] = places.tolist()
    failed = {row: _no_number() for row, value in enumerate(best.tolist()) if not math.isfinite(value)} | failed
    drawn = [row for row, each in enumerate(choosers) if each.sampling.temperature > 0 and row not in failed]
    for row, found in zip(drawn, _each_drawn(logits, drawn, numbers, choosers), strict=True):
        if isinstance(found, Exception):
            failed[row] = found
        else:
            tokens[row] = found
    results: list[Chosen | Exception] = []
    for row, (token, chooser) in enumerate(zip(tokens, choosers, strict=True)):
        try:
            results.append(failed.get(row) or _remembered(chooser, token, logprobs.get(row)))
        except Exception as error:  # noqa: BLE001 - the same
            results.append(error)
    return results


def _no_number() -> Exception:
    return FloatingPointError("the model computed no usable number (NaN or infinity)")


def _remembered(chooser: Chooser, token: int, logprobs: torch.Tensor | None) -> Chosen:
    """The token with its probability; the row's later tokens know of it."""
    chooser.said += 1
    if chooser.sampling.penalised:
        chooser.answer[token] += 1
    if chooser.constraint is not None and token not in chooser.ends:
        chooser.constraint.take(token)
    return token, None if logprobs is None else _logprob(logprobs, token, chooser.sampling.logprobs or 0)


def _each_drawn(
    logits: torch.Tensor, rows: list[int], numbers: Sequence[float], choosers: Sequence[Chooser]
) -> Sequence[int | Exception]:
    """A token for each of `rows`: all at once, or one by one where one of them raises."""
    if not rows:
        return []
    try:
        return _drawn(logits, rows, numbers, choosers)
    except Exception:  # noqa: BLE001 - whose it is, is found out below
        found: list[int | Exception] = []
        for row in rows:
            try:
                found += _drawn(logits, [row], numbers, choosers)
            except Exception as error:  # noqa: BLE001 - it ends its own row
                found.append(error)
        return found


def _penalise(logits: torch.Tensor, chooser: Chooser) -> None:
    """Change `logits` `[vocabulary]` in place. Source: CTRL (repetition) and OpenAI's API reference (the others)."""
    sampling = chooser.sampling
    if sampling.repetition_penalty != 1:
        said = torch.tensor(sorted({*chooser.prompt, *chooser.answer}), device=logits.device)
        values = logits[said]
        penalty = sampling.repetition_penalty
        logits[said] = torch.where(values > 0, values / penalty, values * penalty)
    if chooser.answer and (sampling.frequency_penalty or sampling.presence_penalty):
        said = torch.tensor(list(chooser.answer), device=logits.device)
        times = torch.tensor(list(chooser.answer.values()), device=logits.device, dtype=logits.dtype)
        logits[said] -= sampling.frequency_penalty * times + sampling.presence_penalty


def _drawn(
    logits: torch.Tensor, rows: list[int], random_numbers: Sequence[float], choosers: Sequence[Chooser]
) -> list[int]:
    """A random token for each of `rows`: the one at a random place of the cumulative distribution."""
    asked = [choosers[row].sampling for row in rows]
    device = logits.device
    temperatures = torch.tensor([each.temperature for each in asked], device=device)[:, None]
    scaled = logits[rows].float() / temperatures.clamp(min=1e-5)
    probabilities = scaled.softmax(dim=-1)
    numbers = torch.tensor([random_numbers[row] for row in rows], device=device, dtype=torch.float64)
    tokens: dict[int, int] = {}
    whole = [place for place, each in enumerate(asked) if each.top_p >= 1 and not each.top_k and each.min_p <= 0]
    if whole:
        # Nothing is cut off: the vocabulary's own order does, and nothing need be sorted.
        cumulated = probabilities[whole].double().cumsum(dim=-1)
        places = torch.searchsorted(cumulated, (numbers[whole] * cumulated[:, -1])[:, None], right=True)[:, 0]
        tokens.update(zip(whole, places.clamp(max=logits.shape[1] - 1).tolist(), strict=True))
    cut = [place for place in range(len(rows)) if place not in tokens]
    if cut:
        best, order = probabilities[cut].topk(min(_MOST_PROBABLE_FIRST, logits.shape[1]), dim=-1)
        for index, place in enumerate(cut):
            found = _from_best(best[index], order[index], asked[place], float(numbers[place]), all_there=False)
            if found is None:
                sorted_whole = probabilities[place].sort(descending=True, stable=True)
                found = _from_best(*sorted_whole, asked[place], float(numbers[place]), all_there=True)
            assert found is not None
            tokens[place] = found
    return [tokens[place] for place in range(len(rows))]


def _from_best(
    best: torch.Tensor, order: torch.Tensor, asked: Sampling, number: float, *, all_there: bool
) -> int | None:
    """The token at `number` (0 to 1) of what top_k, top_p and min_p leave; None when `best` may be too short."""
    kept, enough = len(best), all_there
    if asked.top_k and asked.top_k <= kept:
        kept, enough = asked.top_k, True
    if asked.min_p > 0:
        above = int((best[:kept] >= best[0] * asked.min_p).sum().item())
        kept, enough = above, enough or above < len(best)
    cumulated = best[:kept].double().cumsum(dim=-1)
    if asked.top_p < 1:
        # The smallest set whose probability reaches top_p; always at least one token. With top_k or min_p
        # it is top_p of what those leave.
        total = cumulated[-1].item() if asked.top_k or asked.min_p > 0 else 1.0
        reached = int(torch.searchsorted(cumulated, asked.top_p * total).item()) + 1
        enough = enough or reached <= kept
        kept = min(reached, kept)
    if not enough:
        return None
    place = int(torch.searchsorted(cumulated[:kept], number * cumulated[kept - 1].item(), right=True).item())
    return int(order[min(place, kept - 1)].item())


def _logprob(logprobs: torch.Tensor, token: int, alternatives: int) -> TokenLogprob:
    values, order = logprobs.topk(alternatives) if alternatives else (logprobs[:0], logprobs[:0])
    top = tuple(zip((int(each) for each in order.tolist()), values.tolist(), strict=True))
    return TokenLogprob(token, float(logprobs[token].item()), top)
