"""Folders as trainers and hubs leave them: which of them is final, and which files in them are a model's weights."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aitk_app.engine.adapter_files import ADAPTER_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# As transformers' Trainer names them, torchtune, XTuner, Lightning and accelerate's scripts (checkpoint-500, epoch_1,
# iter_500_hf, epoch=1-step=200, checkpoint-epoch-3); the Trainer pushes a "last-checkpoint".
_CHECKPOINT = re.compile(
    r"(?=.*\d)(?:(?:checkpoint|ckpt|epoch|iter|global_step|step)s?[-_=]?\d*(?:[-_]|$)(?:hf$)?)+|last-checkpoint",
    re.IGNORECASE,
)
# What transformers calls weights. Mistral's repositories hold the same once more as consolidated*.safetensors.
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "consolidated.00.pth")


def final_folders(folders: Iterable[Path]) -> list[Path]:
    """Without the checkpoints that a trainer left beside, below or above the final one; without that, the newest."""
    found = sorted(folders)
    kept = [each for each in found if not _CHECKPOINT.fullmatch(each.name)]
    runs: dict[Path, list[Path]] = {}
    for each in found:
        if _CHECKPOINT.fullmatch(each.name):
            runs.setdefault(each.parent, []).append(each)
    for run, checkpoints in runs.items():
        if not any(run in {each, *each.parents} for each in kept):
            kept.append(max(checkpoints, key=_number))
    return sorted(kept)


def _number(checkpoint: Path) -> tuple[float, ...]:
    """Its numbers in their order, such as epoch and step; what has none is the last."""
    return tuple(float(each) for each in re.findall(r"\d+", checkpoint.name)) or (float("inf"),)


def whole_models(models: Path) -> list[Path]:
    """Folders below `models` that hold a whole model and no adapter, as a merged or full fine-tuning leaves them."""
    found = (each.parent for each in models.rglob("config.json"))
    return final_folders(each for each in found if not (each / ADAPTER_CONFIG).exists() and weight_files(each))


def pickled_models(models: Path) -> list[Path]:
    """Folders below `models` whose only weights are pickle files."""
    found = sorted(each.parent for each in models.rglob("config.json"))
    return [each for each in found if not weight_files(each) and any((each / name).is_file() for name in _PICKLED)]


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers reads a model's weights from, and no other copy of them; empty where it has none."""
    names = wanted_weights(file.name for file in folder.glob("*.safetensors"))
    if _WHOLE in names:
        return [folder / _WHOLE]  # transformers looks for it first
    index = read_json(folder / _INDEX).get("weight_map")
    if isinstance(index, dict):
        listed = {str(each) for each in index.values()}
        names = [name for name in names if name in listed] or names
    return [folder / name for name in names]


def wanted_weights(names: Iterable[str]) -> list[str]:
    """Of a model's safetensors files those that transformers reads: the consolidated ones are a second copy."""
    found = sorted(names)
    return [name for name in found if _WEIGHTS.fullmatch(name)] or [
        name for name in found if not name.startswith(("consolidated", "adapter_model", "optimizer"))
    ]


def read_json(file: Path) -> dict[str, Any]:
    """The object in `file`; empty where there is none."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
