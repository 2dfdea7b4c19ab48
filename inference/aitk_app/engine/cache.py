"""Keys and values of every running request: one row ("slot") each, written and read by one ragged pass.

A pass is a list of segments, the next tokens of one slot each, laid end to end: one token for whoever is
answering, many for whoever's prompt is being read. Every layer of the model works on all of them at once; only
attention looks at each segment with its own slot. A request leaves by being overwritten with another slot.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import Cache, CacheLayerMixin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.lora import LoadedAdapter

ATTENTION = "aitk_slots"
_GROW_TOKENS = 256
# Whose pass it is: not every model hands what it is given on to its attention.
_current_cache: ContextVar[SlotCache] = ContextVar("slot_cache")


@dataclass(frozen=True)
class Segment:
    """The next tokens of the request in `slot`, which has `start` tokens in the cache.

    With `copied_from` it gets these in the same pass, from a slot that has them or whose segment comes before.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    adapter: LoadedAdapter | None = None
    copied_from: int | None = None


class Pass:
    """What one forward pass writes and reads; the segments of one token come first, in slots 0, 1 and so on."""

    def __init__(self, segments: Sequence[Segment], device: torch.device) -> None:
        self.segments = segments
        self.singles = next(
            (i for i, each in enumerate(segments) if len(each.tokens) > 1 or each.slot != i), len(segments)
        )
        self.length = max(each.start + len(each.tokens) for each in segments)
        self.slots = 1 + max(each.slot for each in segments)
        flat = [(each.slot, each.start + i) for each in segments for i in range(len(each.tokens))]
        both = torch.tensor(flat).T.contiguous().to(device)
        self.slot_of, self.positions = both[0], both[1]
        ends, end = [], 0
        for each in segments:
            end += len(each.tokens)
            ends.append(end)
        self.ends = ends
        self.single_length = max((each.start + 1 for each in segments[: self.singles]), default=0)
        self._masks: dict[tuple[int, int | None], torch.Tensor | None] = {}

    def mask(self, index: int, window: int | None) -> torch.Tensor | None:
        """What segment `index` (-1: all single tokens) may attend to; None: nothing is hidden."""
        if (index, window) not in self._masks:
            self._masks[index, window] = self._made(index, window)
        return self._masks[index, window]

    def _made(self, index: int, window: int | None) -> torch.Tensor | None:
        if index < 0:
            positions, length = self.positions[: self.singles, None], self.single_length
            positions = positions[:, None]  # one query of each slot
        else:
            end, segment = self.ends[index], self.segments[index]
            positions, length = (
                self.positions[end - len(segment.tokens) : end, None][None],
                segment.start + len(segment.tokens),
            )
        keys = torch.arange(length, device=positions.device)
        visible = keys <= positions
        if window:
            visible &= keys > positions - window
        return visible[:, None]


class UnservedAttentionError(Exception):
    """The model uses attention in a way that is not served here; the message is the rest of a sentence."""


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call] # its base class has an untyped hook
    """One layer's keys and values, `[slots, heads, length, size]`."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped there
        self.current: Pass | None = None
        self.attended = False  # whether our attention was called for this layer

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take type, device and shape from the first states."""
        self.keys = key_states.new_zeros(0, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(0, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new states; attention gets them back, and reads the earlier ones here."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.current is not None
        self.keys = _stored(self.keys, key_states, self.current)
        self.values = _stored(self.values, value_states, self.current)
        for segment in self.current.segments:
            if segment.copied_from is not None:
                for held in (self.keys, self.values):
                    held[segment.slot, :, : segment.start] = held[segment.copied_from, :, : segment.start]
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys; our attention makes its own masks, so that nobody asks."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """The longest row; we always pass positions."""
        return self.current.length if self.current else 0

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1


def _stored(held: torch.Tensor | None, states: torch.Tensor, current: Pass) -> torch.Tensor:
    assert held is not None
    held = _grown(held, current.slots, current.length)
    held[current.slot_of, :, current.positions] = states[0].transpose(0, 1)
    return held


def _grown(held: torch.Tensor, slots: int, length: int) -> torch.Tensor:
    """`held`, or a larger copy where it has fewer slots or shorter ones."""
    if held.shape[0] >= slots and held.shape[2] >= length:
        return held
    slots = held.shape[0] if held.shape[0] >= slots else max(slots, 2 * held.shape[0])
    length = max(held.shape[2], -(-length // _GROW_TOKENS) * _GROW_TOKENS)
    grown = held.new_zeros(slots, held.shape[1], length, held.shape[3])
    grown[: held.shape[0], :, : held.shape[2]] = held
    return grown


class SlotCache(Cache):
    """The cache that a model's forward pass gets."""

    def __init__(self, layers: int) -> None:
        self.slot_layers = [SlotLayer() for _ in range(layers)]
        super().__init__(layers=[*self.slot_layers])

    def set_pass(self, current: Pass) -> None:
        """What the next pass of this thread writes."""
        _current_cache.set(self)
        for layer in self.slot_layers:
            layer.current = current

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(held.nbytes for layer in self.slot_layers for held in (layer.keys, layer.values) if held is not None)

    def close(self) -> None:
        """Nothing to end: the memory goes with it."""

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` over slot `target`."""
        for layer in self.slot_layers:
            assert layer.keys is not None
            assert layer.values is not None
            layer.keys, layer.values = (_grown(held, target + 1, length) for held in (layer.keys, layer.values))
            for held in (layer.keys, layer.values):
                held[target, :, :length] = held[source, :, :length]


class _How(NamedTuple):
    scaling: float | None
    softcap: float | None
    sinks: torch.Tensor | None


def attend(  # noqa: PLR0913, PLR0917 - as transformers calls it
    module: Any,  # noqa: ANN401 - an attention layer of transformers
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """The attention of one layer over a pass, `[1, tokens, heads, size]`.

    Source: https://huggingface.co/docs/transformers/attention_interface
    """
    del dropout
    if attention_mask is not None:
        raise UnservedAttentionError("gives its attention a mask of its own")
    layer = _current_cache.get().slot_layers[module.layer_idx]
    current = layer.current
    assert current is not None
    if layer.keys is None or layer.values is None:
        raise UnservedAttentionError("attends to keys that it does not store")
    for handed, held in ((key, layer.keys), (value, layer.values)):
        if (handed.shape[1], handed.shape[3]) != (held.shape[1], held.shape[3]):
            raise UnservedAttentionError("stores other keys than it attends to")
    layer.attended = True
    how = _How(scaling, softcap, s_aux)
    outputs, begin = [], 0
    if current.singles:
        begin, length = current.singles, current.single_length
        outputs.append(
            _attend(
                query[0, :, :begin].transpose(0, 1)[:, :, None],
                layer.keys[:begin, :, :length],
                layer.values[:begin, :, :length],
                current.mask(-1, sliding_window),
                how,
            )[:, :, 0]
        )
    for index in range(current.singles, len(current.segments)):
        segment, end = current.segments[index], current.ends[index]
        reach = segment.start + len(segment.tokens)
        if segment.start:
            keys, values = (held[segment.slot : segment.slot + 1, :, :reach] for held in (layer.keys, layer.values))
        else:
            keys, values = key[:, :, begin:end], value[:, :, begin:end]
        hidden = segment.start or softcap or s_aux is not None or (sliding_window and reach > sliding_window)
        mask = current.mask(index, sliding_window) if hidden else None
        outputs.append(_attend(query[:, :, begin:end], keys, values, mask, how)[0].transpose(0, 1))
        begin = end
    return torch.cat(outputs)[None], None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, how: _How
) -> torch.Tensor:
    """Attention of `query` `[rows, heads, tokens, size]`; without a mask each token sees those before it."""
    groups = query.shape[1] // key.shape[1]
    if how.softcap is None and how.sinks is None:
        if mask is None:
            return scaled_dot_product_attention(
                query, key, value, is_causal=query.shape[2] > 1, scale=how.scaling, enable_gqa=groups > 1
            )
        if query.shape[2] == 1 and groups > 1:
            # The heads that share keys become queries of one head: nothing is copied.
            shared = query.reshape(query.shape[0], key.shape[1], groups, query.shape[3])
            return scaled_dot_product_attention(shared, key, value, mask, scale=how.scaling).reshape(
                query.shape[0], query.shape[1], 1, -1
            )
        return scaled_dot_product_attention(query, key, value, mask, scale=how.scaling, enable_gqa=groups > 1)
    assert mask is not None
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * (how.scaling if how.scaling is not None else query.shape[3] ** -0.5)
    if how.softcap is not None:
        scores = (scores / how.softcap).tanh() * how.softcap
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if how.sinks is not None:
        sink = how.sinks.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1)
        scores = torch.cat([scores, sink], dim=-1)
    weights = scores.float().softmax(dim=-1).to(query.dtype)[..., : key.shape[2]]
    return weights @ value


def use_slots(model: Any) -> None:  # noqa: ANN401 - of transformers
    """Let `model` use this attention."""
    AttentionInterface.register(ATTENTION, attend)
    model.set_attn_implementation(ATTENTION)
