"""A tiny random model of every causal architecture that transformers has, built from its own configuration."""

from __future__ import annotations

import inspect
import warnings

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 101
# The usual names of what makes a model large, and a small value; what a configuration does not have is left out.
_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "n_embed": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "ffn_dim": 48,
    "d_ff": 48,
    "n_inner": 48,
    "ffn_hidden_size": 48,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "num_layers": 2,
    "decoder_layers": 2,
    "encoder_layers": 1,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "n_positions": 128,
    "max_seq_len": 128,
    "num_experts": 4,
    "moe_k": 2,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 8,
    "q_lora_rank": 12,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "sliding_window": 16,
    "state_size": 8,
    "embed_dim": 32,
    "word_embed_proj_dim": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "layer_types": None,
    "initializer_range": 0.2,
    "rotary_dim": 8,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
}
_OWN = {
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "gemma2": {"query_pre_attn_scalar": 8},
    "rwkv": {"attention_hidden_size": 32, "context_length": 128},
    "mamba2": {"num_heads": 8, "n_groups": 1, "head_dim": 8, "expand": 2},
}


# Their configurations cannot be made small, or not in a moment.
TOO_LARGE = frozenset({"blt", "git", "phi4_multimodal", "xlm"})
# Whose layers are of several kinds, the last of which is the fourth.
_OF_FOUR_LAYERS = (
    "bailing_hybrid", "jamba", "kimi_linear", "lfm2_moe", "lfm3", "longcat_flash", "qwen3_5", "qwen3_5_moe",
    "qwen3_5_moe_text", "qwen3_5_text",
    "qwen3_next", "qwen4_exp", "qwen4_exp_text", "recurrent_gemma", "gemma3n", "gemma3n_text",
)  # fmt: skip


def architectures():
    """The names, in order."""
    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def tiny_model(kind, dtype=torch.float64, **more):
    """The model in `dtype`. Raises whatever transformers raises where its configuration cannot be made so small."""
    blank = AutoConfig.for_model(kind)
    text = blank.get_text_config()
    known = {*inspect.signature(type(text).__init__).parameters, *vars(text)}
    sizes = {name: value for name, value in ({**_SMALL, **_OWN.get(kind, {})}).items() if name in known}
    if kind in _OF_FOUR_LAYERS:
        sizes["num_hidden_layers"] = 4
    if "kv_lora_rank" in sizes:  # latent attention: as many keys as queries, of sizes of their own
        sizes |= {"num_key_value_heads": 4}
        sizes.pop("head_dim", None)
    config = type(text)(**sizes | more)
    config.is_decoder, config.is_encoder_decoder = True, False
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_config(config, attn_implementation=None)
    model.generation_config = GenerationConfig()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name or weight.dim() < 2:  # ones and zeros would hide what goes wrong there
                weight.add_(torch.rand_like(weight) * 0.2)
    return model.to(dtype).eval()
