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

_KEPT_ADAPTERS = 8  # in one stack, beyond those that a pass needs


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
        self.only: LoadedAdapter | None = None  # the adapter that all tokens use
        # Otherwise the adapters that some use; columns of `uses` `[segments, adapters]` say who.
        self.stack: Stack | None = None
        self.uses: torch.Tensor | None = None
        self._of_tokens: torch.Tensor | None = None  # the same for each token
        self._masks: dict[tuple[int, int], torch.Tensor] = {}
        self._known: Stack | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Rows:
        """A twin of the model has passes of its own."""
        return Rows()

    def set(
        self, segments: Sequence[tuple[LoadedAdapter | None, int]], device: torch.device, dtype: torch.dtype
    ) -> None:
        """The next pass has, for each of `segments`, so many tokens of that adapter."""
        distinct = {id(each): each for each, _ in segments if each is not None}
        self.only, self.stack, self.uses, self._masks = None, None, None, {}
        if len(distinct) == 1 and all(each is not None for each, _ in segments):
            self.only = next(iter(distinct.values()))
        elif distinct:
            if self._known is None or not self._known.serves(distinct):
                self._known = Stack.of(distinct, self._known)
            self.stack = self._known
            uses = [[each is wanted for wanted in self.stack.adapters] for each, _ in segments]
            self.uses = torch.tensor(uses, dtype=dtype).to(device)
            counts = [count for _, count in segments]
            if max(counts) == 1:
                self._of_tokens = self.uses
            else:
                self._of_tokens = self.uses.repeat_interleave(torch.tensor(counts).to(device), dim=0)

    def _mask(self, outputs: int) -> torch.Tensor:
        """`[tokens, adapters]`; the last layer of a model sees only the last token of each segment."""
        assert self.uses is not None
        assert self._of_tokens is not None
        return self._of_tokens if outputs == self._of_tokens.shape[0] else self.uses

    def low_rank_mask(self, part: StackedLowRank, outputs: int) -> torch.Tensor:
        """Which of the part's inner numbers each token uses, `[tokens, ranks]`; made once for all layers alike."""
        found = self._masks.get((id(part.owners), outputs))
        if found is None:
            found = self._masks[id(part.owners), outputs] = self._mask(outputs)[:, part.owners]
        return found

    def replaced(self, name: str, outputs: int) -> list[tuple[torch.nn.Module, torch.Tensor]]:
        """The layers that stand in the place of the layer `name`, each with the tokens that use it."""
        assert self.stack is not None
        mask = self._mask(outputs)
        return [(layer, mask[:, place, None].bool()) for place, layer in self.stack.replaced.get(name, ())]


@dataclass
class StackedLowRank:
    """The low-rank products of several adapters side by side; `owners` `[ranks]`: whose each inner number is."""

    down: torch.Tensor
    up: torch.Tensor
    owners: torch.Tensor


class Stack:
    """Several adapters as one product a layer, so that a pass costs by rows and not by adapters."""

    def __init__(self, adapters: Sequence[LoadedAdapter]) -> None:
        self.adapters = list(adapters)
        self.low_rank: dict[str, StackedLowRank] = {}
        self.replaced: dict[str, list[tuple[int, torch.nn.Module]]] = {}
        owners: dict[tuple[tuple[int, int], ...], torch.Tensor] = {}
        for name in {name for each in adapters for name in each.layers}:
            parts = [(place, each.low_rank[name]) for place, each in enumerate(adapters) if name in each.low_rank]
            if parts:
                ranks = tuple((place, part.down.shape[1]) for place, part in parts)
                if ranks not in owners:
                    whose = [place for place, rank in ranks for _ in range(rank)]
                    owners[ranks] = torch.tensor(whose, device=parts[0][1].down.device)
                down = torch.cat([part.down for _, part in parts], dim=1)
                self.low_rank[name] = StackedLowRank(down, torch.cat([part.up for _, part in parts]), owners[ranks])
            whole = [(place, each.replaced[name]) for place, each in enumerate(adapters) if name in each.replaced]
            if whole:
                self.replaced[name] = whole

    @classmethod
    def of(cls, wanted: dict[int, LoadedAdapter], before: Stack | None) -> Stack:
        """One for the adapters `wanted`, and for those of `before` too while they are few."""
        kept = {id(each): each for each in before.adapters} if before else {}
        kept = {**kept, **wanted}
        if len(kept) > max(_KEPT_ADAPTERS, len(wanted)):
            kept = wanted
        return cls(list(kept.values()))

    def serves(self, wanted: dict[int, LoadedAdapter]) -> bool:
        """Whether all these are in it, with not too many others."""
        return set(wanted) <= {id(each) for each in self.adapters}


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
        rows = self.rows
        if rows.only is not None:
            return self._of_one(x, rows.only)
        result: torch.Tensor = self.base(x)
        if rows.stack is None:
            return result
        if (part := rows.stack.low_rank.get(self.name)) is not None:
            inner = x @ part.down
            result = result + (inner * rows.low_rank_mask(part, result.shape[1])) @ part.up
        if self.name in rows.stack.replaced:
            for layer, mask in rows.replaced(self.name, result.shape[1]):
                result = torch.where(mask, layer(x), result)
        return result

    def _of_one(self, x: torch.Tensor, adapter: LoadedAdapter) -> torch.Tensor:
        """The outputs where all tokens use the same adapter."""
        whole = adapter.merged.get(self.name, adapter.replaced.get(self.name))
        output: torch.Tensor = self.base(x) if whole is None else whole(x)
        if whole is None and (part := adapter.low_rank.get(self.name)) is not None:
            output = output + (x @ part.down) @ part.up
        return output


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
