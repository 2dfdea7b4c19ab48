"""Loads base model, tokenizer and adapters, and runs one forward pass over rows of different adapters."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import peft
import torch
import transformers

from engine.cache import SlotCache
from engine.catalog import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.catalog import Adapter, Catalog
    from engine.settings import Settings

logger = logging.getLogger(__name__)

_BASE_ROW = "__base__"  # peft's name for a row without an adapter


class Models:
    """A loaded base model with its adapters and tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings) -> None:  # noqa: ANN401 - of transformers
        self.model = model
        self.tokenizer = tokenizer
        self.config = model.config.get_text_config()
        self.device: torch.device = next(model.parameters()).device
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.adapters: dict[str, str] = {}  # id -> name inside peft
        self.context_length = min(length for length in (settings.context_length, _made_for(self.config)) if length)
        self.end_tokens = _end_tokens(model, tokenizer)

    def new_cache(self) -> SlotCache:
        """An empty cache for `forward`."""
        return SlotCache(self.config.num_hidden_layers)

    @torch.inference_mode()
    def forward(
        self,
        cache: SlotCache,
        first: int,
        tokens: Sequence[Sequence[int]],
        starts: Sequence[int],
        adapters: Sequence[str | None],
    ) -> torch.Tensor:
        """The logits after the last token of each row, `[rows, vocabulary]`.

        The rows are the cache's slots `first …`; row *i* continues at position `starts[i]` with `tokens[i]`,
        equally many for each.
        """
        ids = torch.tensor(tokens, device=self.device)
        offsets = torch.arange(ids.shape[1], device=self.device)
        positions = torch.tensor(starts, device=self.device)[:, None] + offsets
        length = max(starts) + ids.shape[1]
        cache.aim(first, positions, length)
        names = [self.adapters[each] if each is not None else _BASE_ROW for each in adapters]
        given: dict[str, Any] = {}
        context: AbstractContextManager[Any] = nullcontext()
        if self.adapters and any(name != _BASE_ROW for name in names):
            given["adapter_names"] = names
        elif self.adapters:
            context = self.model.disable_adapter()
        with context:
            output = self.model(
                input_ids=ids,
                position_ids=positions,
                attention_mask=self._masks(positions, length),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                **given,
            )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _masks(self, positions: torch.Tensor, length: int) -> Any:  # noqa: ANN401 - a mask, or one per kind of layer
        """What each token may attend to, finished: the library's own masks know only rows of one length."""
        keys = torch.arange(length, device=self.device)
        visible = keys <= positions[:, :, None]
        window = getattr(self.config, "sliding_window", None)
        kinds = set(getattr(self.config, "layer_types", None) or ())
        if not window or getattr(self.config, "use_sliding_window", True) is False:
            return self._finished(visible)
        sliding = visible & (keys > positions[:, :, None] - window)
        if len(kinds) > 1:
            return {"full_attention": self._finished(visible), "sliding_attention": self._finished(sliding)}
        return self._finished(visible if kinds == {"full_attention"} else sliding)

    def _finished(self, visible: torch.Tensor) -> torch.Tensor:
        visible = visible[:, None]
        if self.config._attn_implementation != "eager":  # noqa: SLF001 - there is no public name
            return visible
        lowest = torch.finfo(self.dtype).min
        return torch.zeros_like(visible, dtype=self.dtype).masked_fill(~visible, lowest)


def load_models(catalog: Catalog, settings: Settings, report: Callable[[str, str], None]) -> Models:
    """Everything that `catalog` names, on the device. Raises `ModelError` for what does not fit."""
    folder, trust = str(catalog.base.folder), settings.trust_remote_code
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = _dtype(settings.dtype, device)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call] # untyped there
    report("loading weights", f"Loading {catalog.base.id}.")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, local_files_only=True)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device_map=device,
            trust_remote_code=trust,
            use_safetensors=True,
            local_files_only=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"The base model {catalog.base.id} could not be loaded: {error}") from error
    model.eval()
    names = {}
    for number, adapter in enumerate(catalog.adapters):
        report("adapter", f"Loading the adapter {adapter.id}.")
        names[adapter.id] = f"a{number}"
        model = _with_adapter(model, adapter, names[adapter.id])
    model.eval()
    models = Models(model, tokenizer, settings)
    models.adapters = names
    return models


def _with_adapter(model: Any, adapter: Adapter, name: str) -> Any:  # noqa: ANN401 - of transformers, peft
    try:
        if isinstance(model, peft.PeftModel):
            result = model.load_adapter(str(adapter.folder), name)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
                model = peft.PeftModel.from_pretrained(model, str(adapter.folder), name)
            result = None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"The adapter {adapter.id} does not fit the base model: {error}") from error
    if result is not None and result.unexpected_keys:
        raise ModelError(
            f"The adapter {adapter.id} does not fit the base model: it has weights for modules that "
            f"are not there, such as {result.unexpected_keys[0]}."
        )
    return model


def _dtype(name: str, device: str) -> torch.dtype:
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if not device.startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _made_for(config: Any) -> int:  # noqa: ANN401 - of transformers
    return int(getattr(config, "max_position_embeddings", 0) or 2048)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 - of transformers
    """Every token that ends an answer, as the generation configuration and the tokenizer say."""
    found: set[int] = set()
    for named in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found.update(named if isinstance(named, (list, tuple)) else () if named is None else (named,))
    return frozenset(found)
