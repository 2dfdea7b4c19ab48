"""A loaded base model with its tokenizer and adapters: one forward pass over rows of different adapters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from engine.adapter_files import ModelError
from engine.cache import SlotCache
from engine.lora import LoadedAdapter, Rows, load_adapter, merge, merged_bytes, wrap_layers
from engine.memory import free_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.catalog import Adapter
    from engine.settings import Settings

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
        return load_adapter(self.model, adapter)

    def install(self, loaded: LoadedAdapter, *, only: bool = False) -> None:
        """Serve `loaded` under its id from the next pass on, in place of an earlier one of that id.

        Rows that use the earlier one go on with it. `only`: no other adapter is going to come, so that it
        may take the base's place where the base itself is not served.
        """
        wrap_layers(self.model, loaded.layers, self.rows)
        alone = not set(self.adapters) - {loaded.id}
        for other in self.adapters.values():
            other.merged = {}  # gives the memory back; its rows go on with the low-rank products
        self.adapters = {**self.adapters, loaded.id: loaded}
        if only and not self._serve_base and not self._quantized:
            merge(self.model, loaded, keep_base=False)
            self._in_place = loaded
            logger.info("%s is merged into the base model", loaded.id)
        elif alone and self._merge and not self._quantized:
            needed, free = merged_bytes(self.model, loaded), free_bytes(self.device)
            if needed <= free * _LEFT_FOR_REQUESTS:
                merge(self.model, loaded, keep_base=True)
                logger.info("%s has a merged copy of %s MB beside the base model", loaded.id, needed // 10**6)
            else:
                logger.info("%s is added row by row: a merged copy needs %s MB", loaded.id, needed // 10**6)

    def remove(self, name: str) -> None:
        """No longer serve the adapter `name`; rows that use it go on."""
        self.adapters = {each: loaded for each, loaded in self.adapters.items() if each != name}

    @torch.inference_mode()
    def forward(
        self,
        cache: SlotCache,
        first: int,
        tokens: Sequence[Sequence[int]],
        starts: Sequence[int],
        adapters: Sequence[LoadedAdapter | None],
    ) -> torch.Tensor:
        """The logits after the last token of each row, `[rows, vocabulary]`.

        The rows are the cache's slots `first …`; row *i* continues at position `starts[i]` with `tokens[i]`.
        """
        longest = max(len(each) for each in tokens)
        # A shorter row is filled up in front, so that every row's last column is its last token. The filling
        # pretends to come after the row's tokens: it is written behind them, where nothing looks and where
        # the row's next tokens overwrite it.
        padding = [longest - len(each) for each in tokens]
        ids = torch.tensor([[0] * pad + [*each] for pad, each in zip(padding, tokens, strict=True)])
        positions = torch.tensor(
            [
                [*range(start + len(each), start + longest), *range(start, start + len(each))]
                for start, each in zip(starts, tokens, strict=True)
            ]
        ).to(self.device)
        length = max(starts) + longest
        cache.aim(first, positions, length)
        self.rows.aim(adapters, self.device, self.dtype)
        output = self.model(
            input_ids=ids.to(self.device),
            position_ids=positions,
            attention_mask=self._masks(positions, length),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
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


def _made_for(config: Any) -> int:  # noqa: ANN401 - of transformers
    return int(getattr(config, "max_position_embeddings", 0) or 2048)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 - of transformers
    """Every token that ends an answer, as the generation configuration and the tokenizer say."""
    found: set[int] = set()
    for named in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found.update(named if isinstance(named, (list, tuple)) else () if named is None else (named,))
    return frozenset(found)
