"""Linear layers whose weights are kept in eight bits, on a processor: PyTorch's own product with bfloat16 activations.

A weight is kept as whole numbers with a scale for each output. The output layer stays as it is: it is often the
embedding too, and an error there is an error of the logits themselves. An adapter's own product comes on top, exact.
"""

from __future__ import annotations

from typing import Any

import torch

from aitk_app.engine.adapter_files import ModelError

_FEW_ROWS = 20  # up to here PyTorch's product for eight bits was measured to be faster (`benchmarks/products.py`)
_LARGEST = 127


class EightBitLinear(torch.nn.Linear):
    """A linear layer of `values` int8 `[outputs, inputs]` and `scale` `[outputs]`; `weight` is what they stand for."""

    values: torch.nn.Parameter
    scale: torch.nn.Parameter

    def __init__(self, layer: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / _LARGEST
        scale = scale.to(layer.weight.dtype)  # what is multiplied by later
        values = (weight / scale.float()[:, None]).round_().clamp_(-_LARGEST, _LARGEST).to(torch.int8)
        self.values = torch.nn.Parameter(values, requires_grad=False)
        self.scale = torch.nn.Parameter(scale, requires_grad=False)
        self.bias = layer.bias

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        """The weight that is computed with, made anew; changing it changes nothing."""
        return (self.values.float() * self.scale.float()[:, None]).to(self.scale.dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as torch names it
        """The outputs of each row."""
        rows = input.reshape(-1, self.in_features)
        if len(rows) <= _FEW_ROWS:
            found = torch.ops.aten._weight_int8pack_mm(rows.contiguous(), self.values, self.scale)  # noqa: SLF001 - an operator's name
        else:  # whole numbers of eight bits are exact in bfloat16
            found = torch.nn.functional.linear(rows, self.values.to(rows.dtype)) * self.scale
        if self.bias is not None:
            found += self.bias
        outputs: torch.Tensor = found.reshape(*input.shape[:-1], self.out_features)
        return outputs

    def as_plain(self) -> torch.nn.Linear:
        """A plain layer that computes the same, with a weight of its own."""
        plain = torch.nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        plain.weight = torch.nn.Parameter(self.weight, requires_grad=False)
        plain.bias = self.bias
        return plain


@torch.inference_mode()
def to_eight_bits(model: Any) -> None:  # noqa: ANN401 - of transformers
    """Keep the linear layers' weights in eight bits from now on, one after the other. Raises `ModelError`."""
    head = model.get_output_embeddings()
    changed = 0
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer is not head:
                setattr(parent, name, EightBitLinear(layer))
                changed += 1
    if not changed:
        raise ModelError(
            f"quantization = int8 finds no linear layer in a model of the kind {model.config.model_type}. "
            'Write quantization = "none" in inference/settings.toml.'
        )
