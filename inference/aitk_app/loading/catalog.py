"""What there is to serve: base model and adapters as files, chosen by the settings, before any loading."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitk_app.engine.adapter_files import (
    ADAPTER_CONFIG,
    Adapter,
    ModelError,
    check_adapter,
    read_adapter,
    read_adapter_config,
)
from aitk_app.loading.base_models import (
    BaseModel,
    base_models,
    check_readable,
    find_base,
    fits,
    guessed,
    is_open,
    layer_shapes_of,
    means,
)
from aitk_app.loading.folders import final_folders, pickled_models, whole_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aitk_app.settings import Settings


@dataclass(frozen=True)
class Catalog:
    """What is served; `default` is the id of the model that answers when a request names none.

    `warnings` are sentences about what had to be guessed, or lies there and is not served.
    """

    share: Path
    base: BaseModel
    adapters: tuple[Adapter, ...]
    default: str
    warnings: tuple[str, ...] = ()


def find_models(share: Path, settings: Settings, also: Path | None = None) -> Catalog:
    """The models that the settings ask for. Raises `ModelError`, never falls back to the base model.

    `also` holds base models that the share did not take.
    """
    models = share / "models"
    adapters = tuple(_adapters(models, settings))
    whole = whole_models(models)
    if settings.adapters == "auto" and not adapters and not whole:
        raise ModelError(_nothing_found(models))
    default = _default(adapters, settings)
    base = find_base(share, settings, default, also)
    if settings.adapters == "auto" and not adapters and not base.fine_tuned:
        raise ModelError(_nothing_found(models))
    check_readable(base, base_models(share))
    shapes = layer_shapes_of(base) if adapters else {}
    warnings = []
    for adapter in adapters:
        # Whoever names a base model means it; whether the adapter fits is then seen by its shapes.
        if settings.base_model == "auto" and not means(adapter.base_name, base):
            if not is_open(adapter) or not fits(adapter, base):
                named = adapter.base_name or "a base model that it does not name"
                raise ModelError(
                    f"The adapter {adapter.id} was trained on {named}, but the base model is {base.id}. "
                    "Name the adapters that belong to it in settings.toml (adapters), or another base_model."
                )
            warnings.append(guessed(adapter, base))
        check_adapter(read_adapter(adapter.folder, adapter.id), shapes)
    if base.id in {adapter.id for adapter in adapters}:
        raise ModelError(f"An adapter and the base model have the same name, {base.id}. Rename the adapter.")
    left = [each.relative_to(models).as_posix() for each in whole if each != base.folder] if adapters else []
    if left and settings.adapters == "auto":
        warnings.append(
            f"Below models/ there are whole models too, which are not served beside adapters: {', '.join(left)}. "
            f'To serve one, write base_model = "models/{left[0]}" and adapters = "none" in settings.toml.'
        )
    told = tuple(each for each in warnings if each)
    return Catalog(share, base, adapters, default.id if default else base.id, told)


def _nothing_found(models: Path) -> str:
    pickled = [each.relative_to(models).as_posix() for each in pickled_models(models)]
    found = f"{pickled[0]} holds a whole model, but only as pickle files: save it as safetensors. " if pickled else ""
    return (
        f"No adapter was found: looked for {ADAPTER_CONFIG}, or a whole fine-tuned model, at any depth below {models}. "
        f"{found}Fine-tune first, or put the adapter there. To serve only the base model, write "
        'adapters = "none" in settings.toml.'
    )


def _adapters(models: Path, settings: Settings) -> Iterator[Adapter]:
    if settings.adapters == "none":
        return
    if settings.adapters == "auto":
        for folder in final_folders(each.parent for each in models.rglob(ADAPTER_CONFIG)):
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


def _adapter(name: str, folder: Path) -> Adapter:
    config = read_adapter_config(folder, name)
    return Adapter(name, folder, str(config.get("base_model_name_or_path") or ""))


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
