"""Which base model is meant, and where it lies: in model-cache/, or as a whole fine-tuned model below models/.

An adapter names its base as its trainer knew it: by the hub's id, by a path of the computer that trained, by a path in
a hub's cache, by a repository with weights in four bits, or not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from aitk_app.engine.adapter_files import (
    ADAPTER_CONFIG,
    Adapter,
    ModelError,
    check_adapter,
    read_adapter,
    safetensors_shapes,
)
from aitk_app.loading.folders import read_json, weight_files, whole_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitk_app.settings import Settings

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_ALONE = re.compile(r"[A-Za-z0-9][\w.-]*")
# Source: huggingface.co/docs/huggingface_hub, "Understand caching".
_IN_HUB_CACHE = re.compile(r"models--(?P<id>[\w.-]+?)(?:/(?:snapshots/(?P<revision>\w+).*)?)?$")
_MODEL_CACHE = "model-cache"
# What the usual repositories with weights in few bits add to the full model's name.
_FEW_BITS = re.compile(r"-(?:(?:unsloth-)?bnb-[48]bit|[48]bit|(GPTQ|AWQ)(?:-Int[48]|-[48]bit)?)/?$", re.IGNORECASE)
# The package with which transformers reads each kind of quantised weights, by `quant_method`.
_READS = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "hqq": "hqq",
    "aqlm": "aqlm",
    "quanto": "optimum.quanto",
    "torchao": "torchao",
    "compressed-tensors": "compressed_tensors",
    "eetq": "eetq",
}


# Kinds that transformers counts among the causal models, and that write no text by themselves.
NO_TEXT = {
    "musicgen": "it answers in sound, not in text",
    "musicgen_melody": "it answers in sound, not in text",
    "gemma4_assistant": "it only guesses ahead for another model, whose keys it needs, and answers nothing alone",
}


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

    @classmethod
    def meant_by(cls, named: str) -> HubModel | None:
        """What an adapter's configuration means: an id, or a path that tells one; None for any other path."""
        path = "/".join(_parts(named))
        if (match := _IN_HUB_CACHE.search(path)) is not None:
            return cls(match["id"].replace("--", "/", 1), match["revision"] or "main")
        parts = path.split("/")
        if "modelscope" in path and len(parts) > 2:  # noqa: PLR2004 - org and name below it
            return cls.read("/".join(parts[-2:]).replace("___", "."))
        if _MODEL_CACHE in parts[:-2]:
            return cls.read("/".join(parts[parts.index(_MODEL_CACHE) + 1 :]))
        return cls.read(named)


class BaseModelMissingError(ModelError):
    """It is not in model-cache/; `hub` says where it can be had."""

    def __init__(self, message: str, hub: HubModel | None) -> None:
        super().__init__(message)
        self.hub = hub


@dataclass(frozen=True)
class BaseModel:
    """A base model's folder, and the id that requests use; `fine_tuned`: it is a whole model that was fine-tuned."""

    id: str
    folder: Path
    fine_tuned: bool = False


def find_base(share: Path, settings: Settings, adapter: Adapter | None, also: Path | None = None) -> BaseModel:
    """The base model that the settings name, or the default adapter. Raises `ModelError`.

    `also` is a folder that holds models as model-cache/ does.
    """
    cache = share / _MODEL_CACHE
    there: list[BaseModel] = [*_in_cache(cache), *(_in_cache(also) if also is not None else ())]
    tuned = [
        BaseModel(_below(each, share / "models"), each, fine_tuned=True) for each in whole_models(share / "models")
    ]
    if settings.base_model != "auto":
        return _named_in_settings(settings.base_model, share, there)
    if adapter is None:
        return _without_adapter(cache, there, tuned if settings.adapters == "auto" else there or tuned)
    for base in (*there, *tuned):
        if means(adapter.base_name, base):
            return base
    hub = HubModel.meant_by(adapter.base_name)
    few = _FEW_BITS.search(name := hub.id if hub else adapter.base_name)
    if few and (package := _missing_package("gptq" if few[1] else "bitsandbytes")):
        raise ModelError(_asked_for_full(f"The adapter {adapter.id} was trained on", name, package, there))
    if hub is None:
        return _by_layers(adapter, cache, (*there, *tuned))
    raise BaseModelMissingError(
        f"The base model {hub.id}, on which the adapter {adapter.id} was trained, is not below "
        f"{cache}, which holds {_listed(there)}. Put it there, or name it in settings.toml: base_model.",
        hub,
    )


def _named_in_settings(named: str, share: Path, there: list[BaseModel]) -> BaseModel:
    cache, hub = share / _MODEL_CACHE, HubModel.read(named)
    for base in there:
        if base.id == (hub.id if hub else named):
            return base
    if named.startswith("models/"):
        folder, hub = share / named, None
    else:
        folder = cache / (hub.id if hub else named)  # an absolute path stays itself
    if not (folder / "config.json").is_file():
        raise BaseModelMissingError(
            f"The base model is missing: there is no config.json in {folder}. In {cache}: {_listed(there)}.", hub
        )
    for root in (cache, share / "models"):
        if folder.is_relative_to(root):
            return BaseModel(_below(folder, root), folder, fine_tuned=root != cache)
    return BaseModel(folder.name, folder)


def _without_adapter(cache: Path, there: list[BaseModel], candidates: list[BaseModel]) -> BaseModel:
    if len(candidates) == 1:
        return candidates[0]
    if candidates and candidates[0].fine_tuned:
        raise ModelError(
            f"There are several fine-tuned models below models/: {_listed(candidates)}. "
            f'Say in settings.toml which to serve: base_model = "models/{candidates[0].id}".'
        )
    raise ModelError(
        f"No adapter says which base model to take, and {cache} holds {_listed(there)}. "
        "Name it in settings.toml: base_model."
    )


def _by_layers(adapter: Adapter, cache: Path, there: tuple[BaseModel, ...]) -> BaseModel:
    """The only model whose layers the adapter fits: its name says nothing here."""
    fitting = [base for base in there if fits(adapter, base)]
    if len(fitting) == 1:
        return fitting[0]
    what = (
        f"names {adapter.base_name} as its base model, which is no name below {cache}"
        if adapter.base_name
        else f"does not name its base model (base_model_name_or_path in its {ADAPTER_CONFIG})"
    )
    which = f"its layers fit {_listed(fitting)}" if fitting else f"its layers fit none of those there: {_listed(there)}"
    raise BaseModelMissingError(
        f"The adapter {adapter.id} {what}, and {which}. Put the base model there, and name it in settings.toml: "
        f'base_model = "{fitting[0].id if fitting else "org/name"}".',
        # Names without an owner are a hub's oldest models, such as gpt2.
        HubModel(adapter.base_name, "main") if not fitting and _ALONE.fullmatch(adapter.base_name) else None,
    )


def guessed(adapter: Adapter, base: BaseModel) -> str | None:
    """What to tell where not the adapter's own word but its layers say that `base` is meant."""
    if means(adapter.base_name, base):
        return None
    what = f"names {adapter.base_name}, which is not here" if adapter.base_name else "does not name its base model"
    return (
        f"The adapter {adapter.id} {what}: {base.id} is taken, whose layers it fits. "
        f'To be sure, write base_model = "{base.id}" in settings.toml.'
    )


def is_open(adapter: Adapter) -> bool:
    """Whether the adapter names no model that anybody else could know."""
    return HubModel.meant_by(adapter.base_name) is None


def fits(adapter: Adapter, base: BaseModel) -> bool:
    """Whether the headers of both say that the adapter's layers are the base model's."""
    shapes = layer_shapes_of(base)
    try:
        described = read_adapter(adapter.folder, adapter.id)
        check_adapter(described, shapes)
    except ModelError:
        return False
    return any(each.layer in shapes for each in described.tensors)


def layer_shapes_of(base: BaseModel) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the base model's layers, from the headers of its files; nothing of quantised weights."""
    found: dict[str, tuple[int, ...]] = {}
    if read_json(base.folder / "config.json").get("quantization_config"):
        return found  # packed: their shapes are not the layers'
    for file in weight_files(base.folder):
        for key, shape in safetensors_shapes(file).items():
            if key.endswith(".weight"):
                found[key.removesuffix(".weight")] = shape
    return found


def means(named: str, base: BaseModel) -> bool:
    """Whether an adapter that names `named`, an id or a path where it was trained, means `base`."""
    if named == base.id:
        return True
    if (hub := HubModel.meant_by(named)) is not None and hub.id.lower() == base.id.lower():
        return True
    parts = [part.lower() for part in _parts(named)]
    wanted = [part.lower() for part in PurePosixPath(base.id).parts]
    if parts[-len(wanted) :] == wanted:
        return True
    # Of a path on another computer the folder's own name is enough; an id has another owner's models of that name.
    return (_is_path(named) or len(parts) == 1) and parts[-1:] == wanted[-1:]


def check_readable(base: BaseModel, there: tuple[BaseModel, ...] = ()) -> None:
    """Raise `ModelError` for what nothing here can answer with, before it is downloaded or loaded.

    That is what writes no text, and weights in few bits whose package is missing.
    """
    config = read_json(base.folder / "config.json")
    if (why := NO_TEXT.get(str(config.get("model_type")))) is not None:
        raise ModelError(f"The base model {base.id} cannot be served: {why}. Choose another model.")
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict) and (package := _missing_package(str(quantised.get("quant_method", "")))):
        raise ModelError(_asked_for_full("The base model is", base.id, package, list(there)))


def base_models(share: Path) -> tuple[BaseModel, ...]:
    """What is below model-cache/."""
    return tuple(_in_cache(share / _MODEL_CACHE))


def _missing_package(method: str) -> str | None:
    package = _READS.get(method)
    try:
        return package if package and find_spec(package) is None else None
    except ModuleNotFoundError:  # of the package around it
        return package


def _asked_for_full(subject: str, name: str, package: str, there: list[BaseModel]) -> str:
    full = _FEW_BITS.sub("", name)
    if not _HUB_ID.fullmatch(full):  # a path
        full = _parts(full)[-1]
    known = next(
        (base.id for base in there if base.id.rpartition("/")[2].lower() == full.rpartition("/")[2].lower()), full
    )
    return (
        f"{subject} {name}, whose weights are in few bits and need the package {package}, which is not installed: name "
        f'the full model in settings.toml (base_model = "{known}"), or add {package} to requirements.txt.'
    )


def _in_cache(cache: Path) -> Iterator[BaseModel]:
    """Every model's folder below `cache`, at most two folders deep (`<org>/<name>`), or as a hub's client caches it."""
    for config in sorted([*cache.glob("*/config.json"), *cache.glob("*/*/config.json")]):
        if not (config.parent / ADAPTER_CONFIG).exists():
            yield BaseModel(_below(config.parent, cache), config.parent)
    for repository in sorted([*cache.glob("models--*"), *cache.glob("hub/models--*")]):
        snapshots = [each.parent for each in repository.glob("snapshots/*/config.json")]
        if snapshots and (hub := HubModel.meant_by(repository.name)):
            yield BaseModel(hub.id, max(snapshots, key=lambda each: each.stat().st_mtime))


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()


def _listed(bases: list[BaseModel] | tuple[BaseModel, ...]) -> str:
    return ", ".join(base.id for base in bases) or "nothing"


def _parts(named: str) -> tuple[str, ...]:
    return PureWindowsPath(named).parts if "\\" in named else PurePosixPath(named).parts


def _is_path(named: str) -> bool:
    return named.startswith(("/", ".", "~")) or "\\" in named or len(_parts(named)) > 2  # noqa: PLR2004 - org and name
