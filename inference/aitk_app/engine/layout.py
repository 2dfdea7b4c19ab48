"""Lays a model's weights out in memory as the matrix library reads them quickest for the few rows of a step.

What each layout brings was measured by `benchmarks/products.py`; its results are in `benchmarks/results/`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from aitk_app.engine.memory import free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import TypeIs

logger = logging.getLogger(__name__)

_TYPES = {torch.float32, torch.float64}  # what oneDNN multiplies in 16 bits has a layout of its own
_ROWS = 16  # for so many the matrix library chooses its layout; it serves fewer and more as well
_OF_FREE_MEMORY = 0.5  # what the second layout may take


@torch.inference_mode()
def lay_out(model: torch.nn.Module) -> None:
    """Keep the weights of the linear layers inputs first, on a processor; shapes, values and sharing stay.

    A weight stays the parameter that it was, `[outputs, inputs]`, and takes no more memory: only its strides change.
    Products of two and more rows with it are then up to twice as fast, products of one row as fast as before.
    """
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and type(layer.weight) is torch.nn.Parameter:
            weight = layer.weight
            if weight.device.type == "cpu" and weight.dtype in _TYPES and weight.is_contiguous():
                weight.data = weight.data.t().contiguous().t()


def has_sixteen_bits() -> bool:
    """Whether the processor multiplies in bfloat16 by instructions of its own, which was measured to be faster."""
    there = torch.cpu.get_capabilities()
    return bool(there.get("avx512_bf16") or there.get("amx_bf16"))


class _Packed:
    """A weight in the matrix library's own layout; twins of a layer share it."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS)  # noqa: SLF001 - an operator's name

    def __deepcopy__(self, memo: dict[int, Any]) -> _Packed:
        return self


class PackedLinear(torch.nn.Linear):
    """A linear layer that also has its weight as the matrix library wants it, so that 2 to 16 rows cost as one does.

    `weight` stays the parameter that it was, and is shared with whoever else has it; whoever changes it calls `pack`.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.pack()

    def pack(self) -> None:
        """Lay the present weight out anew."""
        self.packed = _Packed(self.weight)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as torch names it
        """The same numbers, rounded in another order."""
        if input.dtype is torch.float32 and input.numel() == self.in_features:
            return super().forward(input)  # one row in 32 bits is read quickest inputs first
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - an operator's name
            input, self.packed.weight, self.bias, "none", [], None
        )
        return found


def pack_layers(model: torch.nn.Module) -> None:
    """Let the linear layers of `model` have their weights packed, where that is faster and memory allows."""
    layers = list(_packable(model))
    needed = sum(layer.weight.nbytes for _, _, layer in layers)
    if not layers or needed > free_bytes(torch.device("cpu")) * _OF_FREE_MEMORY:
        return
    for parent, name, layer in layers:
        setattr(parent, name, PackedLinear(layer))
    logger.info("packed the weights of %s layers, %s MB", len(layers), needed // 10**6)


def packed_layer(layer: torch.nn.Module) -> torch.nn.Module:
    """The layer with its weight packed where that is faster; `layer` itself otherwise."""
    return PackedLinear(layer) if is_packable(layer) else layer


def _packable(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, torch.nn.Linear]]:
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if is_packable(layer):
                yield parent, name, layer


def is_packable(layer: torch.nn.Module) -> TypeIs[torch.nn.Linear]:
    """Whether a second layout of this layer's weight was measured to be faster on this processor."""
    if type(layer) is not torch.nn.Linear or type(layer.weight) is not torch.nn.Parameter:
        return False
    weight = layer.weight
    if weight.device.type != "cpu" or not torch._C._has_mkldnn:  # noqa: SLF001 - as torch.backends.mkldnn asks
        return False
    if layer.bias is not None and layer.bias.dtype is not weight.dtype:
        return False
    if weight.dtype is torch.bfloat16:
        return has_sixteen_bits()
    return weight.dtype is torch.float32 and bool(torch.cpu.get_capabilities().get("avx512_f"))
