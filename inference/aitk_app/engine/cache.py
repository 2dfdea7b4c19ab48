"""Keys and values of every running request: one row ("slot") each, written and read by one ragged pass.

A pass is a list of segments, the next tokens of one slot each, laid end to end: one token for whoever is
answering, many for whoever's prompt is being read. Every layer of the model works on all of them at once; only
attention looks at each segment with its own slot. A request leaves by being overwritten with another slot.

Slots have a capacity that is reserved when a request begins to be read, so that decoding never copies what is held.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import Cache, CacheLayerMixin

from aitk_app.engine.memory import free_bytes
from aitk_app.engine.room import Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.lora import LoadedAdapter

ATTENTION = "aitk_slots"
MASK_TOKENS = 64
_KEPT_OF_FREE_MEMORY = 0.1
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
        self.copies = [each for each in segments if each.copied_from is not None]
        flat = [(token, each.slot, each.start + i) for each in segments for i, token in enumerate(each.tokens)]
        self.ends, end = [], 0
        for each in segments:
            end += len(each.tokens)
            self.ends.append(end)
        # All that the device has to know, in one transfer.
        last = [end - 1 for end in self.ends]
        sent = torch.tensor([number for numbers in zip(*flat, strict=True) for number in numbers] + last).to(device)
        self.tokens, self.slot_of, self.positions = sent[: 3 * end].view(3, end)
        self.last_tokens = sent[3 * end :]
        lengths = {each.start + 1 for each in segments[: self.singles]}
        # Rounded, so that masks do not grow with every step; what lies behind a slot's length is masked.
        longest = max(lengths, default=0)
        self.single_length = longest if len(lengths) <= 1 else -(-longest // MASK_TOKENS) * MASK_TOKENS
        self._equal = len(lengths) == 1
        self._masks: dict[tuple[int, int | None], torch.Tensor | None] = {}
        self._added: dict[tuple[int, int | None, torch.dtype], torch.Tensor] = {}

    def mask(self, index: int, window: int | None) -> torch.Tensor | None:
        """What segment `index` (-1: all single tokens) may attend to; None: nothing is hidden."""
        if (index, window) not in self._masks:
            self._masks[index, window] = self._made(index, window)
        return self._masks[index, window]

    def sees_all(self, window: int | None) -> bool:
        """Whether the single tokens may attend to all that their slots hold."""
        return self._equal and not (window and self.single_length > window)

    def added(self, index: int, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """The same as numbers that are added to the scores, made once for all layers."""
        mask = self.mask(index, window)
        if mask is None:
            return None
        found: torch.Tensor | None = self._added.get((index, window, dtype))
        if found is None:
            found = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
            self._added[index, window, dtype] = found
        return found

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
        visible: torch.Tensor = keys <= positions
        if window:
            visible &= keys > positions - window
        return visible[:, None]


class UnservedAttentionError(Exception):
    """The model uses attention in a way that is not served here; the message is the rest of a sentence."""


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call] # its base class has an untyped hook
    """One layer's keys and values, `[slots, capacity, heads, size]`."""

    is_sliding = False

    def __init__(self, room: Room) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped there
        self.current: Pass | None = None
        self.attended = False  # whether our attention was called for this layer
        self._room = room

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take type, device and shape from the first states."""
        self.keys, self.values = (self._room.first(each) for each in (key_states, value_states))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new states; attention gets them back, and reads the earlier ones here."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.grow()
        assert self.current is not None
        self.keys = _stored(self.keys, key_states, self.current)
        self.values = _stored(self.values, value_states, self.current)
        for segment in self.current.copies:
            for held in (self.keys, self.values):
                assert held is not None
                held[segment.slot, : segment.start] = held[segment.copied_from, : segment.start]
        return key_states, value_states

    def grow(self) -> None:
        """Have as much room as was reserved."""
        if self.keys is not None and self.values is not None and self._room.exceeds(self.keys):
            self.keys, self.values = self._room.grown(self.keys), self._room.grown(self.values)

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
    states = states[0].transpose(0, 1)
    if len(current.segments) == 1:
        [segment] = current.segments
        held[segment.slot, segment.start : segment.start + len(segment.tokens)] = states
    else:
        held[current.slot_of, current.positions] = states
    return held


class SlotCache(Cache):
    """The cache that a model's forward pass gets."""

    def __init__(self, layers: int) -> None:
        self._room = Room()
        self.slot_layers = [SlotLayer(self._room) for _ in range(layers)]
        super().__init__(layers=[*self.slot_layers])

    def set_pass(self, current: Pass) -> None:
        """What the next pass of this thread writes."""
        _current_cache.set(self)
        self._room.reserve(current.slots, current.length)
        for segment in current.segments:
            self._room.fill(segment.slot, segment.start + len(segment.tokens))
        for layer in self.slot_layers:
            layer.current = current

    def reserve(self, slots: int, length: int) -> None:
        """Have room for so many slots of so many tokens at the next pass, so that those after it need not copy."""
        self._room.reserve(slots, length, ahead=True, held_bytes=self.nbytes)

    def take_back(self) -> None:
        """Memory was too short: ask for no more room than every layer has by now."""
        self._room.take_back([layer.keys for layer in self.slot_layers if layer.keys is not None])

    @property
    def nbytes(self) -> int:
        """The memory that it takes; on a processor what was never written takes none."""
        held = [held for layer in self.slot_layers for held in (layer.keys, layer.values) if held is not None]
        if held and held[0].device.type == "cpu":
            return self._bytes_a_token * sum(self._room.filled.values())
        return sum(each.nbytes for each in held)

    @property
    def _bytes_a_token(self) -> int:
        held = [held for layer in self.slot_layers for held in (layer.keys, layer.values) if held is not None]
        return sum(each[0, 0].nbytes for each in held)

    def has_memory_for(self, tokens: int) -> bool:
        """Whether keeping so many more leaves most of the free memory to requests."""
        first = self.slot_layers[0].keys
        return first is not None and self._bytes_a_token * tokens <= free_bytes(first.device) * _KEPT_OF_FREE_MEMORY

    def close(self) -> None:
        """Nothing to end: the memory goes with it."""

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` over slot `target`."""
        self._room.reserve(target + 1, length)
        self._room.fill(target, length)
        for layer in self.slot_layers:
            layer.grow()
            for held in (layer.keys, layer.values):
                assert held is not None
                held[target, :length] = held[source, :length]


class _How(NamedTuple):
    scaling: float | None
    softcap: float | None
    sinks: torch.Tensor | None

    @property
    def is_plain(self) -> bool:
        """Whether PyTorch's own attention computes it."""
        return self.softcap is None and self.sinks is None


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
        if (handed.shape[1], handed.shape[3]) != held.shape[2:]:
            raise UnservedAttentionError("stores other keys than it attends to")
    layer.attended = True
    how = _How(scaling, softcap, s_aux)
    outputs, begin = [], 0
    if current.singles:
        begin, length = current.singles, current.single_length
        if not how.is_plain:
            mask = current.mask(-1, sliding_window)
        else:
            mask = None if current.sees_all(sliding_window) else current.added(-1, sliding_window, query.dtype)
        outputs.append(
            _attend(
                query[0, :, :begin].transpose(0, 1)[:, :, None],
                layer.keys[:begin, :length].transpose(1, 2),
                layer.values[:begin, :length].transpose(1, 2),
                mask,
                how,
            )[:, :, 0]
        )
    for index in range(current.singles, len(current.segments)):
        segment, end = current.segments[index], current.ends[index]
        reach = segment.start + len(segment.tokens)
        if segment.start:
            keys, values = (
                held[segment.slot : segment.slot + 1, :reach].transpose(1, 2) for held in (layer.keys, layer.values)
            )
        else:
            keys, values = key[:, :, begin:end], value[:, :, begin:end]
        hidden = segment.start or softcap or s_aux is not None or (sliding_window and reach > sliding_window)
        mask = None
        if hidden:
            mask = (
                current.added(index, sliding_window, query.dtype)
                if how.is_plain
                else current.mask(index, sliding_window)
            )
        outputs.append(_attend(query[:, :, begin:end], keys, values, mask, how)[0].transpose(0, 1))
        begin = end
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs))[None], None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, how: _How
) -> torch.Tensor:
    """Attention of `query` `[rows, heads, tokens, size]`; without a mask each token sees those before it."""
    groups = query.shape[1] // key.shape[1]
    if how.is_plain:
        if query.shape[2] == 1 and groups > 1:
            # The heads that share keys become queries of one head: nothing is copied.
            shared = query.reshape(query.shape[0], key.shape[1], groups, query.shape[3])
            return scaled_dot_product_attention(shared, key, value, mask, scale=how.scaling).reshape(
                query.shape[0], query.shape[1], 1, -1
            )
        if mask is None:
            return scaled_dot_product_attention(
                query, key, value, is_causal=query.shape[2] > 1, scale=how.scaling, enable_gqa=groups > 1
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
