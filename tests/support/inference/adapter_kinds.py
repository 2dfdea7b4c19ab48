"""Adapters of every kind that peft can write and that changes layers, on a tiny model, as folders."""

from __future__ import annotations

import warnings

import torch
from peft import LoraConfig, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

# What each kind asks of peft; "llama" by default.
KINDS = {
    "plain": {"target_modules": ["q_proj", "v_proj"]},
    "all linear": {"target_modules": "all-linear"},
    "rank and alpha patterns": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 6},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
    },
    "rslora": {"target_modules": ["q_proj", "up_proj"], "use_rslora": True},
    "dora": {"target_modules": ["o_proj", "up_proj"], "use_dora": True},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "dora on embeddings": {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "bias of its own": {"target_modules": ["q_proj"], "lora_bias": True, "base": "with biases"},
    "biases trained": {"target_modules": ["q_proj"], "bias": "lora_only", "base": "with biases"},
    "head saved": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "norms saved": {"target_modules": ["q_proj"], "modules_to_save": ["norm", "input_layernorm"]},
    "embeddings and head saved": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "trainable tokens": {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [3, 5]}},
    "tied embeddings": {"target_modules": ["embed_tokens", "q_proj"], "base": "tied"},
    "tied, trainable tokens": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"embed_tokens": [3, 5]},
        "base": "tied",
    },
    "added tokens": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"], "added": 3},
    "pissa": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "pissa"},
    "olora": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "olora"},
    "orthogonal": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "orthogonal"},
    "gaussian": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "gaussian"},
    "alora": {"target_modules": ["q_proj", "v_proj"], "alora_invocation_tokens": [7, 9]},
    "layers replicated": {"target_modules": ["q_proj"], "layer_replication": [[0, 2], [1, 2]]},
    "experts' parameters": {
        "target_modules": ["q_proj"],
        "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        "base": "mixtral",
    },
    "conv1d": {"target_modules": ["c_attn", "c_proj"], "base": "gpt2", "fan_in_fan_out": True},
}

# The other kinds of peft's that change layers: what each asks for besides, or in the place of, the layers.
LAYERS = {"target_modules": ["q_proj", "v_proj"]}
OTHER_KINDS = {
    "ADALORA": {"total_step": 10},
    "BEFT": {},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 4},
    "DEFT": {},
    "DELORA": {},
    "FOURIERFT": {"n_frequency": 20},
    "FROD": {},
    "GLORA": {},
    "GRALORA": {},
    "HIRA": {},
    "HRA": {},
    "IA3": {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "LILY": {},
    "LN_TUNING": {"target_modules": ["input_layernorm"]},
    "LOHA": {},
    "LOKR": {},
    "MISS": {},
    "OFT": {"r": 0, "oft_block_size": 4},
    "OSF": {},
    "PEANUT": {},
    "PSOFT": {},
    "PVERA": {},
    "RANDLORA": {},
    "ROAD": {"group_size": 4},
    "SHIRA": {},
    "SUPERTUNING": {},
    "TINYLORA": {},
    "TRAINABLE_TOKENS": {"token_indices": [3, 5], "target_modules": None},
    "UNILORA": {},
    "VBLORA": {"num_vectors": 8, "vector_length": 4, "topk": 2},
    "VERA": {},
    "WAVEFT": {"n_frequency": 20},
}
KINDS |= {name: {"type": name} for name in OTHER_KINDS}


def other_config(name):
    """The configuration of one of the other kinds, with a small rank where it has one."""
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(name)]
    known = kind.__dataclass_fields__
    return kind(task_type="CAUSAL_LM", **{**LAYERS, **({"r": 4} if "r" in known else {}), **OTHER_KINDS[name]})


def write_adapter(base, folder, kind, seed=0):
    """peft's model of that kind on `base`, which is its own; it is saved in `folder`."""
    asked = dict(KINDS[kind])
    asked.pop("base", None)
    torch.manual_seed(seed + 11)
    if added := asked.pop("added", 0):
        base.resize_token_embeddings(base.get_input_embeddings().weight.shape[0] + added, mean_resizing=False)
    other = asked.pop("type", None)
    config = other_config(other) if other else LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **asked)
    dtype = next(base.parameters()).dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(base, config, autocast_adapter_dtype=False)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                trained = any(each in name for each in ("lora_", "modules_to_save", "trainable_tokens"))
                trained = trained or bool(other and weight.requires_grad and weight.is_floating_point())
                if trained or (asked.get("bias") and name.endswith("q_proj.base_layer.bias")):
                    weight.add_(torch.randn_like(weight) * 0.3)
        model.to(dtype).eval().save_pretrained(str(folder))
    return model
