"""A loaded base model with its tokenizer and adapters: one forward pass over rows of different adapters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from aitk_app.engine.adapter_files import Adapter, ModelError
from aitk_app.engine.cache import Pass, Segment, SlotCache, use_slots
from aitk_app.engine.lora import LoadedAdapter, Rows, load_adapter, merge, merged_bytes, wrap_layers
from aitk_app.engine.memory import free_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.settings import Settings

logger = logging.getLogger(__name__)

_KINDS_OF_LAYERS = {"full_attention", "sliding_attention"}
_LEFT_FOR_REQUESTS = 0.5  # of the free memory: a merged copy may take the other half


class Models:
    """What the engine runs. Everything here but `prepare` is called from the engine's thread."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings) -> None:  # noqa: ANN401 - of transformers
        self.model = model
        self.tokenizer = tokenizer
        self.config = model.config.get_text_config()
        self.device: torch.device = next(model.parameters()).device
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.adapters: dict[str, LoadedAdapter] = {}
        self.context_length = min(length for length in (settings.context_length, _made_for(self.config)) if length)
        self.end_tokens = _end_tokens(model, tokenizer)
        self.rows = Rows()
        self._merge = settings.merged_copy
        self._serve_base = settings.serve_base
        self._quantized = settings.quantization != "none"
        self._in_place: LoadedAdapter | None = None  # the adapter that took the base's place
        kinds = set(getattr(self.config, "layer_types", None) or ()) - _KINDS_OF_LAYERS
        if kinds:
            raise ModelError(f"The base model has layers of a kind that is not served: {', '.join(sorted(kinds))}.")
        try:
            use_slots(model)
        except ValueError as error:
            raise ModelError(f"The base model's attention cannot be served here: {error}") from error

    def new_cache(self) -> SlotCache:
        """An empty cache for `forward`."""
        return SlotCache(self.config.num_hidden_layers)

    def prepare(self, adapter: Adapter) -> LoadedAdapter:
        """`adapter` on the device, to be put in place by `install`; in any thread. Raises `ModelError`."""
        if self._in_place is not None:
            raise ModelError(
                f"The base model has become {self._in_place.id} (serve_base = false): no other adapter fits. "
                "Set serve_base = true in settings.toml."
            )
        loaded = load_adapter(self.model, adapter)
        if set(self.adapters) <= {adapter.id} and self._merge and self._serve_base and not self._quantized:
            needed, free = merged_bytes(self.model, loaded), free_bytes(self.device)
            if needed <= free * _LEFT_FOR_REQUESTS:
                merge(self.model, loaded, keep_base=True)
                logger.info("%s has a merged copy of %s MB beside the base model", loaded.id, needed // 10**6)
            else:
                logger.info("%s is added row by row: a merged copy needs %s MB", loaded.id, needed // 10**6)
        return loaded

    def install(self, loaded: LoadedAdapter, *, only: bool = False) -> None:
        """Serve `loaded` under its id from the next pass on, in place of an earlier one of that id.

        Rows that use the earlier one go on with it. `only`: no other adapter is going to come, so that it
        may take the base's place where the base itself is not served.
        """
        wrap_layers(self.model, loaded.layers, self.rows)
        others = [each for each in self.adapters.values() if each.id != loaded.id]
        for each in (loaded, *others) if others else ():
            each.merged = {}  # only a single adapter has a copy; rows go on with the low-rank products
        self.adapters = {**self.adapters, loaded.id: loaded}
        if only and not self._serve_base and not self._quantized:
            merge(self.model, loaded, keep_base=False)
            self._in_place = loaded
            logger.info("%s is merged into the base model", loaded.id)

    def can_remove(self, name: str) -> bool:
        """Whether the base model would be left."""
        return self._in_place is None or self._in_place.id != name

    def remove(self, name: str) -> None:
        """No longer serve the adapter `name`; rows that use it go on."""
        self.adapters = {each: loaded for each, loaded in self.adapters.items() if each != name}

    def warm(self) -> None:
        """One token: what libraries prepare at their first use is then done."""
        self.forward(self.new_cache(), [Segment(0, 0, [min(self.end_tokens, default=0)])])

    @torch.inference_mode()
    def forward(self, cache: SlotCache, segments: Sequence[Segment]) -> torch.Tensor:
        """The logits after the last token of each segment, `[segments, vocabulary]`."""
        current = Pass(segments, self.device)
        cache.aim(current)
        self.rows.aim([(each.adapter, len(each.tokens)) for each in segments], self.device, self.dtype)
        output = self.model(
            input_ids=torch.tensor([[token for each in segments for token in each.tokens]], device=self.device),
            position_ids=current.positions[None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.tensor(current.ends, device=self.device) - 1,
            slot_cache=cache,
        )
        logits: torch.Tensor = output.logits[0]
        return logits


def _made_for(config: Any) -> int:  # noqa: ANN401 - of transformers
    return int(getattr(config, "max_position_embeddings", 0) or 2048)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 - of transformers
    """Every token that ends an answer, as the generation configuration and the tokenizer say."""
    found: set[int] = set()
    for named in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found.update(named if isinstance(named, (list, tuple)) else () if named is None else (named,))
    return frozenset(found)
