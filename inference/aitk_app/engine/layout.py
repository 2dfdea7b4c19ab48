"""Lays a model's weights out in memory as the matrix library reads them quickest for the few rows of a step."""

from __future__ import annotations

import torch

_TYPES = {torch.float32, torch.float64}  # what oneDNN multiplies in 16 bits has a layout of its own


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
