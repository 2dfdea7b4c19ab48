"""A model of Phi-3-mini's shape and a LoRA adapter for it, of random weights: noise, at full cost."""

from __future__ import annotations

SEED = 7
RANK = 16


def make(folder, tokenizer_folder, layers):
    """The folders of the base model and of the adapter, made below `folder`; in bfloat16, with another's tokenizer.

    Shape: https://huggingface.co/microsoft/Phi-3-mini-4k-instruct/blob/main/config.json, but for `layers`.
    """
    import peft
    import torch
    import transformers

    torch.manual_seed(SEED)
    # The defaults of Phi3Config are Phi-3-mini's.
    config = transformers.Phi3Config(num_hidden_layers=layers, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    base, adapter = folder / "base", folder / "adapter"
    model.save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(base)
    # init_lora_weights=False: otherwise the product is nothing, and merging it too.
    lora = peft.LoraConfig(r=RANK, target_modules=["qkv_proj", "o_proj"], init_lora_weights=False)
    peft.get_peft_model(model, lora).save_pretrained(adapter)
    return base, adapter
