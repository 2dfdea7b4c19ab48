"""Small random models with adapters as peft writes them, and peft's own model as judge."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aitk_app.engine.adapter_files import Adapter
from aitk_app.engine.eight_bits import to_eight_bits
from aitk_app.engine.model import Models
from aitk_app.engine.reference import ReferencePath
from aitk_app.settings import Settings

VOCABULARY = 97


@dataclass
class Tiny:
    """A small random model, adapters on it as peft writes them, and peft's own model as judge."""

    models: object
    folders: dict
    judge: object

    def worst_margin(self, prompt, text, adapter):
        """How far below the best logit a token of `text` lies, for the model alone, without cache or batch."""
        tokens = [*prompt, *(ord(each) - 33 for each in text)]
        with torch.inference_mode(), self.alone(adapter) as model:
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        chosen = torch.tensor(tokens[len(prompt) :])[:, None]
        return float((logits.max(dim=1).values - logits.gather(1, chosen)[:, 0]).max()) if text else 0.0

    @contextmanager
    def alone(self, adapter):
        if adapter:
            self.judge.set_adapter(adapter)
            yield self.judge
        else:
            with self.judge.disable_adapter():
                yield self.judge

    def greedy(self, prompt, adapter, count):
        """What the model itself answers: a whole forward pass per token."""
        tokens = list(prompt)
        with torch.inference_mode(), self.alone(adapter) as model:
            for _ in range(count):
                tokens.append(int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
        return "".join(chr(33 + token) for token in tokens[len(prompt) :])


KINDS = {
    "plain": {"target_modules": ["q_proj", "v_proj"]},
    "wide": {
        "r": 6,
        "use_rslora": True,
        "lora_alpha": 12,
        "alpha_pattern": {"down_proj": 3},
        "target_modules": ["k_proj", "down_proj", "gate_proj"],
    },
    "dora": {"use_dora": True, "target_modules": ["o_proj", "up_proj"], "modules_to_save": ["lm_head"]},
}


def base(dtype):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def make_tiny(folder, adapters=("plain",), dtype=torch.float64, **settings):
    """A `Tiny` in `folder`: two layers, one adapter of each kind in `adapters`."""
    judge = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        for name in adapters:
            config = LoraConfig(**({"r": 4, "init_lora_weights": False} | KINDS[name]))
            if judge is None:
                judge = get_peft_model(base(dtype), config, name, autocast_adapter_dtype=False)
            else:
                judge.add_adapter(name, config, autocast_adapter_dtype=False)
        judge = judge.to(dtype).eval()
        with torch.no_grad():
            for name, weight in judge.named_parameters():
                if "modules_to_save" in name:
                    weight.mul_(1.5).add_(torch.rand_like(weight) * 0.3)
        judge.save_pretrained(str(folder))
    fast = tiny_tokenizer()
    own = base(dtype)
    if settings.get("quantization") == "int8":
        to_eight_bits(own)
    loaded = Models(own, fast, Settings(**settings))
    folders = {name: folder / name for name in adapters}
    for name in adapters:
        described = Adapter(name, folders[name], "")
        loaded.install(loaded.prepare(described), only=len(adapters) == 1)
    return Tiny(loaded, folders, judge)


def tiny_reference(dtype=torch.float64):
    """The reference path over a tiny model without adapters."""
    return ReferencePath(base(dtype), torch.device("cpu"))


def tiny_tokenizer(vocabulary=VOCABULARY):
    """A character for each token, from "!" on."""
    alphabet = {chr(33 + number): number for number in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(alphabet, unk_token="!"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
