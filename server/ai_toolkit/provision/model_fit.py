"""Whether adapter and base model fit together and onto the GPU, as far as their files tell before a start."""

import asyncio
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.errors import FileMalformed
from ai_toolkit.provision.gpu_need import NF4_PART, ROOM, Need, cache_bytes_per_token, longest_context
from ai_toolkit.workspace.text_file import read_text
from ai_toolkit.workspace.workspace import ADAPTERS, BASE_MODELS

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_USUAL: Final = tuple(
    PurePosixPath(ADAPTERS, "qlora", "qlora", kind, "adapter") for kind in ("gpu_model", "gpu-cpu_model")
)
_HEADER_LIMIT_BYTES: Final = 100_000_000
_NO_PICKLE: Final = "Save the adapter as safetensors: pickle files are not served."


@dataclass(frozen=True)
class Fit:
    """`fits`: None where the files do not tell; `says` is a sentence for a person; `need` what it takes of a GPU."""

    fits: bool | None
    says: str
    advice: str = ""
    need: Need | None = None


@dataclass(frozen=True)
class ModelsHere:
    """The adapter and the base model among a workspace's files.

    `verdict` is what the files tell without a GPU, None where it depends on one: then `name` and `what` are for people,
    and `size_gb` are the base's weights as they will be loaded; `need` is what all of it takes.
    """

    verdict: Fit | None
    name: str = ""
    what: str = ""
    size_gb: float = 0
    need: Need | None = None

    def onto_gpu(self, gpu_gb: int | None) -> Fit:
        """How they fit onto a GPU of that memory; None for a GPU whose memory is not known."""
        return replace(self._verdict_on(gpu_gb), need=self.need)

    def _verdict_on(self, gpu_gb: int | None) -> Fit:
        if self.verdict is not None:
            return self.verdict
        if gpu_gb is None:
            return Fit(True, f"{self.what}; the memory of this profile's GPU is not known.")
        room = f"{self.size_gb:.1f} GB of weights, {gpu_gb} GB on the GPU"
        if self.size_gb > gpu_gb:
            advice = 'Choose a larger GPU in workloadProfileType, or quantization = "nf4" in inference/settings.toml.'
            return Fit(False, f"{self.name} is too large: {room}.", advice)
        if self.size_gb > gpu_gb * ROOM:
            said = f"{self.what}, but the GPU has little memory left for conversations: {room}."
            return Fit(None, said, "A long conversation may run out of memory.")
        if self.need is not None and not self.need.fits(gpu_gb):
            changed = self.need.changed_for(gpu_gb)
            said = f"{self.what}: {room}. With its conversations that is too much: {self.need.in_words()}."
            return Fit(None, said, f"Write {changed.keys_from(self.need)}." if changed is not None else "")
        return Fit(True, f"{self.what}: {room}.")


def models_here(folder: Path, settings: Mapping[str, Any] | None = None) -> ModelsHere | None:
    """What the workspace's files hold; None when there is no adapter and no base model.

    `settings` are the app's; None: as its file says.
    """
    adapters = sorted(path.parent for path in (folder / ADAPTERS).rglob(_CONFIG))
    bases = sorted(path.parent for path in (folder / BASE_MODELS).rglob("config.json"))
    whole = {path.parent for path in (folder / ADAPTERS).rglob("config.json")} - {*adapters}
    bases += sorted(path for path in whole if any(path.glob("*.safetensors")))
    if not adapters and not bases:
        return None
    base = bases[0] if len(bases) == 1 else None
    for adapter in adapters:
        config = _read_json(adapter / _CONFIG)
        named = str((config or {}).get("base_model_name_or_path") or "")
        name = adapter.relative_to(folder).as_posix()
        if config is None:
            return _wrong(f"{name}/{_CONFIG} is not a JSON object.", "Fine-tune again, or restore the file.")
        if not (adapter / _WEIGHTS).is_file():
            return _wrong(f"{name} has no {_WEIGHTS}.", _NO_PICKLE)
        base = next((one for one in bases if _means(named, _id_of(folder, one))), base)
        if base is not None and (problem := _shape_problem(adapter / _WEIGHTS, base)):
            advice = f"It names {named or 'no base model'}; put that below {BASE_MODELS}/, or use another adapter."
            return _wrong(f"{name} does not fit {_id_of(folder, base)}: {problem}.", advice)
    if base is None:
        says = "The base model is not among the files here, so its size and layers are not known."
        return ModelsHere(Fit(None, says))
    return _sized(folder, base, adapters, app_settings(folder) if settings is None else settings)


def need_without_settings(folder: Path, dtype: str) -> Need | None:
    """What the model among the workspace's files needs with that numbers' type, and the other settings left out.

    None where its size is not known from here.
    """
    found = models_here(folder, {"dtype": dtype})
    return found.need if found is not None else None


def need_with(need: Need, settings: Mapping[str, Any]) -> Need:
    """The same with what the app's settings say of context, batch and quantization."""
    context, batch = settings.get("context_length"), settings.get("max_batch")
    return replace(
        need,
        context_tokens=context if isinstance(context, int) and context > 0 else need.context_tokens,
        conversations=batch if isinstance(batch, int) and batch > 0 else need.conversations,
        quantized=settings.get("quantization") == "nf4",  # int8 is for a processor
    )


async def fit_on_share(share: "FileShare", settings: Mapping[str, Any]) -> Fit:
    """What the share tells, looked up where fine-tuning leaves an adapter; `settings` are the app's."""
    contents = await asyncio.gather(*(share.read(folder / _CONFIG) for folder in _USUAL))
    found = [(folder, content) for folder, content in zip(_USUAL, contents, strict=True) if content is not None]
    if not found:
        return Fit(None, "Neither this folder nor the share has an adapter where fine-tuning leaves it.")
    folder, content = found[0]
    try:
        named = str(json.loads(content).get("base_model_name_or_path") or "")
    except (ValueError, AttributeError):
        return Fit(False, f"{folder}/{_CONFIG} on the share is not a JSON object.", "Fine-tune again.")
    if not named:
        return Fit(None, f"The share has {folder}, which does not name its base model; the app looks at its layers.")
    base = PurePosixPath(BASE_MODELS, named)
    if ".." in base.parts or not base.is_relative_to(BASE_MODELS):
        return Fit(None, f"The share has {folder}, trained on {named}, which is no name below {BASE_MODELS}/.")
    names, there = await asyncio.gather(share.list_directory(folder), share.list_directory(base))
    if _WEIGHTS not in names:
        return Fit(False, f"{folder} on the share has no {_WEIGHTS}.", _NO_PICKLE)
    where = "which is there too" if there else f"which is not below {BASE_MODELS}/ there; it would be downloaded"
    need = None
    weights = sum(file.size for name, file in there.items() if file is not None and name.endswith(".safetensors"))
    if weights:
        config = await share.read(base / "config.json")
        adapter = sum(file.size for name, file in names.items() if file is not None and name == _WEIGHTS)
        need = _need(named, weights / 1e9, adapter / 1e9, _object(config or b""), settings)
    return Fit(True if there else None, f"The share has {folder}, trained on {named}, {where}.", need=need)


def _object(content: bytes | str) -> Mapping[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _need(
    name: str, weights_gb: float, adapters_gb: float, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> Need:
    """What a model needs with the app's settings; `weights_gb` before they are quantized."""
    number_bytes = {"float32": 4, "float64": 8}.get(str(settings.get("dtype")), 2)
    per_token = cache_bytes_per_token(config, number_bytes)
    return need_with(Need(name, weights_gb, adapters_gb, per_token, longest_context(config)), settings)


def _wrong(says: str, advice: str) -> ModelsHere:
    return ModelsHere(Fit(False, says, advice))


def _sized(folder: Path, base: Path, adapters: Sequence[Path], settings: Mapping[str, Any]) -> ModelsHere:
    with_adapter = bool(adapters)
    kept_whole = settings.get("dtype") in {"float32", "float64"}
    size = sum(_loaded_bytes(file, kept_whole=kept_whole) for file in base.glob("*.safetensors")) / 1e9
    name = _id_of(folder, base)
    what = f"{name} and its adapter fit together" if with_adapter else f"{name} has no adapter here"
    if not size:
        return ModelsHere(Fit(None, f"{what}; {name} has no safetensors file, so its size is not known."))
    beside = sum((one / _WEIGHTS).stat().st_size for one in adapters if (one / _WEIGHTS).is_file()) / 1e9
    need = _need(name, size, beside, _read_json(base / "config.json") or {}, settings)
    part = NF4_PART if need.quantized else 1
    return ModelsHere(None, name, what, size * part, need)


def _loaded_bytes(file: Path, *, kept_whole: bool) -> int:
    """What the file's tensors take on the GPU: 32-bit numbers become 16-bit ones unless they are kept whole."""
    header = _header(file)
    if header is None:
        return file.stat().st_size
    sizes = [(one.get("dtype"), one["data_offsets"][1] - one["data_offsets"][0]) for one in header.values()]
    return sum(size // 2 if kind == "F32" and not kept_whole else size for kind, size in sizes)


def app_settings(folder: Path) -> Mapping[str, Any]:
    """What `inference/settings.toml` says; empty for a file that cannot be read, which Deploy says."""
    try:
        return tomllib.loads(read_text(folder / "inference" / "settings.toml"))
    except (OSError, ValueError, FileMalformed):
        return {}


def _shape_problem(weights: Path, base: Path) -> str:
    """The first matrix of the adapter that does not fit its layer; empty when all fit, as far as headers tell."""
    layers: dict[str, list[int]] = {}
    if (_read_json(base / "config.json") or {}).get("quantization_config"):
        return ""  # packed weights have other shapes than the layers
    for file in base.glob("*.safetensors"):
        layers |= _shapes(file) or {}
    matrices = _shapes(weights)
    if matrices is None:
        return f"{_WEIGHTS} is not a whole safetensors file"
    for key, shape in matrices.items():
        layer, _, kind = key.removeprefix("base_model.model.").partition(".lora_")
        there = layers.get(f"{layer}.weight")
        if there is None or len(shape) != 2 or len(there) != 2 or kind[:1] not in {"A", "B"}:  # noqa: PLR2004  (matrices)
            continue
        has, wanted = (shape[1], there[1]) if kind[0] == "A" else (shape[0], there[0])
        if has not in there:  # either way around: GPT-2's layers have their inputs first
            return f"{layer} has {wanted} {'inputs' if kind[0] == 'A' else 'outputs'}, the adapter {has}"
    return ""


def _shapes(file: Path) -> Mapping[str, list[int]] | None:
    header = _header(file)
    return None if header is None else {key: one["shape"] for key, one in header.items()}


def _header(file: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """Name -> dtype, shape and offsets; None for another file. Source: huggingface.co/docs/safetensors#format."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, _HEADER_LIMIT_BYTES)))
        found = {key: one for key, one in header.items() if key != "__metadata__"}
        whole = all(isinstance(one["shape"], list) and len(one["data_offsets"]) == 2 for one in found.values())  # noqa: PLR2004  (from, to)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if whole else None


def _means(named: str, name: str) -> bool:
    """Whether an adapter that names `named`, an id or a path where it was trained, means the model of that name."""
    path = named.replace("\\", "/").rstrip("/")
    return path.endswith(name) or f"models--{name.replace('/', '--')}/" in f"{path}/"


def _id_of(folder: Path, base: Path) -> str:
    root = folder / BASE_MODELS
    return base.relative_to(root if base.is_relative_to(root) else folder / ADAPTERS).as_posix()


def _read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError, FileMalformed):
        return None
    return found if isinstance(found, dict) else None
