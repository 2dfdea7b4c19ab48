"""Keys and values of every running request: one row ("slot") each.

Row *i* of the batch is slot *i*. A row has its own length; what lies behind it is garbage that the mask
hides and that the row's next tokens overwrite. So a request joins by filling the next slot and leaves by
being overwritten with the last one: no other row moves.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_GROW_TOKENS = 256


class Window:
    """Which slots and positions the current forward pass writes, and how far it reads."""

    def __init__(self) -> None:
        self.first = 0
        self.positions = torch.empty(0, 0, dtype=torch.long)  # int64 [rows, tokens]
        self.length = 0


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call] # its base class has an untyped hook
    """One layer's keys and values, `[slots, heads, length, size]`."""

    is_sliding = False

    def __init__(self, window: Window) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped there
        self.window = window

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take type, device and shape from the first states."""
        self.keys = key_states.new_zeros(0, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(0, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new states; what the rows attend to, `[rows, heads, window.length, size]`."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        first, last = self.window.first, self.window.first + key_states.shape[0]
        self.keys = _stored(self.keys, key_states, self.window)
        self.values = _stored(self.values, value_states, self.window)
        return self.keys[first:last, :, : self.window.length], self.values[first:last, :, : self.window.length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys; we always pass a finished mask, so that nobody asks."""
        del query_length
        return self.window.length, 0

    def get_seq_length(self) -> int:
        """The longest row; we always pass positions."""
        return self.window.length

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1


def _stored(held: torch.Tensor | None, states: torch.Tensor, window: Window) -> torch.Tensor:
    assert held is not None
    slots, length = window.first + states.shape[0], int(window.length)
    if held.shape[0] < slots or held.shape[2] < length:
        grown_slots = max(held.shape[0], slots if slots <= held.shape[0] else max(slots, 2 * held.shape[0]))
        grown_length = max(held.shape[2], -(-length // _GROW_TOKENS) * _GROW_TOKENS)
        grown = held.new_zeros(grown_slots, held.shape[1], grown_length, held.shape[3])
        grown[: held.shape[0], :, : held.shape[2]] = held
        held = grown
    index = window.positions[:, None, :, None].expand_as(states)
    held[window.first : slots].scatter_(2, index, states)
    return held


class SlotCache(Cache):
    """The cache that a model's forward pass gets."""

    def __init__(self, layers: int) -> None:
        self.window = Window()
        self._slots = [SlotLayer(self.window) for _ in range(layers)]
        super().__init__(layers=[*self._slots])

    def aim(self, first: int, positions: torch.Tensor, length: int) -> None:
        """The next pass has rows `first …`, writes at `positions` `[rows, tokens]`, reads `length` tokens."""
        self.window.first, self.window.positions, self.window.length = first, positions, length

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        """Copy slot `source`, of `length` tokens, over slot `target`."""
        for layer in self._slots:
            for held in (layer.keys, layer.values):
                assert held is not None
                held[target, :, :length] = held[source, :, :length]
