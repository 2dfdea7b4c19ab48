"""What the open files are told of the model and the GPU that they name: it does not fit, and what would."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import WorkspaceError
from ai_toolkit.provision.gpu_need import SERVERLESS, Need
from ai_toolkit.provision.gpu_proposal import table
from ai_toolkit.provision.model_fit import app_settings, need_with, need_without_settings
from ai_toolkit.workspace.diagnostics import Finding, Fix, Weight
from ai_toolkit.workspace.json_positions import Span, members
from ai_toolkit.workspace.workspace import ADAPTERS, BASE_MODELS, Workspace

_DEFAULT: Final = "Consumption-GPU-NC24-A100"
_KEYS: Final = ("quantization", "context_length", "dtype")
"""Of `settings.toml`, those that make a model smaller; a finding stands at the first that is there."""


def findings(workspace: Workspace, path: Path, text: str) -> list[Finding]:
    """What the parameters file and `settings.toml` are told of model and GPU, as they stand in the editor."""
    match path.relative_to(workspace.folder).as_posix():
        case "infra/provision/inference.parameters.json" | "infra/inference.parameters.json":
            return list(_in_parameters(workspace, text))
        case "inference/settings.toml":
            return list(_in_settings(workspace, text))
    return []


def _in_parameters(workspace: Workspace, text: str) -> Iterator[Finding]:
    try:
        document, places = json.loads(text), members(text)
        entries = document["parameters"]
        written = next((name for name in entries if name.lower() == "workloadprofiletype"), None)
        named = entries[written].get("value") if written is not None else None
    except (ValueError, LookupError, TypeError, AttributeError):  # which other findings tell
        return
    settings = app_settings(workspace.folder)
    message = misfit(workspace, settings, named if isinstance(named, str) else None)
    if message and isinstance(named, str):
        place = places["parameters", str(written), "value"].value
        better = fitting_profile(workspace, settings)
        fix = Fix(f"Change to {better}", place, json.dumps(better)) if better is not None else None
        yield Finding(place, message, Weight.WARNING, fix)
    elif message:
        yield Finding(places["parameters",].key, message, Weight.WARNING)


def _in_settings(workspace: Workspace, text: str) -> Iterator[Finding]:
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # which another finding tells
        return
    profile = profile_of(workspace)
    message = misfit(workspace, settings, profile) or _for_a_processor(workspace, settings, profile)
    if message:
        found = next((at for key in _KEYS if (at := re.search(rf"^{key}\b", text, re.MULTILINE))), None)
        yield Finding(Span(*found.span()) if found else Span(0, 1), message, Weight.WARNING)


def _for_a_processor(workspace: Workspace, settings: Mapping[str, Any], profile_type: str | None) -> str:
    """One sentence where eight bits, which a processor has, are to be served from a GPU on Azure; empty otherwise."""
    try:
        target = workspace.target_or_none()
    except WorkspaceError:  # which other findings tell
        return ""
    profile = profile_type or _DEFAULT
    asked = settings.get("quantization") == "int8" and settings.get("device", "auto") == "auto"
    if not asked or target is None or target.local or profile not in SERVERLESS:
        return ""
    return f'quantization: int8 is for a processor, and {profile} has a GPU: write nf4, or device = "cpu".'


def misfit(workspace: Workspace, settings: Mapping[str, Any], profile_type: str | None) -> str:
    """One sentence where the model that lies here does not fit the GPU, with what to do; empty otherwise.

    `settings` are the app's as they stand in the editor; `profile_type` None means the template's default. Nothing is
    said of a model that is only on the share, or of a GPU whose memory is not known.
    """
    gpu = SERVERLESS.get(profile_type or _DEFAULT)
    need = _need(workspace.folder, settings)
    if gpu is None or need is None or need.fits(gpu):
        return ""
    says = f"{need.name} does not fit {profile_type or _DEFAULT}: {need.in_words()}, {gpu} GB on the GPU."
    return " ".join((says, *_ways(need, gpu)))


def fitting_profile(workspace: Workspace, settings: Mapping[str, Any]) -> str | None:
    """The cheapest profile that the model fits; None where none does, or nothing is known of it."""
    need = _need(workspace.folder, settings)
    if need is None:
        return None
    return next((gpu.type for gpu in table()[1] if need.fits(gpu.memory_gb)), None)


def profile_of(workspace: Workspace) -> str | None:
    """What the parameters file on the disk names; None where it names none, or cannot be read."""
    try:
        found = workspace.parameters().values.get("workloadProfileType")
    except (WorkspaceError, OSError):
        return None
    return found if isinstance(found, str) else None


def _ways(need: Need, gpu_gb: int) -> Iterator[str]:
    larger = next((one for one in table()[1] if one.memory_gb > gpu_gb and need.fits(one.memory_gb)), None)
    if larger is not None:
        yield f"It fits {larger.type} ({larger.memory_gb} GB)."
    changed = need.changed_for(gpu_gb)
    if changed is not None:
        yield f"Or write {changed.keys_from(need)}." if larger is not None else f"Write {changed.keys_from(need)}."
    if larger is None and changed is None:
        yield "No setting makes it fit."


def _need(folder: Path, settings: Mapping[str, Any]) -> Need | None:
    """What the model here needs with the settings. Its files are read anew only where one of them changed."""
    files = [path for name in (ADAPTERS, BASE_MODELS) for path in (folder / name).rglob("*") if path.is_file()]
    state = tuple(sorted((str(path), (found := path.stat()).st_mtime_ns, found.st_size) for path in files))
    base = _read(folder, str(settings.get("dtype")), state)
    return None if base is None else need_with(base, settings)


@lru_cache(maxsize=8)
def _read(folder: Path, dtype: str, _state: tuple[tuple[str, int, int], ...]) -> Need | None:
    return need_without_settings(folder, dtype)
