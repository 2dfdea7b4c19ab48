"""Adapters as peft reads them, and what of them the batched path can use.

peft puts the adapter into a twin of the base model (modules of its own, the same weights): that is the reference. What
is a plain low-rank product on a plain linear layer there is taken out for mixed batches; what peft can merge is taken
as whole layers; an adapter with anything else is served by the reference path, with the reason.
"""

from __future__ import annotations

import copy
import hashlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from transformers.pytorch_utils import Conv1D

from aitk_app.engine.adapter_files import ADAPTER_WEIGHTS, Adapter, ModelError, check_adapter, read_adapter
from aitk_app.engine.eight_bits import EightBitLinear
from aitk_app.engine.lora import LoadedAdapter, LowRank, set_layer
from aitk_app.engine.reference import twin
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from pathlib import Path

# How peft begins training from the base's own weights, which it changes for that: by name in `init_lora_weights`.
_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "mica", "lora_ga", "orthogonal")
_PREFIX = "base_model.model."
_NAME = "default"
_LEFT_BY_TOOLS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_HASHED_PIECE_BYTES = 4 << 20


def load_adapter(base: Any, adapter: Adapter) -> LoadedAdapter:  # noqa: ANN401 - of transformers
    """`adapter` in a twin of `base`, on its device; `base` stays as it is. Raises `ModelError` when it does not fit."""
    described = read_adapter(adapter.folder, adapter.id)
    check_adapter(described, layer_shapes(base))
    stamps = file_stamps(adapter.folder)
    state, files = _state(adapter.folder)
    model = _with_adapter(base, adapter, state)
    loaded = LoadedAdapter(adapter.id, model, files=files, stamps=stamps)
    _take_layers(loaded, base, model.base_model.model)
    return loaded


def _with_adapter(base: Any, adapter: Adapter, state: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401 - of peft
    """Peft's model. Raises `ModelError` where peft refuses it, or would go on without a part of it."""
    from peft import PeftConfig, PeftModelForCausalLM, set_peft_model_state_dict  # noqa: PLC0415 - long to import

    tree = twin(base)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            config: Any = PeftConfig.from_pretrained(str(adapter.folder))
            config.inference_mode = True
            unknown = [str(each.message) for each in said if "nexpected keyword arguments" in str(each.message)]
        if unknown:
            raise ModelError(
                f"The adapter {adapter.id} was written by a newer peft: adapter_config.json has keys that this one "
                f"does not know. Ask for a newer peft in requirements.txt. ({unknown[0]})"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about training
            _resize_vocabulary(tree, state)
            _plain_where_replaced(tree, state)
            if str(getattr(config, "init_lora_weights", "")).lower().partition("_niter")[0] in _CHANGES_THE_BASE:
                _own_weights(tree, state)
            model = PeftModelForCausalLM(tree, config, _NAME, autocast_adapter_dtype=False)
            _own_what_is_loaded(model, base, state)
            result: Any = set_peft_model_state_dict(model, state, _NAME)
            model.eval()
    except (ValueError, KeyError, RuntimeError, TypeError, AttributeError, NotImplementedError, ImportError) as error:
        what = f"The adapter {adapter.id} cannot be loaded by peft"
        raise ModelError(f"{what}. {log_says(error, what)}") from error
    own = str(getattr(model.base_model, "prefix", "lora_"))
    missing = [key for key in _left_out(model, result.missing_keys) if f".{_NAME}" in key and own in key]
    if result.unexpected_keys:
        raise ModelError(
            f"The adapter {adapter.id} does not fit the base model, which has no place for "
            f"{_shortened(result.unexpected_keys)}. It was trained on {adapter.base_name or 'another base model'}."
        )
    if missing:
        raise ModelError(
            f"The adapter {adapter.id} is incomplete: its configuration asks for {_shortened(missing)}, "
            f"which {ADAPTER_WEIGHTS} does not have."
        )
    return model


def _left_out(model: Any, missing: list[str]) -> list[str]:  # noqa: ANN401 - of peft
    """The missing weights that are not another name of one that was loaded."""
    every = dict(model.named_parameters(remove_duplicate=False))
    there = {id(parameter) for name, parameter in every.items() if name not in set(missing)}
    return [name for name in missing if name not in every or id(every[name]) not in there]


def _shortened(names: list[str], most: int = 3) -> str:
    shown = ", ".join(name.removeprefix(_PREFIX).replace(f".{_NAME}", "") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _resize_vocabulary(tree: Any, state: dict[str, torch.Tensor]) -> None:  # noqa: ANN401 - of transformers
    """Make room for the tokens that the adapter adds, when it brings embeddings with more rows than the base has."""
    there = tree.get_input_embeddings().weight.shape[0]
    rows = [
        tensor.shape[0]
        for key, tensor in state.items()
        if key.endswith(("embed_tokens.weight", "wte.weight", "lm_head.weight")) and "lora_" not in key
    ]
    if rows and max(rows) != there:
        tree.resize_token_embeddings(max(rows), mean_resizing=False)


def _plain_where_replaced(tree: Any, state: dict[str, torch.Tensor]) -> None:  # noqa: ANN401 - of transformers
    """Give the layers of which the adapter brings more than low-rank weights plain ones, which peft can write to."""
    for name, module in list(tree.named_modules()):
        if isinstance(module, EightBitLinear) and any(
            key.removeprefix(_PREFIX).startswith(f"{name}.") and ".lora_" not in key for key in state
        ):
            set_layer(tree, name, module.as_plain())


def _own_weights(tree: Any, state: dict[str, torch.Tensor]) -> None:  # noqa: ANN401 - of transformers
    """Give the layers that peft is going to change weights of their own."""
    names = {key.partition(".lora_")[0].removeprefix(_PREFIX) for key in state if ".lora_" in key}
    for name, module in list(tree.named_modules()):
        if name in names and isinstance(module, EightBitLinear):
            set_layer(tree, name, module.as_plain())
        elif name in names:
            module.weight = torch.nn.Parameter(module.weight.detach().clone(), requires_grad=False)


def _own_what_is_loaded(model: Any, base: Any, state: dict[str, torch.Tensor]) -> None:  # noqa: ANN401 - of peft
    """Give every weight of the base that the adapter's file has in another form (such as a trained bias) a copy."""
    shared = {id(each) for each in base.parameters()}
    for name, parameter in list(model.named_parameters()):
        if id(parameter) in shared and (name in state or name.replace(".base_layer.", ".") in state):
            parent, _, last = name.rpartition(".")
            own = torch.nn.Parameter(parameter.detach().clone(), requires_grad=False)
            setattr(model.get_submodule(parent), last, own)


def _take_layers(loaded: LoadedAdapter, base: Any, tree: Any) -> None:  # noqa: ANN401 - of transformers and peft
    """Fill in what the batched path needs, or why it cannot serve this adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415 - long to import
    from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper  # noqa: PLC0415 - the same

    there = {name for name, _ in base.named_modules()}
    inside: list[str] = []
    for name, module in tree.named_modules():
        if any(name.startswith(f"{outer}.") for outer in inside):
            continue
        if name not in there:
            loaded.alone = f"it changes the layers of the model ({name})"
        elif isinstance(module, (BaseTunerLayer, ModulesToSaveWrapper, TrainableTokensWrapper)):
            inside.append(name)
            try:
                _take_layer(loaded, name, module, base.get_submodule(name))
            except (ValueError, NotImplementedError, RuntimeError, AttributeError, TypeError) as error:
                what = f"peft cannot merge {name} ({type(module).__name__})"
                loaded.alone = f"{what}. {log_says(error, what)}"
        elif _has_own_weights(module, base.get_submodule(name)):
            loaded.replaced[name] = module
    if (added := tree.config.get_text_config().vocab_size - base.config.get_text_config().vocab_size) > 0:
        loaded.alone = f"it adds {added} tokens to the vocabulary"
    if loaded.alone:
        loaded.low_rank, loaded.replaced = {}, {}


def _take_layer(loaded: LoadedAdapter, name: str, module: Any, own: Any) -> None:  # noqa: ANN401 - of peft
    """Take one layer that peft has wrapped; `own` is the base's. Raises what peft does where it cannot merge."""
    if hasattr(module, "modules_to_save"):
        loaded.replaced[name] = module.modules_to_save[_NAME]
    elif _is_plain(module, own):
        up = module.lora_B[_NAME].weight.detach() * module.scaling[_NAME]
        dtype = own.scale.dtype if isinstance(own, EightBitLinear) else up.dtype  # peft keeps its weights wider there
        down = module.lora_A[_NAME].weight.detach()
        loaded.low_rank[name] = LowRank(down.to(dtype).T.contiguous(), up.to(dtype).T.contiguous())
    else:
        loaded.replaced[name] = merged_layer(getattr(module, "token_adapter", module))


def _has_own_weights(module: torch.nn.Module, own: torch.nn.Module) -> bool:
    """Whether the module itself holds weights that are not the base's."""
    theirs = dict(own.named_parameters(recurse=False))
    return any(theirs.get(name) is not each for name, each in module.named_parameters(recurse=False))


def _is_plain(module: Any, own: Any) -> bool:  # noqa: ANN401 - of peft
    """Whether the layer is the base's own, and the adapter adds a low-rank product to it and nothing else."""
    from peft.tuners.lora import Linear  # noqa: PLC0415 - long to import

    # Four-bit layers are a class of peft's own, which is there only with bitsandbytes.
    if not isinstance(module, Linear) and type(module).__name__ not in {"Linear4bit", "Linear8bitLt"}:
        return False
    layer = module.get_base_layer()
    return (
        isinstance(layer, torch.nn.Linear)
        and not _has_own_weights(layer, own)
        and not module.use_dora[_NAME]
        and not module.lora_bias[_NAME]
        and not module.lora_variant
        and not module.fan_in_fan_out
    )


@torch.inference_mode()
def merged_layer(module: Any) -> torch.nn.Module:  # noqa: ANN401 - of peft
    """The layer with the adapter in its weights, as peft merges it; the layer's own stay as they are."""
    layer = module.get_base_layer()
    if isinstance(layer, EightBitLinear):
        module = copy.copy(module)  # peft's wrapper around a plain layer of the same weight
        module._modules = {**module._modules, "base_layer": layer.as_plain()}  # noqa: SLF001 - of torch
        layer = module.get_base_layer()
    plain = isinstance(layer, (torch.nn.Linear, torch.nn.Embedding, Conv1D))
    if not plain or type(layer.weight) is not torch.nn.Parameter:
        raise ValueError(f"its weights are of the kind {type(layer).__name__}")
    variant = getattr(module, "lora_variant", {}).get(_NAME)
    if variant is not None and not hasattr(variant, "merge_safe"):
        raise ValueError("it has a form that is not merged")
    apart = copy.deepcopy(module)  # its own copy of everything, so that nobody sees it change
    for parameter in apart.parameters():
        parameter.requires_grad_(requires_grad=False)
    apart.merge(adapter_names=[_NAME])
    if not apart.merged:
        raise ValueError("it stays beside the weights")
    found: torch.nn.Module = apart.get_base_layer()
    return found


def layer_shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every layer that an adapter can change, outputs first."""
    found: dict[str, tuple[int, ...]] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            found[name] = (layer.out_features, layer.in_features)
        elif isinstance(layer, torch.nn.Embedding):
            found[name] = (layer.num_embeddings, layer.embedding_dim)
        elif isinstance(layer, Conv1D):
            found[name] = (layer.nf, layer.weight.shape[0])
    return found


def file_stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change (ns) of each file in the folder; empty for a folder that is not there.

    Each file is opened for it: an Azure file share's mount goes for 30 seconds by what it knew of a file, and learns it
    anew when the file is opened.
    """
    found = {}
    try:
        for file in folder.iterdir():
            if file.is_file():
                with file.open("rb") as opened:
                    about = os.fstat(opened.fileno())
                found[file.name] = (about.st_size, about.st_mtime_ns)
    except OSError:
        return {}
    return found


def _state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors, and the SHA-256 of the folder's files; the weights' is of the very bytes that were loaded."""
    files: dict[str, str] = {}
    state: dict[str, torch.Tensor] = {}
    try:
        for file in sorted(each for each in folder.iterdir() if each.is_file()):
            if file.name == ADAPTER_WEIGHTS:
                content = file.read_bytes()
                files[file.name] = hashlib.sha256(content).hexdigest()
                state = safetensors.torch.load(content)
            elif not _is_of_training(file):
                with file.open("rb") as stream:
                    files[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        what = f"{folder / ADAPTER_WEIGHTS} cannot be read, or was changed meanwhile"
        raise ModelError(f"{what}. {log_says(error, what)}") from error
    return {_present_name(key): tensor for key, tensor in state.items()}, files


def _is_of_training(file: Path) -> bool:
    """Whether the file only serves to go on training, or is another form of a model: nothing that is served."""
    suffixes = {".pt", ".pth", ".bin", ".gguf", ".ckpt", ".distcp", ".pkl"}
    return file.suffix in suffixes or file.name.startswith(("events.out.", "optimizer."))


def _present_name(key: str) -> str:
    """The key as today's peft writes it: without the adapter's name, and without what compilers and wrappers add."""
    for each in _LEFT_BY_TOOLS:
        key = key.replace(each, "")
    for kind in ("lora_A", "lora_B", "lora_magnitude_vector"):
        key = (
            key.replace(f".{kind}.{_NAME}.", f".{kind}.").removesuffix(f".{_NAME}")
            if f".{kind}.{_NAME}" in key
            else key
        )
    for kind in ("lora_embedding_A", "lora_embedding_B"):
        key = key.removesuffix(f".{_NAME}") if f".{kind}.{_NAME}" in key else key
    return key.replace(f".modules_to_save.{_NAME}.", ".")
