"""What there is to serve: base model and adapters as files, chosen by the settings, before any loading."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from aitk_app.engine.adapter_files import (
    ADAPTER_CONFIG,
    Adapter,
    ModelError,
    check_adapter,
    read_adapter,
    read_adapter_config,
    safetensors_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aitk_app.settings import Settings

_CHECKPOINT = re.compile(r"checkpoint-\d+")  # as transformers' Trainer names them
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class HubModel:
    """A repository on a hub at a revision."""

    id: str
    revision: str

    @classmethod
    def read(cls, text: str) -> HubModel | None:
        """From `org/name@revision` or `org/name`; None for what is a path."""
        name, _, revision = text.partition("@")
        return cls(name, revision or "main") if _HUB_ID.fullmatch(name) else None


class BaseModelMissingError(ModelError):
    """It is not in model-cache/; `hub` says where it can be had."""

    def __init__(self, message: str, hub: HubModel | None) -> None:
        super().__init__(message)
        self.hub = hub


@dataclass(frozen=True)
class BaseModel:
    """A base model's folder, and the id that requests use."""

    id: str
    folder: Path


@dataclass(frozen=True)
class Catalog:
    """What is served; `default` is the id of the model that answers when a request names none."""

    share: Path
    base: BaseModel
    adapters: tuple[Adapter, ...]
    default: str


def find_models(share: Path, settings: Settings) -> Catalog:
    """The models that the settings ask for. Raises `ModelError`, never falls back to the base model."""
    models, cache = share / "models", share / "model-cache"
    adapters = tuple(_adapters(models, settings))
    if settings.adapters == "auto" and not adapters:
        raise ModelError(
            f"No adapter was found: looked for {ADAPTER_CONFIG} at any depth below {models}. "
            "Fine-tune first, or put the adapter there. To serve only the base model, write "
            'adapters = "none" in settings.toml.'
        )
    default = _default(adapters, settings)
    base = _base(cache, settings, default)
    shapes = _layer_shapes(base) if adapters else {}
    for adapter in adapters:
        # Whoever names a base model means it; whether the adapter fits is then seen by its shapes.
        if settings.base_model == "auto" and not _names(adapter.base_name, base):
            raise ModelError(
                f"The adapter {adapter.id} was trained on {adapter.base_name}, but the base model is "
                f"{base.id}. Name the adapters that belong to it in settings.toml (adapters), or "
                f"another base_model."
            )
        check_adapter(read_adapter(adapter.folder, adapter.id), shapes)
    if base.id in {adapter.id for adapter in adapters}:
        raise ModelError(f"An adapter and the base model have the same name, {base.id}. Rename the adapter.")
    return Catalog(share, base, adapters, default.id if default else base.id)


def _adapters(models: Path, settings: Settings) -> Iterator[Adapter]:
    if settings.adapters == "none":
        return
    if settings.adapters == "auto":
        for folder in final_adapters(each.parent for each in models.rglob(ADAPTER_CONFIG)):
            yield _adapter(folder.relative_to(models).as_posix(), folder)
        return
    wanted: Mapping[str, str]
    if isinstance(settings.adapters, tuple):
        wanted = {path: path for path in settings.adapters}
    else:
        assert not isinstance(settings.adapters, str)
        wanted = settings.adapters
    for name, path in wanted.items():
        folder = models / path
        if not (folder / ADAPTER_CONFIG).is_file():
            there = sorted(each.parent.relative_to(models).as_posix() for each in models.rglob(ADAPTER_CONFIG))
            raise ModelError(
                f"The adapter {name} is missing: there is no {ADAPTER_CONFIG} in {folder}. "
                f"Adapters below {models}: {', '.join(there) or 'none'}."
            )
        yield _adapter(name, folder)


def final_adapters(folders: Iterable[Path]) -> list[Path]:
    """Without the checkpoints that a trainer left beside or below the final adapter; without that, the newest."""
    found = sorted(folders)
    kept = [each for each in found if not _CHECKPOINT.fullmatch(each.name)]
    runs: dict[Path, list[Path]] = {}
    for each in found:
        if _CHECKPOINT.fullmatch(each.name):
            runs.setdefault(each.parent, []).append(each)
    for run, checkpoints in runs.items():
        if not any(run in {each, each.parent} for each in kept):
            kept.append(max(checkpoints, key=lambda each: int(each.name.rpartition("-")[2])))
    return sorted(kept)


def _adapter(name: str, folder: Path) -> Adapter:
    config = read_adapter_config(folder, name)
    return Adapter(name, folder, str(config.get("base_model_name_or_path") or ""))


def _layer_shapes(base: BaseModel) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the base model's layers, from the headers of its files."""
    found = {}
    for file in sorted(base.folder.glob("*.safetensors")):
        for key, shape in safetensors_shapes(file).items():
            if key.endswith(".weight"):
                found[key.removesuffix(".weight")] = shape
    return found


def _default(adapters: tuple[Adapter, ...], settings: Settings) -> Adapter | None:
    listed = ", ".join(adapter.id for adapter in adapters) or "none"
    if settings.default_adapter:
        for adapter in adapters:
            if adapter.id == settings.default_adapter:
                return adapter
        raise ModelError(f"The default adapter {settings.default_adapter} is not there. Adapters: {listed}.")
    if len(adapters) > 1:
        raise ModelError(f"Several adapters, and no default: {listed}. Name one in settings.toml: default_adapter.")
    return adapters[0] if adapters else None


def _base(cache: Path, settings: Settings, default: Adapter | None) -> BaseModel:
    there = {config.parent.relative_to(cache).as_posix(): config.parent for config in sorted(_configs(cache))}
    listed = ", ".join(there) or "nothing"
    if settings.base_model != "auto":
        hub = HubModel.read(settings.base_model)
        folder = cache / (hub.id if hub else settings.base_model)  # an absolute path stays itself
        if not (folder / "config.json").is_file():
            raise BaseModelMissingError(
                f"The base model is missing: there is no config.json in {folder}. In {cache}: {listed}.", hub
            )
        name = folder.relative_to(cache).as_posix() if folder.is_relative_to(cache) else folder.name
        return BaseModel(name, folder)
    if default is None:
        if len(there) == 1:
            return BaseModel(*next(iter(there.items())))
        found = f"{cache} holds {listed}"
        raise ModelError(
            f"No adapter says which base model to take, and {found}. Name it in settings.toml: base_model."
        )
    for name, folder in there.items():
        if _names(default.base_name, BaseModel(name, folder)):
            return BaseModel(name, folder)
    raise BaseModelMissingError(
        f"The base model {default.base_name}, on which the adapter {default.id} was trained, is not below "
        f"{cache}, which holds {listed}. Put it there, or name it in settings.toml: base_model.",
        HubModel.read(default.base_name),
    )


def _configs(cache: Path) -> Iterator[Path]:
    """Every model's config.json below `cache`, at most two folders deep (`<org>/<name>`)."""
    for pattern in ("*/config.json", "*/*/config.json"):
        yield from (each for each in cache.glob(pattern) if not (each.parent / ADAPTER_CONFIG).exists())


def _names(named: str, base: BaseModel) -> bool:
    """Whether an adapter that names `named`, an id or a path where it was trained, means `base`."""
    if named == base.id:
        return True
    parts = PureWindowsPath(named).parts if "\\" in named else PurePosixPath(named).parts
    wanted = tuple(part.lower() for part in PurePosixPath(base.id).parts)
    return tuple(part.lower() for part in parts[-len(wanted) :]) == wanted


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weight_headers(folder: Path) -> dict[str, dict[str, object]]:
    """Size of each file and, for safetensors, the hash of its header (with its length prefix)."""
    headers: dict[str, dict[str, object]] = {}
    for file in sorted(folder.iterdir()):
        if not file.is_file():
            continue
        entry: dict[str, object] = {"size": file.stat().st_size}
        if file.suffix == ".safetensors":
            with file.open("rb") as stream:
                prefix = stream.read(8)
                header = stream.read(int.from_bytes(prefix, "little"))
            entry["header_sha256"] = hashlib.sha256(prefix + header).hexdigest()
        headers[file.name] = entry
    return headers
