"""A tiny random model of every causal architecture that transformers has, built from its own configuration."""

from __future__ import annotations

import inspect
import warnings

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

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
    "encoder_layers": 2,
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
    "bamba": {"mamba_n_heads": 8, "mamba_d_state": 8, "mamba_chunk_size": 8, "attn_layer_indices": [1]},
    "granitemoehybrid": {
        "mamba_n_heads": 8, "mamba_d_state": 8, "mamba_chunk_size": 8, "shared_intermediate_size": 24,
        "layer_types": ["mamba", "attention"],
    },
    "bailing_hybrid": {"num_hidden_layers": 4, "layer_group_size": 2, "num_mtp_layers": 0},
    "kimi_linear": {"num_hidden_layers": 5, "linear_head_dim": 8, "linear_num_heads": 4},
    "longcat_flash": {
        "head_dim": 8, "num_layers": 2, "expert_ffn_hidden_size": 24, "zero_expert_num": 2, "qk_head_dim": 16,
    },
    "xmod": {"default_language": "en_XX"},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "dots1": {"n_shared_experts": 1},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "gemma3n_text": {"num_hidden_layers": 10, "num_kv_shared_layers": 5, "laurel_rank": 8},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_d_state": 8},
    "zamba2": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "n_mamba_heads": 4,
        "mamba_d_state": 8, "chunk_size": 8, "adapter_rank": 8,
    },
    "xlstm": {"hidden_size": 128},
    "cohere_compass_text": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
        },
    },
    "qwen4_exp_text": {
        "indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 16,
        "indexer_compress_ratio": 4, "hc_lowrank": 8, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    },
    "mllama_text_model": {"cross_attention_layers": [1], "num_hidden_layers": 3},
    "git": {"vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
                              "num_attention_heads": 4, "image_size": 32}},
    "phi4_multimodal": {
        "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                          "image_size": 28, "crop_size": 28},
        "audio_config": {"hidden_size": 32, "intermediate_size": 48, "num_blocks": 2, "num_attention_heads": 4,
                         "ext_pw_out_channel": 32, "depthwise_separable_out_channel": 32, "nemo_conv_channels": 32,
                         "input_size": 16},
    },
    "blt": {
        "vocab_size": 260,
        "encoder_hash_byte_group_vocab": 50, "encoder_hash_byte_group_size": [3, 4],
        "patcher_config": {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                           "intermediate_size": 48},
        "encoder_config": {"vocab_size": 260, "hidden_size_global": 64, "hidden_size": 32, "num_attention_heads": 4,
                           "num_hidden_layers": 1, "intermediate_size": 48},
        "decoder_config": {"vocab_size": 260, "hidden_size_global": 64, "hidden_size": 32, "num_attention_heads": 4,
                           "num_hidden_layers": 2, "intermediate_size": 48},
        "global_config": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
    },
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
    "reformer": {
        "attention_head_size": 8, "attn_layers": ["local", "local"], "axial_pos_embds": False,
        "feed_forward_size": 48, "local_attn_chunk_length": 8,
    },
    "xlm": {"emb_dim": 32},
}  # fmt: skip


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
    sizes = {name: value for name, value in _SMALL.items() if name in known}
    if kind in _OF_FOUR_LAYERS:
        sizes["num_hidden_layers"] = 4
    if "kv_lora_rank" in sizes:  # latent attention: as many keys as queries, of sizes of their own
        sizes |= {"num_key_value_heads": 4}
        sizes.pop("head_dim", None)
    sizes |= _OWN.get(text.model_type, {}) | _OWN.get(kind, {})
    if "layers_block_type" in sizes:  # the same by its own name
        sizes.pop("layer_types", None)
    config = type(text)(**sizes | more)
    config.is_decoder, config.is_encoder_decoder = True, False
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:  # the model is known by the whole's configuration
        blank.text_config = config
        config = blank
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
