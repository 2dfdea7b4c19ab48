"""How much room the slots of a cache have, and memory for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from aitk_app.engine.memory import free_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKENS_AT_ONCE = 256
_OF_FREE_MEMORY = 0.5  # what may be reserved before it is needed


class Room:
    """The capacity that all layers of a cache share: slots, and tokens a slot."""

    def __init__(self) -> None:
        self.shape = (0, 0)
        self.filled: dict[int, int] = {}  # tokens by slot, the most ever: what lies behind was never written
        self._device = torch.device("cpu")

    def reserve(self, slots: int, length: int, *, ahead: bool = False, held_bytes: int = 0) -> None:
        """Have so many slots of so many tokens, in steps; `ahead`: only where memory is plenty.

        `held_bytes` is what the present capacity takes.
        """
        if slots <= self.shape[0] and length <= self.shape[1]:
            return
        wanted = (
            self.shape[0] if slots <= self.shape[0] else max(slots, 2 * self.shape[0]),
            max(self.shape[1], -(-length // _TOKENS_AT_ONCE) * _TOKENS_AT_ONCE),
        )
        if ahead and held_bytes and self._device.type != "cpu":  # where memory is taken at once
            needed = held_bytes // math.prod(self.shape) * math.prod(wanted)
            if needed > free_bytes(self._device) * _OF_FREE_MEMORY:
                return
        self.shape = wanted

    def first(self, states: torch.Tensor) -> torch.Tensor:
        """Room of this capacity for states like these, `[1, heads, tokens, size]`."""
        self._device = states.device
        return _zeros((*self.shape, states.shape[1], states.shape[3]), states)

    def fill(self, slot: int, tokens: int) -> None:
        """So many tokens of a slot are written."""
        self.filled[slot] = max(self.filled.get(slot, 0), tokens)

    def take_back(self, held: Sequence[torch.Tensor]) -> None:
        """No more than all of `held` have."""
        self.shape = (
            min((each.shape[0] for each in held), default=0),
            min((each.shape[1] for each in held), default=0),
        )

    def exceeds(self, held: torch.Tensor) -> bool:
        """Whether `held` is smaller."""
        return held.shape[0] < self.shape[0] or held.shape[1] < self.shape[1]

    def grown(self, held: torch.Tensor) -> torch.Tensor:
        """A copy of `held` with this capacity."""
        slots, length = max(held.shape[0], self.shape[0]), max(held.shape[1], self.shape[1])
        grown = _zeros((slots, length, *held.shape[2:]), held)
        for slot, tokens in self.filled.items():
            if slot < held.shape[0]:
                tokens = min(tokens, held.shape[1])  # noqa: PLW2901 - of the pass to come there are more
                grown[slot, :tokens] = held[slot, :tokens]
        return grown


def _zeros(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Zeros; on a processor the kernel gives the memory only where it is written."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    return torch.from_numpy(np.zeros(math.prod(shape) * like.element_size(), np.uint8)).view(like.dtype).view(shape)
