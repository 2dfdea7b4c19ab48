"""Puts the sample's models into a workspace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ai_toolkit.workspace.sample.base_model import BASE_MODEL_ID, base_model

ADAPTER_FOLDER = Path(__file__).parent / "adapter"
ADAPTER_PLACE = Path("models/qlora/qlora/gpu_model/adapter")
SECOND_ADAPTER_FOLDER = Path(__file__).parent / "second_adapter"
SECOND_ADAPTER_PLACE = Path("models/butler")
_SETTINGS = Path("inference/settings.toml")
_NO_DEFAULT = 'default_adapter = ""\n'


def place_sample(workspace: Path) -> None:
    """Put base model and adapter where fine-tuning would leave them; what is there already stays.

    The first call on a computer converts the base model (half a minute). Raises `SampleModelError`.
    """
    _place(base_model(), workspace / "model-cache" / BASE_MODEL_ID, linked=True)
    _place(ADAPTER_FOLDER, workspace / ADAPTER_PLACE, linked=False)


def place_second_adapter(workspace: Path) -> None:
    """Put an adapter of another style beside the sample's, which stays the one that answers by default."""
    _place(SECOND_ADAPTER_FOLDER, workspace / SECOND_ADAPTER_PLACE, linked=False)
    settings = workspace / _SETTINGS
    if settings.is_file():
        text = settings.read_bytes().decode("utf-8")  # with the line ends that it has
        named = f'default_adapter = "{ADAPTER_PLACE.relative_to("models").as_posix()}"\n'
        settings.write_bytes(text.replace(_NO_DEFAULT, named).encode("utf-8"))  # one that somebody named stays


def _place(source: Path, target: Path, *, linked: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        if not file.is_file() or (target / file.name).exists():
            continue
        beside = target / f"{file.name}.part"
        beside.unlink(missing_ok=True)
        if not (linked and _hard_link(file, beside)):
            shutil.copyfile(file, beside)
        beside.replace(target / file.name)


def _hard_link(file: Path, beside: Path) -> bool:
    """Whether `beside` is now another name of `file`: a quarter of a gigabyte saved per workspace."""
    try:
        os.link(file, beside)
    except OSError:  # another file system, or one without hard links
        return False
    return True
