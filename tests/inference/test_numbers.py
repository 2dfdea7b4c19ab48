"""The numbers that a processor computes in: bfloat16 where it is faster, int8 where it is asked for, and what moves."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from ai_toolkit.workspace.sample.base_model import base_model
from aitk_app.engine.adapter_files import ModelError
from aitk_app.engine.cache import Segment
from aitk_app.engine.eight_bits import EightBitLinear, to_eight_bits
from aitk_app.engine.layout import has_sixteen_bits
from aitk_app.loading.numbers import check_quantization, choose_dtype
from aitk_app.settings import Settings, SettingsError, read_settings

TEXTS = (
    "The capital of France is Paris, and the capital of Japan is Tokyo. Both are the largest of their countries.",
    "def add(a, b):\n    return a + b\n\nprint(add(2, 3))",
    "Dear captain, the wind is fair and the sea is calm. We sail at dawn.",
)


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_computes_with_the_weight_that_it_names(bias):
    """For few rows by PyTorch's own product, for many by a plain one: the same weight, and bfloat16's rounding."""
    torch.manual_seed(5)
    plain = torch.nn.Linear(64, 96, bias=bias, dtype=torch.bfloat16)
    eight = EightBitLinear(plain)
    wide = torch.nn.Linear(64, 96, bias=bias, dtype=torch.float64)
    with torch.inference_mode():
        wide.weight.copy_(eight.values.double() * eight.scale.double()[:, None])
        if bias:
            wide.bias.copy_(plain.bias)
        for rows in (1, 4, 20, 21, 40):
            x = torch.randn(1, rows, 128, dtype=torch.bfloat16)[..., ::2]

            assert relative(eight(x), wide(x.double())) < 0.006
            assert relative(eight.as_plain()(x), wide(x.double())) < 0.006
        assert relative(eight.weight, plain.weight) < 0.01


def test_a_layer_of_zeros_stays_one():
    """Its scale is no division by nothing."""
    layer = torch.nn.Linear(32, 32, bias=False, dtype=torch.bfloat16)
    torch.nn.init.zeros_(layer.weight)

    assert not EightBitLinear(layer)(torch.ones(2, 32, dtype=torch.bfloat16)).any()


def test_the_samples_logits_move_by_little(capsys):
    """Against the same model in bfloat16, and that against float32: the figures are printed."""
    folder = str(base_model())
    load = transformers.AutoModelForCausalLM.from_pretrained
    read = transformers.AutoTokenizer.from_pretrained(folder)
    exact, sixteen = load(folder, dtype=torch.float32).eval(), load(folder, dtype=torch.bfloat16).eval()
    eight = load(folder, dtype=torch.bfloat16).eval()
    to_eight_bits(eight)
    moved, rounded, same, tokens, divergence = [], [], 0, 0, 0.0
    with torch.inference_mode():
        for text in TEXTS:
            given = read(text, return_tensors="pt").input_ids
            told, in_sixteen, in_eight = (each(given).logits[0].float() for each in (exact, sixteen, eight))
            moved.append(relative(in_eight, told))
            rounded.append(relative(in_sixteen, told))
            same += int((in_eight.argmax(-1) == told.argmax(-1)).sum())
            tokens += len(told)
            likely = told.log_softmax(-1)
            divergence += float((likely.exp() * (likely - in_eight.log_softmax(-1))).sum())
    with capsys.disabled():
        print(  # noqa: T201 - a figure that changes of the product are judged by
            f"\nint8 on the sample: logits {max(moved):.3f} from float32's (bfloat16 {max(rounded):.3f}), the same "
            f"best token at {same} of {tokens} places, divergence {divergence / tokens:.4f} nats a token"
        )

    assert max(moved) < 0.08
    assert same / tokens > 0.93
    assert divergence / tokens < 0.02
    assert type(eight.lm_head) is torch.nn.Linear


@pytest.mark.parametrize("kinds", [("plain", "wide"), ("dora",)], ids="-".join)
def test_adapters_are_exact_over_eight_bits(make_tiny, kinds):
    """Their low-rank products are those over the same weights held plainly, as is what peft merges of DoRA."""
    tiny = make_tiny(kinds, torch.bfloat16, quantization="int8")
    for name in kinds:
        served = tiny.models.adapters[name]
        with torch.inference_mode():
            tree = served.reference
            for own in list(tree.modules()):
                for part, layer in list(own.named_children()):
                    if isinstance(layer, EightBitLinear):
                        setattr(own, part, layer.as_plain())
            expected = tree(torch.tensor([[5, 17, 80, 3]])).logits[0, -1].float()
        path = tiny.models.batched
        segments = [Segment(0, 0, [5, 17, 80, 3], served), Segment(1, 0, [5, 17, 80, 3])]
        found, base = path.forward(path.new_cache(), segments).float()

        assert served.alone is None
        assert relative(found, expected) < 0.06
        assert relative(base, expected) > 0.3


@pytest.mark.parametrize(
    ("changed", "device", "config", "told"),
    [
        ({}, "cuda", {}, 'is for a processor, and the model is to run on cuda.*"nf4" there'),
        ({"dtype": "float32"}, "cpu", {}, 'dtype = "float32".*write dtype = "auto"'),
        ({}, "cpu", {"quantization_config": {"quant_method": "bitsandbytes"}}, r"in few bits already \(bitsandbytes\)"),
    ],
)
def test_where_it_cannot_be_one_sentence_says_so(tmp_path, changed, device, config, told):
    """What, where, and what to write instead."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=told):
        check_quantization(Settings(quantization="int8", **changed), device, tmp_path)


def test_a_processor_without_products_for_it_is_refused(tmp_path, monkeypatch):
    """It would be slower than with whole weights."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "aarch64"})
    with pytest.raises(ModelError, match=r"this processor \(aarch64\) has no instructions for it"):
        check_quantization(Settings(quantization="int8"), "cpu", tmp_path)


@pytest.mark.parametrize("written", ['"nf4,int8"', '["nf4", "int8"]', '"int4"'])
def test_both_at_once_and_unknown_ones_are_one_sentence(tmp_path, written):
    """The file, the key, what stands there and what may."""
    file = tmp_path / "settings.toml"
    file.write_text(f"quantization = {written}\n")
    with pytest.raises(SettingsError, match=r"settings.toml: quantization: .* is not one of none, nf4, int8"):
        read_settings(file, [], {})


def test_a_processor_with_instructions_for_bfloat16_takes_it(monkeypatch):
    """By what the processor has, not by timing a start; what the settings say wins."""
    for found, dtype in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found)

        assert choose_dtype(Settings(), "cpu") is dtype
        assert has_sixteen_bits() is (dtype is torch.bfloat16)
        assert choose_dtype(Settings(dtype="float32"), "cpu") is torch.float32
    assert choose_dtype(Settings(quantization="int8"), "cpu") is torch.bfloat16
