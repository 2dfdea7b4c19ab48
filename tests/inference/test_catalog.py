"""Which models are served, and the named error for every way in which that can fail."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.support.trainer_folders import CHECKPOINTS

from aitk_app.engine.adapter_files import AdapterFiles, AdapterTensor, ModelError, check_adapter
from aitk_app.loading.base_models import BaseModelMissingError, HubModel
from aitk_app.loading.catalog import find_models
from aitk_app.settings import Settings, SettingsError, read_settings

INPUTS, OUTPUTS = 6, 4


def put_adapter(share, path, base="org/model", tensors=None, **config):
    folder = share / "models" / path
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": base} | config)
    )
    save_file(
        {
            "base_model.model.layers.0.q_proj.lora_A.weight": torch.zeros(2, INPUTS),
            "base_model.model.layers.0.q_proj.lora_B.weight": torch.zeros(OUTPUTS, 2),
        }
        | (tensors or {}),
        folder / "adapter_model.safetensors",
    )
    return folder


@pytest.fixture
def share(tmp_path):
    for name in ("org/model", "org/other"):
        (tmp_path / "model-cache" / name).mkdir(parents=True)
        (tmp_path / "model-cache" / name / "config.json").write_text("{}")
        save_file(
            {"layers.0.q_proj.weight": torch.zeros(OUTPUTS, INPUTS)}, tmp_path / "model-cache" / name / "m.safetensors"
        )
    (tmp_path / "models").mkdir()
    return tmp_path


def test_the_only_adapter_is_the_default_and_brings_its_base(share):
    """Nothing needs to be set for what fine-tuning leaves."""
    put_adapter(share, "qlora/qlora/gpu_model/adapter")
    found = find_models(share, Settings())

    assert found.default == "qlora/qlora/gpu_model/adapter"
    assert found.base.id == "org/model"


@pytest.mark.parametrize(
    "named", ["/home/me/work/model-cache/org/model", r"C:\work\Org\Model", "./model-cache/org/model/"]
)
def test_an_adapter_that_names_a_path_finds_its_base(share, named):
    """Fine-tuning often writes the path on the computer that trained."""
    put_adapter(share, "mine", named)

    assert find_models(share, Settings()).base.id == "org/model"


@pytest.mark.parametrize(
    ("adapters", "settings", "told"),
    [
        ([], {}, ("No adapter was found", 'adapters = "none"')),
        (["a", "b"], {}, ("a, b", "default_adapter")),
        (["a"], {"default_adapter": "c"}, ("c is not there", "a")),
        (["a"], {"adapters": ("c",)}, ("The adapter c is missing", "a")),
        ([], {"adapters": "none"}, ("org/model, org/other", "base_model")),
        ([], {"adapters": "none", "base_model": "org/none"}, ("no config.json", "org/model, org/other")),
    ],
)
def test_what_is_missing_or_unclear_is_named(share, adapters, settings, told):
    """Never silently the base model: an error says what was looked for and what is there."""
    for path in adapters:
        put_adapter(share, path)
    with pytest.raises(ModelError) as refused:
        find_models(share, Settings(**settings))

    for part in told:
        assert part in str(refused.value)


def test_what_cannot_be_served_is_refused_before_loading(share):
    """A base that is not there, a pickle file, another kind of adapter, broken JSON."""
    put_adapter(share, "x", "org/absent")
    with pytest.raises(ModelError, match="org/absent"):
        find_models(share, Settings())
    config, weights = (share / "models/x" / name for name in ("adapter_config.json", "adapter_model.safetensors"))
    config.write_text(config.read_text().replace("absent", "model"))
    weights.rename(weights.with_name("adapter_model.bin"))
    with pytest.raises(ModelError, match="pickle"):
        find_models(share, Settings())
    config.write_text('{"peft_type": "XLORA"}')
    with pytest.raises(ModelError, match="XLORA"):
        find_models(share, Settings())
    config.write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        find_models(share, Settings())


def test_a_table_names_adapters(share):
    """Settings may give an adapter a short name."""
    put_adapter(share, "qlora/deep/adapter")
    found = find_models(share, Settings(adapters={"pirate": "qlora/deep/adapter"}))

    assert found.default == "pirate"


@pytest.mark.parametrize(("there", "served"), CHECKPOINTS)
def test_checkpoints_are_not_adapters_of_their_own(share, there, served):
    """What a trainer leaves beside, below or above the final adapter is not served; without one the newest is."""
    for path in there:
        put_adapter(share, path)
    found = find_models(share, Settings(default_adapter=served[0]))

    assert [each.id for each in found.adapters] == served


def test_settings_come_from_file_then_environment_then_flags(tmp_path):
    """The later wins; text becomes the setting's type."""
    file = tmp_path / "settings.toml"
    file.write_text('max_batch = 2\nmax_queue = 2\ndtype = "float64"\n')
    settings = read_settings(file, ["--max-queue", "4"], {"AITK_MAX_QUEUE": "3", "AITK_SERVE_BASE": "off"})

    assert (settings.max_batch, settings.max_queue, settings.dtype) == (2, 4, "float64")
    assert settings.serve_base is False


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        ("max_bach = 2", {}, "max_bach"),
        ("max_batch = 0", {}, "max_batch"),
        ("max_batch = true", {}, "max_batch"),
        ('dtype = "int8"', {}, "dtype"),
        ("dtype = ", {}, "settings.toml"),
        ("adapters = 5", {}, "adapters"),
        ("", {"AITK_MAX_BATCH": "many"}, "AITK_MAX_BATCH"),
    ],
)
def test_an_impossible_setting_is_named(tmp_path, text, environment, named):
    """Unknown keys and values out of range are errors that name the key."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=named):
        read_settings(file, [], environment)


@pytest.mark.parametrize(("encoding", "ends"), [("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\r\n")])
def test_settings_are_read_however_they_were_saved(tmp_path, encoding, ends):
    """With a byte-order mark, as UTF-16, with CRLF: as people's editors write."""
    file = tmp_path / "settings.toml"
    file.write_bytes(ends.join(["max_queue = 4", 'dtype = "float16"', ""]).encode(encoding))

    assert read_settings(file, [], {}) == Settings(max_queue=4, dtype="float16")


Q = "base_model.model.layers.0.q_proj"


@pytest.mark.parametrize(
    ("tensors", "config", "told"),
    [
        ({f"{Q}.lora_A.weight": torch.zeros(2, 9)}, {}, ("has 9 inputs, there it is 6", "trained on org/model")),
        ({f"{Q}.lora_B.weight": torch.zeros(5, 2)}, {}, ("has 5 outputs, there it is 4",)),
        ({f"{Q}.lora_A.weight": torch.zeros(3, 6)}, {}, ("ranks of layers.0.q_proj differ",)),
        ({f"{Q}.lora_magnitude_vector": torch.zeros(5)}, {}, ("has 5 outputs",)),
        ({f"{Q}.weight": torch.zeros(5, 6)}, {}, ("has the shape [5, 6], there it is [4, 6]",)),
        ({}, {"peft_type": "PREFIX_TUNING"}, ("of type PREFIX_TUNING",)),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_anything_is_loaded(share, tensors, config, told):
    """Configuration and header alone say why."""
    put_adapter(share, "mine", tensors=tensors, **config)
    with pytest.raises(ModelError) as refused:
        find_models(share, Settings())

    for part in ("The adapter mine", *told):
        assert part in str(refused.value)


def test_an_adapter_with_half_of_a_layer_is_refused(share):
    """One factor of a product without the other is told from the header."""
    down, _ = (AdapterTensor("k", "a.q_proj", kind, (2, 2)) for kind in ("lora_A", "lora_B"))
    adapter = AdapterFiles("mine", "org/model", {"target_modules": ["q_proj"]}, (down,))

    with pytest.raises(ModelError, match=r"incomplete: a\.q_proj has lora_A but no lora_B"):
        check_adapter(adapter, {"a.q_proj": (2, 2)})


def test_a_file_cut_short_is_refused(share):
    """A safetensors file whose length is not what its header says is named, not loaded."""
    folder = put_adapter(share, "mine")
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:-1])

    with pytest.raises(ModelError, match="not a whole safetensors file"):
        find_models(share, Settings())


def test_the_settings_file_states_every_default(tmp_path):
    """settings.toml as shipped is the defaults, each key written out."""
    file = Path(__file__).parents[2] / "inference/settings.toml"

    assert set(tomllib.loads(file.read_text())) == {each.name for each in fields(Settings)}
    assert read_settings(file, [], {}) == Settings()


def test_what_is_not_there_says_where_it_can_be_had(share):
    """A base model named by its hub id, by the adapter or in the settings with a revision, can be downloaded."""
    put_adapter(share, "mine", "microsoft/phi")
    with pytest.raises(BaseModelMissingError, match="microsoft/phi") as missing:
        find_models(share, Settings())
    assert missing.value.hub == HubModel("microsoft/phi", "main")
    with pytest.raises(BaseModelMissingError) as missing:
        find_models(share, Settings(base_model="microsoft/phi@v1"))
    assert missing.value.hub == HubModel("microsoft/phi", "v1")
    with pytest.raises(BaseModelMissingError) as missing:
        find_models(share, Settings(base_model="/no/such/folder"))
    assert missing.value.hub is None


def test_the_lock_is_of_these_requirements():
    """requirements.lock was made from requirements.txt as it is, with a hash on every line and no torch."""
    folder = Path(__file__).parents[2] / "inference"
    lock = (folder / "requirements.lock").read_text()
    lines = [line for line in lock.splitlines() if not line.startswith("#")]

    assert hashlib.sha256((folder / "requirements.txt").read_bytes()).hexdigest() in lock
    assert all(" --hash=sha256:" in line for line in lines)
    assert not [line for line in lines if line.startswith("torch==")]
    assert {"transformers", "gradio", "prometheus-client"} <= {line.partition("==")[0] for line in lines}
