"""The batched path: many requests in one pass, each with its own slot of the cache and its own adapter.

Works on a twin of the model, whose attention is ours (`cache.py`) and whose adapted layers know which token belongs to
which adapter (`lora.py`). It may answer only after the self-check has proved it equal to the reference path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from aitk_app.engine.cache import Pass, Segment, SlotCache, use_slots
from aitk_app.engine.layout import pack_layers
from aitk_app.engine.lora import Rows, wrap_layers
from aitk_app.engine.reference import twin
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_KINDS_OF_LAYERS = {"full_attention", "sliding_attention"}


class NotBatchableError(Exception):
    """The model cannot be served by this path; the message says why, as the rest of a sentence."""


class BatchedPath:
    """The path over a model of its own. Everything but `twin` is called from one thread at a time."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype, rows: Rows | None = None) -> None:  # noqa: ANN401 - of transformers
        self.model = model
        self.device = device
        self.dtype = dtype
        self.rows = rows or Rows()
        self.config = model.config.get_text_config()

    @classmethod
    def over(cls, base: Any, device: torch.device, dtype: torch.dtype) -> BatchedPath:  # noqa: ANN401 - of transformers
        """The path over a twin of `base`. Raises `NotBatchableError`."""
        config = base.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ()) - _KINDS_OF_LAYERS
        if kinds:
            raise NotBatchableError(f"has layers of the kind {', '.join(sorted(kinds))}")
        model = twin(base)
        try:
            use_slots(model)
        except (ValueError, AttributeError, NotImplementedError) as error:
            what = "has an attention of its own"
            raise NotBatchableError(f"{what}. {log_says(error, what)}") from error
        if not hasattr(config, "num_hidden_layers"):
            raise NotBatchableError("does not say how many layers it has")
        pack_layers(model)
        return cls(model, device, dtype)

    def twin(self) -> BatchedPath:
        """The same over modules of its own, so that something can be tried beside the passes that run."""
        model = twin(self.model)
        rows = next(
            (each.rows for each in model.modules() if hasattr(each, "rows") and isinstance(each.rows, Rows)), None
        )
        return BatchedPath(model, self.device, self.dtype, rows)

    def wrap(self, layers: Iterable[str]) -> None:
        """Let the layers of these names have adapters."""
        wrap_layers(self.model, layers, self.rows)

    def new_cache(self) -> SlotCache:
        """An empty cache for `forward`."""
        return SlotCache(self.config.num_hidden_layers)

    @torch.inference_mode()
    def forward(self, cache: SlotCache, segments: Sequence[Segment]) -> torch.Tensor:
        """The logits after the last token of each segment, `[segments, vocabulary]`."""
        current = Pass(segments, self.device)
        cache.set_pass(current)
        self.rows.set([(each.adapter, len(each.tokens)) for each in segments], self.device, self.dtype)
        try:
            output = self.model(
                input_ids=current.tokens[None],
                position_ids=current.positions[None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=current.last_tokens,
            )
        except torch.OutOfMemoryError:
            cache.take_back()
            raise
        logits: torch.Tensor = output.logits[0]
        return logits
