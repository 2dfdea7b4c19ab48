"""Whether adapter and base model fit, told from folders as trainers leave them."""

import json

import pytest

from ai_toolkit.provision.model_fit import models_here

INPUTS, OUTPUTS = 6, 4


def put_tensors(file, **shapes):
    """A safetensors file of zeros."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1] * 2
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    written = json.dumps(header).encode()
    file.write_bytes(len(written).to_bytes(8, "little") + written + bytes(offset))


def put_base(folder, shape=(OUTPUTS, INPUTS), **config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    put_tensors(folder / "model.safetensors", **{"layers.0.q_proj.weight": list(shape)})


def put_adapter(folder, named):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
    layer = "base_model.model.layers.0.q_proj"
    shapes = {f"{layer}.lora_A.weight": [2, INPUTS], f"{layer}.lora_B.weight": [OUTPUTS, 2]}
    put_tensors(folder / "adapter_model.safetensors", **shapes)


@pytest.mark.parametrize(
    "named",
    [
        "org/model",
        "/home/me/model-cache/org/model/",
        r"C:\work\org\model",
        "/root/.cache/huggingface/hub/models--org--model/snapshots/abc",
        None,
    ],
)
def test_a_base_is_found_by_whatever_names_it(tmp_path, named):
    """The only one there where nothing does."""
    put_base(tmp_path / "model-cache/org/model")
    if named:
        put_base(tmp_path / "model-cache/org/other", shape=(OUTPUTS + 1, INPUTS))
    put_adapter(tmp_path / "models/mine", named)

    assert models_here(tmp_path).onto_gpu(80).fits


@pytest.mark.parametrize(
    ("shape", "config"),
    [((INPUTS, OUTPUTS), {}), ((12, 1), {"quantization_config": {"quant_method": "bitsandbytes"}})],
)
def test_other_shapes_that_fit_are_not_held_against_it(tmp_path, shape, config):
    """GPT-2's layers have their inputs first, and weights in few bits are packed."""
    put_base(tmp_path / "model-cache/org/model", shape, **config)
    put_adapter(tmp_path / "models/mine", "org/model")

    assert models_here(tmp_path).onto_gpu(80).fits


def test_an_adapter_of_another_model_is_still_refused(tmp_path):
    """Before anything is billed."""
    put_base(tmp_path / "model-cache/org/model", (9, 11))
    put_adapter(tmp_path / "models/mine", "org/model")
    found = models_here(tmp_path).onto_gpu(80)

    assert found.fits is False
    assert "models/mine does not fit org/model" in found.says


def test_a_whole_fine_tuned_model_is_one(tmp_path):
    """It needs no adapter, and its size is what counts."""
    put_base(tmp_path / "models/merged")
    found = models_here(tmp_path).onto_gpu(80)

    assert found.fits
    assert "merged" in found.says
