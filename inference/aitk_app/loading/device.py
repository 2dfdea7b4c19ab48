"""Chooses the device that a model runs on: a GPU where one is paid for is used, or the start fails and says why."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from aitk_app.engine.adapter_files import ModelError
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_ON_THE_PROCESSOR: Final = 'To answer on the processor all the same, write device = "cpu" in inference/settings.toml.'
_PARAMETERS: Final = "infra/provision/inference.parameters.json"
_TOO_OLD: Final = (
    "The driver of the GPU's node is too old for the CUDA {cuda} of the image. "
    f"Name an image with an older CUDA as image in {_PARAMETERS}, and provision again."
)
_NO_GPU: Final = (
    "The replica has no GPU: its workload profile has none, or gives none to this container. "
    f"Compare workloadProfileName and workloadProfileType in {_PARAMETERS} with the environment's profiles, "
    "and provision again."
)
_FOR_PROCESSORS: Final = (
    "The installed PyTorch {torch} is one for processors only. "
    "Let inference/requirements.txt leave torch to the image, and deploy again."
)
# PyTorch tells these cases apart in words only (c10/cuda/CUDAFunctions.cpp, torch/cuda/__init__.py).
_CAUSES: Final = (
    (re.compile("driver on your system is too old|driver version is insufficient"), _TOO_OLD),
    (re.compile("Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device"), _NO_GPU),
    (re.compile("not compiled with CUDA"), _FOR_PROCESSORS),
)


@dataclass(frozen=True)
class Running:
    """Where a model runs, as `/version` and the chat page tell it; `gpu` is None on a processor."""

    device: str
    dtype: str
    gpu: str | None

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype) -> Running:
        """What a loaded model's weights say."""
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        return cls(str(device), str(dtype).removeprefix("torch."), gpu)

    def in_words(self) -> str:
        """`NVIDIA A100 80GB PCIe (cuda:0, bfloat16)`, `cpu, float32`."""
        return f"{self.gpu} ({self.device}, {self.dtype})" if self.gpu else f"{self.device}, {self.dtype}"


def choose_device(wanted: str, environment: Mapping[str, str]) -> str:
    """The device for the setting `wanted`. Raises `ModelError` for a GPU that PyTorch cannot use.

    Container Apps names itself in a replica's environment: there "auto" means a GPU, because one is billed. On this
    computer, the local cloud's replicas included (`AITK_GPU=optional`), "auto" is a processor where there is no GPU.
    """
    is_optional = "CONTAINER_APP_NAME" not in environment or environment.get("AITK_GPU") == "optional"
    if wanted == "auto" and is_optional:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted != "auto" and not wanted.startswith("cuda"):
        return wanted
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call] # untyped there
        found = torch.cuda.device_count()
    except (RuntimeError, AssertionError) as error:
        raise ModelError(no_gpu(str(error), log_says(error, "PyTorch can use no GPU"))) from error
    if not found:
        raise ModelError(no_gpu("No CUDA GPUs are available", ""))
    number = wanted.partition(":")[2]
    if number.isdecimal() and int(number) >= found:
        raise ModelError(
            f'device = "{wanted}" in inference/settings.toml: there are {found} GPUs, the first is cuda:0.'
        )
    return "cuda" if wanted == "auto" else wanted


def no_gpu(told: str, log: str) -> str:
    """Why there is no GPU to run on and what to do, from what PyTorch `told`; `log` says where its own words are."""
    cause = next((text for pattern, text in _CAUSES if pattern.search(told)), "")
    advice = cause.format(cuda=torch.version.cuda, torch=torch.__version__)
    return " ".join(filter(None, ("PyTorch can use no GPU here.", advice, log, _ON_THE_PROCESSOR)))
