"""In which numbers a model is computed: the type, and the weights in fewer bits, as settings and device allow."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import torch

from aitk_app.engine.adapter_files import ModelError
from aitk_app.engine.layout import has_sixteen_bits
from aitk_app.loading.folders import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from aitk_app.settings import Settings

_NO_BITSANDBYTES: Final = (
    "quantization = nf4 needs the package bitsandbytes, which is not installed. "
    "Add it to requirements.txt, or write quantization = none in settings.toml."
)
_ON_A_PROCESSOR: Final = (
    'quantization = "int8" in inference/settings.toml is for a processor, and the model is to run on {device}: '
    'write quantization = "nf4" there, or device = "cpu".'
)
_WITHOUT_PRODUCTS: Final = (
    'quantization = "int8" in inference/settings.toml: this processor ({machine}) has no instructions for it that '
    'PyTorch uses (AVX2 or better), so that it would be slower than whole numbers. Write quantization = "none".'
)
_TWICE: Final = (
    'quantization = "int8" in inference/settings.toml: the base model\'s weights are in few bits already '
    '({method}). Write quantization = "none", or name the full model as base_model.'
)
_ONLY_SIXTEEN: Final = (
    'quantization = "int8" computes in bfloat16, and dtype = "{dtype}" in inference/settings.toml asks for something '
    'else: write dtype = "auto".'
)


def check_quantization(settings: Settings, device: str, folder: Path) -> None:
    """Raise `ModelError` for weights in fewer bits that `device`, or the model in `folder`, cannot have."""
    if settings.quantization == "nf4" and find_spec("bitsandbytes") is None:
        raise ModelError(_NO_BITSANDBYTES)
    if settings.quantization != "int8":
        return
    if device != "cpu":
        raise ModelError(_ON_A_PROCESSOR.format(device=device))
    found = torch.cpu.get_capabilities()
    if not found.get("avx2"):
        raise ModelError(_WITHOUT_PRODUCTS.format(machine=found.get("architecture", "unknown")))
    if settings.dtype not in {"auto", "bfloat16"}:
        raise ModelError(_ONLY_SIXTEEN.format(dtype=settings.dtype))
    packed = read_json(folder / "config.json").get("quantization_config")
    if isinstance(packed, dict):
        raise ModelError(_TWICE.format(method=packed.get("quant_method", "of an unknown kind")))


def choose_dtype(settings: Settings, device: str) -> torch.dtype:
    """The numbers' type: what the settings say, or what the device computes fastest without losing range.

    On a processor that is bfloat16 where it has instructions for it, and float32 elsewhere.
    """
    if settings.quantization == "int8":
        return torch.bfloat16
    if settings.dtype != "auto":
        dtype: torch.dtype = getattr(torch, settings.dtype)
        return dtype
    if not device.startswith("cuda"):
        return torch.bfloat16 if has_sixteen_bits() else torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
