"""The next token of each row of a batch, from its logits and its own parameters and random numbers."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_FIRST_REPEATED = 64
_SHORT_BYTES = 2  # numbers' types of so few bytes are computed with in float32
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
        if self.sampling.repetition_penalty != 1:
            self._known = set(self.prompt)
            self._extremes = min(self._known, default=0), max(self._known, default=0)
            self._repeated = torch.tensor(sorted(self._known), dtype=torch.long)

    def repeated(self, device: torch.device, vocabulary: int) -> torch.Tensor:
        """Each token of prompt and answer once, where that matters; it stays on the device.

        Raises IndexError for one that is not of the vocabulary: it would be written into another row, or end them all.
        """
        smallest, largest = self._extremes  # what is said later comes from the vocabulary
        if smallest < 0 or largest >= vocabulary:
            raise IndexError("a token that the model does not know")
        self._repeated = self._repeated.to(device)
        return self._repeated[: len(self._known)]

    def note(self, token: int) -> None:
        """The answer's next token, for what depends on what was said."""
        self.said += 1
        if self.sampling.penalised:
            self.answer[token] += 1
        if self.sampling.repetition_penalty != 1 and token not in self._known:
            held = len(self._known)
            if held == len(self._repeated):
                self._repeated = torch.nn.functional.pad(self._repeated, (0, held + _FIRST_REPEATED))
            self._repeated[held] = token
            self._known.add(token)

    @property
    def complete(self) -> bool:
        """Whether the answer is all that it may be."""
        return self.constraint is not None and self.constraint.complete

    def restrict(self, logits: torch.Tensor) -> None:
        """Give what its form forbids next minus infinity in `logits` `[vocabulary]`."""
        if self.constraint is not None:
            self.constraint.restrict(logits)


Chosen = tuple[int, "TokenLogprob | None"]


def next_tokens(logits: torch.Tensor, choosers: Sequence[Chooser]) -> list[Chosen | Exception]:
    """One token id per row of `logits`, `[rows, vocabulary]`, with its probability where that was asked for.

    What cannot be chosen for one row is an exception in its place; the other rows are as they would be without it.
    """
    numbers: list[float] = []
    asked = [row for row, each in enumerate(choosers) if each.sampling.logprobs is not None]
    logprobs = dict(zip(asked, logits[asked].float().log_softmax(dim=-1), strict=True)) if asked else {}
    failed = _adjust(logits, choosers)
    for row, chooser in enumerate(choosers):
        numbers.append(0.0)
        if row in failed:
            continue
        try:
            chooser.restrict(logits[row])
            if chooser.sampling.temperature > 0:
                numbers[row] = chooser.source.random()
        except Exception as error:  # noqa: BLE001 - it ends its own row
            failed[row] = error
    drawn = [row for row, each in enumerate(choosers) if each.sampling.temperature > 0 and row not in failed]
    tokens, best, found = _taken(logits, drawn, numbers, choosers)
    failed = found | {row: _no_number() for row, value in enumerate(best) if not math.isfinite(value)} | failed
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
    chooser.note(token)
    if chooser.constraint is not None and token not in chooser.ends:
        chooser.constraint.take(token)
    return token, None if logprobs is None else _logprob(logprobs, token, chooser.sampling.logprobs or 0)


def _taken(
    logits: torch.Tensor, drawn: Sequence[int], numbers: Sequence[float], choosers: Sequence[Chooser]
) -> tuple[list[int], list[float], dict[int, Exception]]:
    """Each row's token, its best logit, and what went wrong by row; all come from the device at once."""
    best, tokens = logits.max(dim=-1)
    failed: dict[int, Exception] = {}
    certain = torch.ones_like(best, dtype=torch.bool)
    if drawn:
        try:
            rows = torch.tensor(drawn).to(logits.device)
            tokens[rows], certain[rows] = _draw(logits, drawn, numbers, choosers)
        except Exception:  # noqa: BLE001 - whose it is, is found out here
            for row in drawn:
                try:
                    token, sure = _draw(logits, [row], numbers, choosers)
                    tokens[row], certain[row] = token[0], sure[0]
                except Exception as error:  # noqa: BLE001 - it ends its own row
                    failed[row] = error
    told = torch.stack([tokens.double(), best.double(), certain.double()]).tolist()
    taken = [int(token) for token in told[0]]
    for row in drawn:
        if not told[2][row] and row not in failed:  # a flat distribution: the first look was too short
            token, _ = _draw(logits, [row], numbers, choosers, whole=True)
            taken[row] = int(token.item())
    return taken, told[1], failed


class _Places:
    """Some logits of some rows, each with a number of its own: collected by row, changed in one operation."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._tokens: list[int] = []
        self._numbers: list[float] = []

    def add(self, row: int, tokens: Sequence[int], numbers: Iterable[float]) -> None:
        self._rows += [row] * len(tokens)
        self._tokens += tokens
        self._numbers += numbers

    def change(self, logits: torch.Tensor, how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        """Put `how(present values, numbers)` there."""
        if self._rows:
            rows, tokens = torch.tensor([self._rows, self._tokens]).to(logits.device)
            _change(logits, rows, tokens, torch.tensor(self._numbers, dtype=torch.float64).to(logits.device), how)


def _change(
    logits: torch.Tensor,
    rows: torch.Tensor,
    tokens: torch.Tensor,
    numbers: torch.Tensor,
    how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    wide = logits.dtype if logits.dtype.itemsize > _SHORT_BYTES else torch.float32  # as scalars are taken
    logits[rows, tokens] = how(logits[rows, tokens].to(wide), numbers.to(wide)).to(logits.dtype)


def _repeated(
    had: Mapping[int, torch.Tensor], choosers: Sequence[Chooser], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Row, token and penalty of each token that these rows have had, which `had` holds by row."""
    tokens = list(had.values())
    counts = torch.tensor([len(each) for each in tokens]).to(device)
    given = torch.tensor([(row, choosers[row].sampling.repetition_penalty) for row in had], dtype=torch.float64)
    of_rows = given.to(device).repeat_interleave(counts, dim=0, output_size=sum(map(len, tokens)))
    return of_rows[:, 0].long(), torch.cat(tokens), of_rows[:, 1]


def _penalised(values: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    return torch.where(values > 0, values / penalty, values * penalty)


def _adjust(logits: torch.Tensor, choosers: Sequence[Chooser]) -> dict[int, Exception]:
    """Change `logits` `[rows, vocabulary]` in place as each row's request wants them, for all rows at once.

    What cannot be changed, by row. Sources: CTRL (repetition) and OpenAI's API reference (the other penalties).
    """
    failed: dict[int, Exception] = {}
    said, biased, ends = _Places(), _Places(), _Places()
    had: dict[int, torch.Tensor] = {}
    for row, each in enumerate(choosers):
        sampling = each.sampling
        if any(not -logits.shape[1] <= token < logits.shape[1] for token, _ in sampling.logit_bias):
            failed[row] = IndexError("a token that the model does not know")
            continue
        if sampling.repetition_penalty != 1:
            try:
                had[row] = each.repeated(logits.device, logits.shape[1])
            except Exception as error:  # noqa: BLE001 - it ends its own row
                failed[row] = error
                continue
        if sampling.frequency_penalty or sampling.presence_penalty:
            times = each.answer.values()
            off = [sampling.frequency_penalty * count + sampling.presence_penalty for count in times]
            said.add(row, list(each.answer), off)
        biased.add(row, [token for token, _ in sampling.logit_bias], [bias for _, bias in sampling.logit_bias])
        if each.said < sampling.min_tokens and each.ends:
            ends.add(row, list(each.ends), [-torch.inf] * len(each.ends))
    if had:
        _change(logits, *_repeated(had, choosers, logits.device), _penalised)
    said.change(logits, torch.sub)
    biased.change(logits, torch.add)
    ends.change(logits, lambda _, nothing: nothing)
    return failed


def _draw(
    logits: torch.Tensor,
    rows: Sequence[int],
    numbers: Sequence[float],
    choosers: Sequence[Chooser],
    *,
    whole: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random token for each of `rows`, the one at its random place of the cumulative distribution.

    And whether it is certain: where top_p or min_p may leave more than those of a first look, it is not, but `whole`.
    """
    asked, device = [choosers[row].sampling for row in rows], logits.device
    parameters = [(each.temperature, each.top_p, each.top_k, each.min_p) for each in asked]
    given = torch.tensor(
        [(numbers[row], *of_row) for row, of_row in zip(rows, parameters, strict=True)], dtype=torch.float64
    )
    number, temperature, top_p, top_k, min_p = given.to(device).T[:, :, None]
    scaled = logits[torch.tensor(rows).to(device)].float() / temperature.float().clamp(min=1e-5)
    probabilities = scaled.softmax(dim=-1)
    cut = [each.top_p < 1 or each.top_k > 0 or each.min_p > 0 for each in asked]
    if not any(cut):
        return _of_all(probabilities, number), torch.ones(len(rows), dtype=torch.bool, device=device)
    if whole:
        best, order = probabilities.sort(dim=-1, descending=True, stable=True)
    else:
        best, order = probabilities.topk(min(_MOST_PROBABLE_FIRST, logits.shape[1]), dim=-1)
    there = best.shape[1]
    # As many as top_k, min_p and top_p leave, one after the other; and whether the rest of the row could add to them.
    kept = torch.where((top_k > 0) & (top_k <= there), top_k, there).long()
    enough = (kept < there) | (top_k == there) | (there == logits.shape[1])
    above = ((best >= best[:, :1] * min_p.float()) & (torch.arange(there, device=device) < kept)).sum(-1, keepdim=True)
    kept = torch.where(min_p > 0, above, kept).clamp(min=1)
    enough |= (min_p > 0) & (above < there)
    cumulated = best.double().cumsum(dim=-1)
    total = torch.where((top_k > 0) | (min_p > 0), cumulated.gather(1, kept - 1), 1.0)
    # The smallest set whose probability reaches top_p; with top_k or min_p it is top_p of what those leave.
    reached = torch.searchsorted(cumulated, top_p * total).minimum(kept) + 1
    enough |= (top_p < 1) & (reached <= kept)
    kept = torch.where(top_p < 1, reached.minimum(kept), kept)
    place = torch.searchsorted(cumulated, number * cumulated.gather(1, kept - 1), right=True).minimum(kept - 1)
    tokens = order.gather(1, place)[:, 0]
    if not all(cut):
        is_cut = torch.tensor(cut).to(device)
        tokens = torch.where(is_cut, tokens, _of_all(probabilities, number))
        enough |= ~is_cut[:, None]
    return tokens, enough[:, 0]


def _of_all(probabilities: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Nothing is cut off: the vocabulary's own order does, and nothing need be sorted."""
    cumulated = probabilities.double().cumsum(dim=-1)
    places = torch.searchsorted(cumulated, number * cumulated[:, -1:], right=True)[:, 0]
    return places.clamp(max=probabilities.shape[1] - 1)


def _logprob(logprobs: torch.Tensor, token: int, alternatives: int) -> TokenLogprob:
    values, order = logprobs.topk(alternatives) if alternatives else (logprobs[:0], logprobs[:0])
    top = tuple(zip((int(each) for each in order.tolist()), values.tolist(), strict=True))
    return TokenLogprob(token, float(logprobs[token].item()), top)
