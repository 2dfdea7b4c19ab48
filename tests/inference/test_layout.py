"""Weights that are laid out for the matrix library compute what they computed before, and stay where they were."""

from __future__ import annotations

import pytest
import torch

from aitk_app.engine.cache import Segment
from aitk_app.engine.layout import PackedLinear, is_packable, pack_layers
from aitk_app.engine.lora import RowLayer

TYPES = [torch.float32, torch.bfloat16]
PROMPT = [5, 17, 80, 3]


def layer(dtype, *, bias):
    torch.manual_seed(3)
    return torch.nn.Linear(48, 80, bias=bias, dtype=dtype)


def error(found, exact):
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_packed_layer_is_as_near_to_the_truth_as_the_plain_one(dtype, bias):
    """For one row and for many, laid end to end or apart; measured against the product in 64 bits."""
    plain = layer(dtype, bias=bias)
    packed = PackedLinear(plain)
    wide = torch.nn.Linear(48, 80, bias=bias, dtype=torch.float64)
    wide.load_state_dict(plain.state_dict())
    for rows in (1, 2, 3, 8, 16, 33):
        x = torch.randn(1, rows, 96, dtype=dtype)[..., ::2]
        with torch.inference_mode():
            exact = wide(x.double())

            assert packed(x).shape == exact.shape
            assert error(packed(x), exact) <= max(1.5 * error(plain(x), exact), 2 * torch.finfo(dtype).eps)


def test_a_packed_layer_shares_its_weight():
    """What peft merges and what is embedded too is the same parameter; whoever changes it lays it out anew."""
    plain = layer(torch.bfloat16, bias=False)
    packed, x = PackedLinear(plain), torch.ones(2, 48, dtype=torch.bfloat16)
    before = packed(x)
    with torch.no_grad():
        plain.weight.mul_(2)
    packed.pack()

    assert packed.weight is plain.weight
    assert torch.equal(packed(x), before * 2)


@pytest.mark.skipif(not is_packable(layer(torch.float32, bias=False)), reason="this processor gains nothing by it")
def test_only_the_batched_paths_own_layers_are_packed(make_tiny):
    """The reference stays transformers' and peft's own layers, against which the packed ones are checked."""
    models = make_tiny(("plain",), torch.float32).models

    assert not any(isinstance(each, PackedLinear) for each in models.reference.model.modules())
    assert any(isinstance(each, PackedLinear) for each in models.batched.model.modules())
    assert all(isinstance(each, PackedLinear) for each in models.adapters["plain"].merged.values())
    assert models.batched.model.lm_head.weight is models.reference.model.lm_head.weight
    assert models.batched.twin().model.lm_head.packed is models.batched.model.lm_head.packed


def test_a_merged_base_is_laid_out_anew(make_tiny):
    """Where an adapter takes the base's place, its weights are the ones that are packed."""
    tiny = make_tiny(("plain",), torch.float32, serve_base=False)
    path = tiny.models.batched
    logits = path.forward(path.new_cache(), [Segment(0, 0, PROMPT), Segment(1, 0, PROMPT)])
    with torch.inference_mode(), tiny.alone("plain") as model:
        expected = model(torch.tensor([PROMPT])).logits[0, -1]
    own = path.model.model.layers[0].self_attn.q_proj

    assert torch.allclose(logits, expected.expand_as(logits), rtol=1e-4, atol=1e-4)
    assert isinstance(
        own.base if isinstance(own, RowLayer) else own,
        PackedLinear if is_packable(layer(torch.float32, bias=False)) else torch.nn.Linear,
    )


def test_without_memory_for_a_second_layout_weights_stay_as_they_are(monkeypatch, make_tiny):
    """A model that just fits is served all the same."""
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: "MemAvailable: 1 kB")
    model = torch.nn.Sequential(layer(torch.float32, bias=False))
    pack_layers(model)

    assert type(model[0]) is torch.nn.Linear
