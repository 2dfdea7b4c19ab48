"""The self-check catches an engine that computes something else, and lets one that rounds differently pass."""

from __future__ import annotations

import pytest
import torch
from tests.support.inference.tiny import tiny_reference

from aitk_app.engine import cache
from aitk_app.engine.adapters import load_adapter
from aitk_app.engine.batched import BatchedPath
from aitk_app.engine.lora import LowRank, Rows
from aitk_app.engine.self_check import check_adapter_path, check_base

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def drop_masks(batched, monkeypatch):
    """Every token sees every other one of its row."""
    monkeypatch.setattr(cache.Pass, "mask", lambda *_: None)
    attend = cache.scaled_dot_product_attention
    monkeypatch.setattr(
        cache,
        "scaled_dot_product_attention",
        lambda *given, **more: attend(*given, **(more | {"is_causal": False})),
    )


def scale_embeddings(batched, monkeypatch):
    """As if an embedding's own scale were left out."""
    batched.model.get_input_embeddings().register_forward_hook(lambda _, __, output: output * 0.25)


def turn_wrongly(batched, monkeypatch):
    """The rope of another place."""
    batched.model.model.rotary_emb.register_forward_pre_hook(
        lambda _, given, more: (given, more | {"position_ids": more["position_ids"] + more["position_ids"] // 4}),
        with_kwargs=True,
    )


def keep_keys_before_they_are_turned(batched, monkeypatch):
    """What is stored is not what attention gets."""
    stored = cache._stored
    monkeypatch.setattr(cache, "_stored", lambda held, states, current: stored(held, states.roll(1, -1), current))


def forget_a_layer(batched, monkeypatch):
    """A layer whose attention is not ours."""
    attention = batched.model.model.layers[1].self_attn
    attention.config = type(attention.config)(**attention.config.to_dict())
    attention.config._attn_implementation = "eager"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "spoil",
    [drop_masks, scale_embeddings, turn_wrongly, keep_keys_before_they_are_turned, forget_a_layer],
    ids=lambda each: each.__name__,
)
def test_a_spoiled_engine_is_caught(dtype, spoil, monkeypatch):
    """Each way to be wrong is seen in each type of numbers, and said in words."""
    reference = tiny_reference(dtype)
    batched = BatchedPath.over(reference.model, reference.device, dtype)
    assert check_base(batched, reference, 100).reason is None
    batched = BatchedPath.over(reference.model, reference.device, dtype)
    spoil(batched, monkeypatch)
    found = check_base(batched, reference, 100)

    assert found.reason
    assert "llama" in found.reason


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layer", ["q_proj", "v_proj"])
def test_an_adapter_that_is_one_layer_off_is_caught(make_tiny, dtype, layer):
    """The base is right, the adapter's products are in the wrong place."""
    tiny = make_tiny(("plain",), dtype=dtype)
    from aitk_app.engine.adapter_files import Adapter  # noqa: PLC0415 - after PyTorch

    loaded = load_adapter(tiny.models.reference.model, Adapter("plain", tiny.folders["plain"], ""))
    batched = tiny.models.batched.twin()
    batched.wrap(loaded.layers)
    assert check_adapter_path(batched, tiny.models.reference, loaded).reason is None
    names = sorted(name for name in loaded.low_rank if name.endswith(layer))
    parts = [loaded.low_rank[name] for name in names]
    loaded.low_rank |= dict(zip(names, [*parts[1:], parts[0]], strict=True))

    assert "off by" in check_adapter_path(batched, tiny.models.reference, loaded).reason


def test_adapters_that_are_mixed_up_in_one_batch_are_caught(make_tiny, monkeypatch):
    """Each is right alone and beside the base; only a batch of both shows that one gets the other's products."""
    tiny = make_tiny(("plain", "wide"))
    plain, wide = (tiny.models.adapters[name] for name in ("plain", "wide"))
    batched = tiny.models.batched
    assert check_adapter_path(batched, tiny.models.reference, plain, [wide]).reason is None
    own = Rows.set

    def mixed_up(rows, segments, device, dtype):
        adapters = [each for each, _ in segments]
        if plain in adapters and wide in adapters:
            segments = [(plain if each is wide else each, count) for each, count in segments]
        own(rows, segments, device, dtype)

    monkeypatch.setattr(Rows, "set", mixed_up)

    assert check_adapter_path(batched, tiny.models.reference, plain).reason is None
    assert "wide beside it" in check_adapter_path(batched, tiny.models.reference, plain, [wide]).reason


def test_an_adapter_that_joins_others_is_checked_beside_them(make_tiny, monkeypatch):
    """At the start and at run time: each new one in one batch with those that are there, and its time is told."""
    mixed = []
    own = Rows.set

    def noting(rows, segments, device, dtype):
        mixed.append({each.id for each, _ in segments if each is not None})
        own(rows, segments, device, dtype)

    monkeypatch.setattr(Rows, "set", noting)
    tiny = make_tiny(("plain", "wide", "dora"))

    assert {"plain", "wide"} in mixed
    assert {"plain", "wide", "dora"} in mixed
    for each in tiny.models.adapters.values():
        assert each.served.as_json()["check_seconds"] > 0


def test_what_is_computed_but_not_a_number_is_caught():
    """Infinities are no rounding."""
    reference = tiny_reference(torch.float32)
    batched = BatchedPath.over(reference.model, reference.device, torch.float32)
    batched.wrap(["model.layers.0.mlp.up_proj"])
    layer = batched.model.model.layers[0].mlp.up_proj
    assert not isinstance(layer, LowRank)
    layer.register_forward_hook(lambda _, __, output: output / 0)

    assert check_base(batched, reference, 100).reason
