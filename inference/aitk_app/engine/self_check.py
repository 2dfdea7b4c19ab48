"""Proves at every start that the batched path computes what the reference path does, for this model and its adapters.

Short prompts go through both: two requests beside each other, one read whole and one in pieces, a third whose
beginning is copied, then some steps further, and once moved to another slot; with an adapter alone, merged, by rows,
and beside the base. The logits may differ by as much as the reference differs from itself when the same tokens reach it
split differently, times `FACTOR`: the order of additions changes the last digits, a wrong mask or layer much more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from aitk_app.engine.cache import Segment, UnservedAttentionError
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.batched import BatchedPath
    from aitk_app.engine.lora import LoadedAdapter
    from aitk_app.engine.reference import ReferencePath

logger = logging.getLogger(__name__)

FACTOR = 5.0
_LEAST_EPSILONS = 12.0  # of the numbers' type: rounding that no splitting of the reference shows, such as of a merge
_LEAST = 1e-5  # in whatever type: the reference hands its logits over in float32
_MOST = 0.05  # a reference that is further from itself proves nothing
_PIECE = 7
_COPIED = 18
_STEPS = 3
_PAST = 9  # tokens past the window
_MOST_WORK = {"cpu": 4e11, "cuda": 2e14}  # multiplications that the check past a window may take


@dataclass(frozen=True)
class Finding:
    """What the check found; without a reason the batched path may answer."""

    reason: str | None = None
    worst: float | None = None
    allowed: float | None = None


@dataclass
class _Compared:
    """Collects how far the paths are apart, as the norm of the difference over the norm of the logits."""

    worst: float = 0.0
    where: str = ""
    noise: float = 0.0
    known: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, found: torch.Tensor, expected: torch.Tensor, where: str) -> None:
        if found.shape != expected.shape:
            raise UnservedAttentionError(f"computes {found.shape[-1]} logits instead of {expected.shape[-1]}")
        difference = _difference(found, expected)
        if not difference <= self.worst:  # not a number counts as more
            self.worst, self.where = difference, where

    def finding(self, dtype: torch.dtype, subject: str) -> Finding:
        allowed = max(FACTOR * self.noise, _LEAST_EPSILONS * torch.finfo(dtype).eps, _LEAST)
        if allowed > max(_MOST, 2 * _LEAST_EPSILONS * torch.finfo(dtype).eps):
            return Finding(
                f"{subject} cannot be checked: its own answers differ by {self.noise:.2g} when the same tokens are "
                "read in pieces",
                self.worst,
                allowed,
            )
        if self.worst <= allowed:
            return Finding(None, self.worst, allowed)
        return Finding(
            f"{subject} computes something else when batched ({self.where}: off by {self.worst:.2g}, "
            f"{allowed:.2g} would be rounding)",
            self.worst,
            allowed,
        )


def _difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.double(), expected.double()
    known = torch.isfinite(expected)
    if not bool((torch.isfinite(found) == known).all()):
        return float("inf")
    found, expected = found[known], expected[known]
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


def _prompts(vocabulary: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Two prompts, one that begins as the second does, and the tokens that are answered."""
    first = [(5 + 37 * place + place * place) % vocabulary for place in range(8)]
    second = [(11 + 53 * place + 3 * place * place) % vocabulary for place in range(23)]
    third = [*second[:_COPIED], *((17 + 29 * place) % vocabulary for place in range(3))]
    return first, second, third, [(3 + 41 * place) % vocabulary for place in range(_STEPS)]


def _walk(
    path: ReferencePath, prompt: Sequence[int], steps: Sequence[int], adapter: LoadedAdapter | None = None
) -> list[torch.Tensor]:
    """The reference's logits after the prompt, and after each of the steps."""
    cache = path.new_cache()
    try:
        found = [path.forward(cache, [Segment(0, 0, prompt, adapter)])[0]]
        for number, token in enumerate(steps):
            found.append(path.forward(cache, [Segment(0, len(prompt) + number, [token], adapter)])[0])
        return found
    finally:
        cache.close()


def _noise(path: ReferencePath, prompt: list[int], steps: list[int], adapter: LoadedAdapter | None = None) -> float:
    """How far the reference is from itself when the same tokens come as a prompt, or one by one."""
    apart = _walk(path, prompt, steps, adapter)
    return max(
        _difference(apart[number], _walk(path, prompt + steps[:number], [], adapter)[0])
        for number in range(1, len(steps) + 1, 2)
    )


def check_base(batched: BatchedPath, reference: ReferencePath, length: int) -> Finding:
    """Whether the base model may be answered for by the batched path, for requests of up to `length` tokens."""
    subject = batched.config.model_type
    try:
        compared = _Compared()
        first, second, third, steps = _prompts(batched.config.vocab_size)
        of_first, of_second = _walk(reference, first, steps), _walk(reference, second, steps)
        of_third = _walk(reference, third, steps[:1])
        compared.noise = max(
            _difference(of_first[-1], _walk(reference, first + steps, [])[0]),
            _difference(of_second[-1], _walk(reference, second + steps, [])[0]),
            _difference(of_second[1], _walk(reference, second + steps[:1], [])[0]),
        )
        reference.proof = (of_first[:2], compared.noise)
        cache = batched.new_cache()
        logits = batched.forward(cache, [Segment(0, 0, first), Segment(1, 0, second[:_PIECE])])
        left_out = [number for number, layer in enumerate(cache.slot_layers) if not layer.attended]
        if left_out:
            return Finding(f"{subject} has an attention of its own (layer {left_out[0]})")
        compared.add(logits[0], of_first[0], "a prompt read whole")
        beside = [
            Segment(0, len(first), steps[:1]),
            Segment(1, _PIECE, second[_PIECE:]),
            Segment(2, _COPIED, third[_COPIED:], None, 1),
        ]
        logits = batched.forward(cache, beside)
        compared.add(logits[0], of_first[1], "a step beside a prompt")
        compared.add(logits[1], of_second[0], "a prompt read in pieces")
        compared.add(logits[2], of_third[0], "a prompt with a copied beginning")
        held = [len(first) + 1, len(second), len(third)]
        logits = batched.forward(
            cache, [Segment(0, held[0], steps[1:2]), Segment(1, held[1], steps[:1]), Segment(2, held[2], steps[:1])]
        )
        for row, expected in enumerate((of_first[2], of_second[1], of_third[1])):
            compared.add(logits[row], expected, "a step beside others")
        cache.copy(1, 0, held[1] + 1)
        for number in range(1, _STEPS):
            [logits] = batched.forward(cache, [Segment(0, held[1] + number, steps[number : number + 1])])
            compared.add(logits, of_second[number + 1], "a step after a move")
        _past_the_window(batched, reference, length, compared)
    except UnservedAttentionError as error:
        return Finding(f"{subject} {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the reference path has the word
        what = f"{subject} cannot be batched"
        return Finding(f"{what}. {log_says(error, what)}")
    return compared.finding(batched.dtype, subject)


def _past_the_window(batched: BatchedPath, reference: ReferencePath, length: int, compared: _Compared) -> None:
    """Where attention sees only a window of tokens and longer requests are to be batched: go past it."""
    window = window_of(batched.config)
    if not window or length <= window:
        return
    prompt = [(7 + 31 * place + place * place) % batched.config.vocab_size for place in range(window + _PAST)]
    steps = _prompts(batched.config.vocab_size)[3][:1]
    expected = _walk(reference, prompt, steps)
    compared.noise = max(compared.noise, _difference(expected[1], _walk(reference, prompt + steps, [])[0]))
    cache = batched.new_cache()
    batched.forward(cache, [Segment(0, 0, prompt[:-_PIECE]), Segment(1, 0, prompt[:_PIECE])])
    logits = batched.forward(cache, [Segment(0, len(prompt) - _PIECE, prompt[-_PIECE:])])
    compared.add(logits[0], expected[0], f"past the window of {window} tokens")
    logits = batched.forward(cache, [Segment(0, len(prompt), steps)])
    compared.add(logits[0], expected[1], f"a step past the window of {window} tokens")


def check_adapter_path(
    batched: BatchedPath, reference: ReferencePath, adapter: LoadedAdapter, others: Sequence[LoadedAdapter] = ()
) -> Finding:
    """Whether requests of `adapter` may be answered by the batched path: alone, beside the base, beside `others`.

    The others have passed it before.
    """
    subject = f"the adapter {adapter.id}"
    try:
        compared = _Compared()
        first, _, _, steps = _prompts(batched.config.vocab_size)
        tuned = adapter.proof = _walk(reference, first, steps[:1], adapter)
        base, compared.noise = reference.proof or _proof(reference, first, steps)
        cache = batched.new_cache()
        [logits] = batched.forward(cache, [Segment(0, 0, first, adapter)])
        compared.add(logits, tuned[0], "alone, merged" if adapter.merged else "alone, by rows")
        [logits] = batched.forward(cache, [Segment(0, len(first), steps[:1], replace(adapter, merged={}))])
        compared.add(logits, tuned[1], "a step alone, by rows")
        _beside_others(batched, adapter, base, [each for each in others if each.proof], compared)
        if compared.finding(batched.dtype, subject).reason:
            # With the adapter the model may be further from itself than without.
            again = _walk(reference, first + steps[:1], [], adapter)[0]
            compared.noise = max(compared.noise, _difference(tuned[1], again))
    except UnservedAttentionError as error:
        return Finding(f"{subject} {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the reference path has the word
        what = f"{subject} cannot be batched"
        return Finding(f"{what}. {log_says(error, what)}")
    return compared.finding(batched.dtype, subject)


def _proof(reference: ReferencePath, prompt: list[int], steps: list[int]) -> tuple[list[torch.Tensor], float]:
    """What the base model answers to `prompt` and a step further, and how far it is from itself."""
    base = _walk(reference, prompt, steps[:1])
    return base, _difference(base[1], _walk(reference, prompt + steps[:1], [])[0])


def _beside_others(
    batched: BatchedPath,
    adapter: LoadedAdapter,
    base: list[torch.Tensor],
    others: Sequence[LoadedAdapter],
    compared: _Compared,
) -> None:
    """One prompt for the base and several adapters in one batch, and a step further; each one's own answer is known."""
    first, _, _, steps = _prompts(batched.config.vocab_size)
    rows = [
        (adapter, adapter.proof, "beside the base model"),
        (None, base, "the base model beside it"),
        *((each, each.proof, f"{each.id} beside it") for each in others),
    ]
    cache = batched.new_cache()
    for step in (0, 1):
        segments = [
            Segment(slot, len(first) * step, steps[:1] if step else first, own) for slot, (own, _, _) in enumerate(rows)
        ]
        logits = batched.forward(cache, segments)
        for slot, (_, expected, where) in enumerate(rows):
            compared.add(logits[slot], expected[step], f"a step {where}" if step else where)


def window_of(config: Any) -> int | None:  # noqa: ANN401 - of transformers
    """How many tokens the narrowest attention of the model sees; None where it sees all."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not window or (kinds is not None and "sliding_attention" not in kinds):
        return None
    return int(window)


def proven_length(config: Any, context_length: int, model: Any, device: torch.device) -> int:  # noqa: ANN401 - of transformers
    """The longest request, in tokens, for which the check can speak; longer ones take the reference path.

    Where the rope's factors switch with the length of the *longest* request of a pass, no request of a pass may reach
    that length. A window is gone past in the check, unless that would take too long on this device.
    """
    length = context_length
    for rope in _ropes(config):
        kind = rope.get("rope_type", rope.get("type"))
        if kind in {"longrope", "dynamic"}:
            original = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", None
            )
            length = min(length, int(original or config.max_position_embeddings))
    window = window_of(config)
    if window and window < length:
        work = 4.0 * (window + _PAST) * sum(each.numel() for each in model.parameters())
        if work > _MOST_WORK.get(device.type, 0.0):
            length = window
            logger.info("requests longer than the window of %s tokens are answered one at a time", window)
    return length


def _ropes(config: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of transformers
    """The rope's parameters; some models have them per kind of layer."""
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [each for each in found.values() if isinstance(each, dict)]
    return [*nested, found]
