"""The GPUs' memory, and what a model needs of it: its weights, its adapters, and the cache of the conversations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

SERVERLESS: Final = {"Consumption-GPU-NC24-A100": 80, "Consumption-GPU-NC8as-T4": 16}
"""The GPU profiles that Provision can add to an environment, and the GPU's memory in GB."""
REPLICA_SIZES: Final = {"Consumption-GPU-NC24-A100": (24, 220), "Consumption-GPU-NC8as-T4": (8, 56)}
"""The vCPUs and GiB of memory that our template gives a replica on each, and that are billed beside the GPU."""
ROOM: Final = 0.9
"""The part of a GPU's memory that a model may take: the rest is the driver's and a step's own."""
NF4_PART: Final = 0.3
_SHORT_TOKENS: Final = 256
"""What each conversation but the longest is reckoned with."""
_SMALL_BATCH: Final = 8
_SMALLEST_CONTEXT: Final = 1024
_GB: Final = 1e9


@dataclass(frozen=True)
class Need:
    """A model with its settings; sizes in GB (1e9 bytes), as they are loaded.

    `weights` are the base model's in the chosen numbers' type, before `quantized` makes them smaller.
    `cache_bytes_per_token` and `context_tokens` are 0 where the model's configuration does not tell.
    """

    name: str
    weights: float
    adapters: float = 0.0
    cache_bytes_per_token: int = 0
    context_tokens: int = 0
    conversations: int = 32
    quantized: bool = False

    @property
    def loaded_weights(self) -> float:
        return self.weights * (NF4_PART if self.quantized else 1)

    @property
    def cache(self) -> float:
        """GB of one conversation of the whole context, and short ones in the rest of a batch."""
        tokens = self.context_tokens + max(0, self.conversations - 1) * _SHORT_TOKENS
        return tokens * self.cache_bytes_per_token / _GB

    @property
    def total(self) -> float:
        return self.loaded_weights + self.adapters + self.cache

    def fits(self, gpu_gb: float) -> bool:
        return self.total <= gpu_gb * ROOM

    def in_words(self) -> str:
        kind = " in four bits" if self.quantized else ""
        parts = [f"{self.loaded_weights:.1f} GB of weights{kind}"]
        if self.adapters >= 0.05:  # noqa: PLR2004  (what one decimal shows)
            parts.append(f"{self.adapters:.1f} GB of adapters")
        if self.cache_bytes_per_token:
            batch = f" and {self.conversations - 1} short ones" if self.conversations > 1 else ""
            parts.append(f"{self.cache:.1f} GB for a conversation of {self.context_tokens} tokens{batch}")
        return ", ".join(parts)

    def changed_for(self, gpu_gb: float) -> "Need | None":
        """The same with the fewest settings changed so that it fits: a shorter context, else four bits, else both.

        Where that is not enough, a smaller batch too. None where no setting makes it fit.
        """
        small = min(self.conversations, _SMALL_BATCH)
        for candidate in (self, replace(self, quantized=True), replace(self, quantized=True, conversations=small)):
            if candidate.fits(gpu_gb):
                return candidate
            shorter = candidate.with_shorter_context(gpu_gb)
            if shorter is not None:
                return shorter
        return None

    def with_shorter_context(self, gpu_gb: float) -> "Need | None":
        """With the longest context, a multiple of 1024 tokens, that fits; None where not even the shortest does."""
        if not self.cache_bytes_per_token:
            return None
        left = gpu_gb * ROOM - replace(self, context_tokens=0).total
        tokens = int(left * _GB / self.cache_bytes_per_token) // _SMALLEST_CONTEXT * _SMALLEST_CONTEXT
        return replace(self, context_tokens=tokens) if tokens >= _SMALLEST_CONTEXT else None

    def settings_from(self, before: "Need") -> dict[str, str | int]:
        """The keys of `inference/settings.toml` that make this of `before`."""
        changed: dict[str, str | int] = {}
        if self.quantized and not before.quantized:
            changed["quantization"] = "nf4"
        if self.context_tokens != before.context_tokens:
            changed["context_length"] = self.context_tokens
        if self.conversations != before.conversations:
            changed["max_batch"] = self.conversations
        return changed

    def keys_from(self, before: "Need") -> str:
        """Those keys as they stand in the file, in words."""
        written = [f"{key} = {json.dumps(value)}" for key, value in self.settings_from(before).items()]
        return f"{' and '.join(written)} in inference/settings.toml"


def cache_bytes_per_token(config: Mapping[str, Any], number_bytes: int) -> int:
    """What keys and values of one token take in all layers, by a model's `config.json`; 0 where it does not tell."""
    inner = config.get("text_config")
    known = {**config, **(inner if isinstance(inner, Mapping) else {})}

    def number(*names: str) -> int:
        found = next((known[name] for name in names if isinstance(known.get(name), int)), 0)
        return int(found)

    layers, heads = number("num_hidden_layers", "n_layer"), number("num_attention_heads", "n_head")
    hidden = number("hidden_size", "n_embd")
    if number("kv_lora_rank"):  # DeepSeek's attention keeps one compressed vector
        return layers * (number("kv_lora_rank") + number("qk_rope_head_dim")) * number_bytes
    size = number("head_dim") or (hidden // heads if heads else 0)
    return 2 * layers * (number("num_key_value_heads") or heads) * size * number_bytes


def longest_context(config: Mapping[str, Any]) -> int:
    """The tokens that a model was made for, by its `config.json`; 0 where it does not tell."""
    inner = config.get("text_config")
    known = {**config, **(inner if isinstance(inner, Mapping) else {})}
    found = next((known[one] for one in ("max_position_embeddings", "n_positions") if one in known), 0)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
