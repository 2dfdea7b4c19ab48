"""What an adapter's files say, read before anything is loaded, and whether it fits a base model.

Only `adapter_config.json` and the header of the safetensors file are read: a moment, whatever the size.
Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Kinds of adapters that change layers, each tried against peft's own answers (tests/inference/conformance). Others of
# peft's add to the prompt, route between adapters, or hold a model of their own.
SERVED_TYPES = frozenset({
    "ADALORA", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA", "HRA", "IA3",
    "LILY", "LN_TUNING", "LOHA", "LOKR", "LORA", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA", "RANDLORA", "ROAD",
    "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip
_PICKLED = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")
_HEADER_LIMIT_BYTES = 100_000_000
_VOCABULARY = ("embed_tokens", "wte", "word_embeddings", "lm_head", "embed_out")

Kind = Literal["lora_A", "lora_B", "lora_magnitude_vector", "weight"]


class ModelError(Exception):
    """A model that should be served is missing or does not fit; the message names it and says what to do."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, and the id that requests use."""

    id: str
    folder: Path
    base_name: str  # what its configuration says it was trained on


@dataclass(frozen=True)
class AdapterTensor:
    """One tensor of an adapter, and the base model's layer that it belongs to."""

    key: str
    layer: str
    kind: Kind
    shape: tuple[int, ...]


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter as its files describe it."""

    id: str
    base_name: str
    config: Mapping[str, Any]
    tensors: tuple[AdapterTensor, ...]


def read_adapter(folder: Path, name: str) -> AdapterFiles:
    """The adapter in `folder`. Raises `ModelError` for what is missing, unreadable or not served."""
    config = read_adapter_config(folder, name)
    weights = folder / ADAPTER_WEIGHTS
    if not weights.is_file():
        pickled = next((each for each in _PICKLED if (folder / each).is_file()), None)
        raise ModelError(
            f"The adapter {name} has no {ADAPTER_WEIGHTS}"
            + (f" but {pickled}, a pickle file, which can run code. Save it as safetensors." if pickled else ".")
        )
    shapes = safetensors_shapes(weights)
    tensors = tuple(each for key, shape in shapes.items() if (each := _described(key, shape)))
    if not shapes:
        raise ModelError(f"The adapter {name} is empty: {weights} has no tensors.")
    return AdapterFiles(name, str(config.get("base_model_name_or_path") or ""), config, tensors)


def read_adapter_config(folder: Path, name: str) -> dict[str, Any]:
    """adapter_config.json. Raises `ModelError`."""
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
        kind = config.get("peft_type")
    except FileNotFoundError as error:
        raise ModelError(f"The adapter {name} is missing: there is no {ADAPTER_CONFIG} in {folder}.") from error
    except (ValueError, AttributeError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ModelError(f"The adapter {name}: {ADAPTER_CONFIG} is not valid JSON{place}.") from error
    if kind not in SERVED_TYPES:
        raise ModelError(
            f"The adapter {name} is of type {kind}, which is not served: LoRA is, and peft's other kinds that change "
            "layers. Fine-tune with one of these."
        )
    found: dict[str, Any] = config
    return found


def safetensors_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape, from the header alone. Raises `ModelError`."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, _HEADER_LIMIT_BYTES)))
        entries = {key: value for key, value in header.items() if key != "__metadata__"}
        wanted = 8 + length + max((value["data_offsets"][1] for value in entries.values()), default=0)
        shapes = {key: tuple(value["shape"]) for key, value in entries.items()}
        there = file.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{file} is not a whole safetensors file"
        raise ModelError(f"{what}. {log_says(error, what)}") from error
    if there != wanted:
        raise ModelError(f"{file} is not a whole safetensors file: {there} bytes, its header says {wanted}.")
    return shapes


def check_adapter(adapter: AdapterFiles, base: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ModelError` where a tensor cannot belong to the layers `base` (name -> shape, outputs first).

    Only what the headers tell is looked at; peft has the last word when it loads the adapter.
    """
    kinds = {(each.layer, each.kind): each for each in adapter.tensors}
    for each in adapter.tensors:
        for kind, other in (("lora_A", "lora_B"), ("lora_B", "lora_A")):
            if each.kind == kind and (each.layer, other) not in kinds:
                raise ModelError(f"The adapter {adapter.id} is incomplete: {each.layer} has {kind} but no {other}.")
        shape = base.get(each.layer)
        if shape is not None and (wrong := _mismatch(each, shape)) is not None:
            raise ModelError(
                f"The adapter {adapter.id} does not fit the base model: {each.key} {wrong}. "
                f"It was trained on {adapter.base_name or 'another base model'}."
            )
        if each.kind == "lora_A" and kinds[each.layer, "lora_B"].shape[1] != each.shape[0]:
            raise ModelError(f"The adapter {adapter.id} is broken: the ranks of {each.layer} differ.")


def _mismatch(tensor: AdapterTensor, base: tuple[int, ...]) -> str | None:
    outputs, inputs = base[0], base[-1]
    expected: dict[Kind, tuple[str, int, int]] = {
        "lora_A": ("inputs", tensor.shape[-1], inputs),
        "lora_B": ("outputs", tensor.shape[0], outputs),
        "lora_magnitude_vector": ("outputs", tensor.shape[0], outputs),
    }
    if tensor.kind == "weight":
        # More rows of an embedding or a head are tokens that the adapter adds.
        if tensor.shape == base or (tensor.layer.endswith(_VOCABULARY) and tensor.shape[1:] == base[1:]):
            return None
        return f"has the shape {list(tensor.shape)}, there it is {list(base)}"
    what, has, wanted = expected[tensor.kind]
    # Either way around: GPT-2's layers have their inputs first.
    return None if has in {wanted, inputs, outputs} else f"has {has} {what}, there it is {wanted}"


def _described(key: str, shape: tuple[int, ...]) -> AdapterTensor | None:
    """What the key says; None for a kind that only peft understands."""
    inner = key.removeprefix("base_model.model.")
    if match := re.fullmatch(r"(.+)\.(lora_[AB])(?:\.\w+)?\.weight", inner):
        kind: Kind = "lora_A" if match[2] == "lora_A" else "lora_B"
        # Otherwise a convolution's.
        return AdapterTensor(key, match[1], kind, shape) if len(shape) == 2 else None  # noqa: PLR2004 - a matrix
    if match := re.fullmatch(r"(.+)\.lora_magnitude_vector(?:\.\w+)?(?:\.weight)?", inner):
        return AdapterTensor(key, match[1], "lora_magnitude_vector", shape)
    if "lora_" not in inner and (match := re.fullmatch(r"(.+?)(?:\.modules_to_save(?:\.\w+)?)?\.weight", inner)):
        return AdapterTensor(key, match[1].removesuffix(".base_layer"), "weight", shape)
    return None
