"""LoRA adapters whose rows share one batch with other adapters' rows and with the base model's.

Each linear layer that an adapter changes is wrapped once. In a pass, `Rows` says which tokens use which
adapter; a wrapped layer computes the base's product for all of them and adds each adapter's low-rank product to
that adapter's. An adapter may also hold whole merged weights: a batch that only it uses then costs what
the base model costs.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch.nn import functional

from aitk_app.engine.adapter_files import (
    ADAPTER_WEIGHTS,
    Adapter,
    AdapterTensor,
    Kind,
    ModelError,
    check_adapter,
    read_adapter,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass
class LowRank:
    """`x · down · up`, scaled; `down` `[inputs, rank]`, `up` `[rank, outputs]`."""

    down: torch.Tensor
    up: torch.Tensor


@dataclass(eq=False)  # one loading of one adapter: loaded again it is another
class LoadedAdapter:
    """An adapter on the device: per layer a low-rank product, whole weights in its place, or both."""

    id: str
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256, as they were when loaded
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> size and time, from before that
    low_rank: dict[str, LowRank] = field(default_factory=dict)
    # Layers that are more than a low-rank product (DoRA, modules_to_save).
    replaced: dict[str, torch.Tensor] = field(default_factory=dict)
    merged: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def layers(self) -> set[str]:
        """The names of the layers that it changes."""
        return {*self.low_rank, *self.replaced}


class Rows:
    """Which adapter each token of the current pass uses; written before a pass, read by every wrapped layer."""

    def __init__(self) -> None:
        # Each adapter with the tokens that use it, [1, tokens, 1], and the segments that do; None: all of them.
        self.active: list[tuple[LoadedAdapter, tuple[torch.Tensor, torch.Tensor] | None]] = []

    def aim(
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


class RowLinear(torch.nn.Module):
    """A linear layer (or an embedding) whose tokens may each have an adapter of their own."""

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
                return self._with(whole, x)
        result: torch.Tensor = self.base(x)
        for adapter, masks in active:
            mask = None
            if masks is not None:
                # The last layer sees only the last token of each segment.
                mask = masks[0] if masks[0].shape[1] == x.shape[1] else masks[1]
            if (part := adapter.low_rank.get(self.name)) is not None:
                inner = x @ part.down
                result += (inner if mask is None else inner * mask) @ part.up
            elif (whole := adapter.replaced.get(self.name)) is not None:
                assert mask is not None
                result = torch.where(mask.bool(), self._with(whole, x), result)
        return result

    def _with(self, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.base, torch.nn.Embedding):
            return functional.embedding(x, weight, self.base.padding_idx)
        return functional.linear(x, weight, self.base.bias)  # type: ignore[arg-type] # a Linear's


@torch.inference_mode()
def load_adapter(model: torch.nn.Module, adapter: Adapter) -> LoadedAdapter:
    """`adapter` on the model's device; the model stays as it is. Raises `ModelError` when it does not fit."""
    described = read_adapter(adapter.folder, adapter.id)
    check_adapter(described, _shapes(model), complete=True)
    stamps = file_stamps(adapter.folder)
    tensors, files = _tensors(adapter.folder, described.tensors)
    loaded = LoadedAdapter(adapter.id, files, stamps)
    for (name, kind), tensor in tensors.items():
        layer = model.get_submodule(name)
        layer = layer.base if isinstance(layer, RowLinear) else layer
        weight: torch.Tensor = layer.weight  # type: ignore[assignment] # a Linear's or an Embedding's
        if kind == "weight":
            loaded.replaced[name] = tensor.to(weight)
        elif kind == "lora_A":
            up, rank = tensors[name, "lora_B"].float(), tensor.shape[0]
            up = up * _scaling(described.config, name, rank)
            magnitude = tensors.get((name, "lora_magnitude_vector"))
            if magnitude is not None:
                whole = weight.float() + up.to(weight.device) @ tensor.float().to(weight.device)
                ratio = magnitude.float().to(weight.device) / whole.norm(dim=1)
                loaded.replaced[name] = (whole * ratio[:, None]).to(weight.dtype)
            else:
                compute = weight.dtype if weight.dtype.is_floating_point else next(model.parameters()).dtype
                loaded.low_rank[name] = LowRank(
                    tensor.T.to(weight.device, compute).contiguous(), up.T.to(weight.device, compute).contiguous()
                )
    return loaded


def file_stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change (ns) of each file in the folder; empty for a folder that is not there."""
    try:
        found = {file.name: file.stat() for file in folder.iterdir() if file.is_file()}
    except OSError:
        return {}
    return {name: (about.st_size, about.st_mtime_ns) for name, about in found.items()}


def wrap_layers(model: torch.nn.Module, names: set[str], rows: Rows) -> None:
    """Wrap the layers `names` that are not wrapped yet."""
    for name in names:
        layer = model.get_submodule(name)
        if not isinstance(layer, RowLinear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, RowLinear(layer, name, rows))


@torch.inference_mode()
def merge(model: torch.nn.Module, adapter: LoadedAdapter, *, keep_base: bool) -> None:
    """Give `adapter` whole weights, beside the base's, or (not `keep_base`) in their place."""
    for name, part in adapter.low_rank.items():
        weight = _weight(model, name)
        exact = torch.promote_types(weight.dtype, torch.float32)
        whole = weight.to(exact, copy=True).addmm_(part.up.T.to(exact), part.down.T.to(exact))
        if keep_base:
            adapter.merged[name] = whole.to(weight.dtype)
        else:
            weight.copy_(whole)
    if not keep_base:
        for name, whole in adapter.replaced.items():
            _weight(model, name).copy_(whole)
        adapter.low_rank, adapter.replaced = {}, {}


def merged_bytes(model: torch.nn.Module, adapter: LoadedAdapter) -> int:
    """What a merged copy beside the base takes."""
    return sum(_weight(model, name).nbytes for name in adapter.low_rank)


def _weight(model: torch.nn.Module, name: str) -> torch.Tensor:
    weight: torch.Tensor = model.get_submodule(name).weight  # type: ignore[assignment] # a Linear's
    return weight


def _shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every layer that an adapter can change."""
    found = {}
    for name, layer in model.named_modules():
        kept = layer.base if isinstance(layer, RowLinear) else layer
        if isinstance(kept, torch.nn.Linear):
            found[name] = (kept.out_features, kept.in_features)
        elif isinstance(kept, torch.nn.Embedding):
            found[name] = (kept.num_embeddings, kept.embedding_dim)
    return {name: shape for name, shape in found.items() if not name.endswith(".base")}


def _tensors(
    folder: Path, described: Sequence[AdapterTensor]
) -> tuple[dict[tuple[str, Kind], torch.Tensor], dict[str, str]]:
    """The tensors, and the SHA-256 of the folder's files; the weights' is of the very bytes that were loaded."""
    files, tensors = {}, {}
    try:
        for file in sorted(each for each in folder.iterdir() if each.is_file()):
            content = file.read_bytes()
            files[file.name] = hashlib.sha256(content).hexdigest()
            if file.name == ADAPTER_WEIGHTS:
                named = safetensors.torch.load(content)
                tensors = {(each.layer, each.kind): named[each.key] for each in described}
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise ModelError(f"{folder / ADAPTER_WEIGHTS} cannot be read, or was changed meanwhile: {error}") from error
    return tensors, files


def _scaling(config: Mapping[str, Any], layer: str, rank: int) -> float:
    """As peft scales it: lora_alpha / rank, or / sqrt(rank) when rank-stabilised."""
    alpha = float(config.get("lora_alpha") or rank)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            alpha = float(value)
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
