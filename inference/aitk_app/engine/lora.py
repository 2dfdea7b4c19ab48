"""Adapters whose rows share one batch with other adapters' rows and with the base model's.

Each layer that an adapter changes is wrapped once. In a pass, `Rows` says which tokens use which adapter; a wrapped
layer computes the base's output for all of them and adds each adapter's low-rank product to that adapter's tokens, or
puts the output of that adapter's own layer in its place. An adapter may also hold whole merged layers: a batch that
only it uses then costs what the base model costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass
class LowRank:
    """`x · down · up`, scaled; `down` `[inputs, rank]`, `up` `[rank, outputs]`."""

    down: torch.Tensor
    up: torch.Tensor


@dataclass(eq=False)  # one loading of one adapter: loaded again it is another
class LoadedAdapter:
    """An adapter on the device: the model with it as peft has it, and what the batched path needs of it."""

    id: str
    reference: Any = None  # the model with the adapter, for the reference path
    alone: str | None = None  # why it is served by the reference path only
    voice: Any = None  # its own `Voice`, or the base's
    served: Any = None  # how, as `Models` found it
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256, as they were when loaded
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> size and time, from before that
    low_rank: dict[str, LowRank] = field(default_factory=dict)
    # Layers that are more than a low-rank product (DoRA, modules_to_save), as peft merges them.
    replaced: dict[str, torch.nn.Module] = field(default_factory=dict)
    merged: dict[str, torch.nn.Module] = field(default_factory=dict)
    lost_copy: bool = False  # it had `merged`, which was checked, until another adapter came
    proof: list[torch.Tensor] = field(default_factory=list)  # what the self-check saw of the reference path

    @property
    def layers(self) -> set[str]:
        """The names of the layers that it changes in the batched path."""
        return {*self.low_rank, *self.replaced}


class Rows:
    """Which adapter each token of the current pass uses; written before a pass, read by every wrapped layer."""

    def __init__(self) -> None:
        # Each adapter with the tokens that use it, [1, tokens, 1], and the segments that do; None: all of them.
        self.active: list[tuple[LoadedAdapter, tuple[torch.Tensor, torch.Tensor] | None]] = []

    def set(
        self, segments: Sequence[tuple[LoadedAdapter | None, int]], device: torch.device, dtype: torch.dtype
    ) -> None:
        """The next pass has, for each of `segments`, so many tokens of that adapter."""
        distinct = {id(each): each for each, _ in segments if each is not None}
        if len(distinct) == 1 and all(each is not None for each, _ in segments):
            self.active = [(next(iter(distinct.values())), None)]
            return
        counts, total = torch.tensor([count for _, count in segments], device=device), sum(n for _, n in segments)
        self.active = []
        for wanted in distinct.values():
            uses = torch.tensor([each is wanted for each, _ in segments], device=device, dtype=dtype)
            tokens = uses.repeat_interleave(counts, output_size=total)
            self.active.append((wanted, (tokens[None, :, None], uses[None, :, None])))


class RowLayer(torch.nn.Module):
    """A layer whose tokens may each have an adapter of their own: linear, an embedding, a norm."""

    def __init__(self, base: torch.nn.Module, name: str, rows: Rows) -> None:
        super().__init__()
        self.base = base
        self.name = name
        self.rows = rows

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the wrapped layer has
        """What models ask of the layer itself, such as `weight`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of each token."""
        active = self.rows.active
        if len(active) == 1 and active[0][1] is None:
            adapter = active[0][0]
            whole = adapter.merged.get(self.name, adapter.replaced.get(self.name))
            if whole is not None:
                output: torch.Tensor = whole(x)
                return output
        result: torch.Tensor = self.base(x)
        for adapter, masks in active:
            mask = None
            if masks is not None:
                # The last layer sees only the last token of each segment.
                mask = masks[0] if masks[0].shape[1] == result.shape[1] else masks[1]
            if (part := adapter.low_rank.get(self.name)) is not None:
                inner = x @ part.down
                result = result + (inner if mask is None else inner * mask) @ part.up
            elif (whole := adapter.replaced.get(self.name)) is not None:
                assert mask is not None
                result = torch.where(mask.bool(), whole(x), result)
        return result


def wrap_layers(model: torch.nn.Module, names: Iterable[str], rows: Rows) -> None:
    """Wrap the layers `names` that are not wrapped yet."""
    for name in names:
        layer = model.get_submodule(name)
        if not isinstance(layer, RowLayer):
            set_layer(model, name, RowLayer(layer, name, rows))


def set_layer(model: torch.nn.Module, name: str, layer: torch.nn.Module) -> None:
    """Put `layer` in the place of the one that has this name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
