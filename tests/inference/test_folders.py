"""Folders as trainers leave them: which base model is meant, whole fine-tuned models, and what is not read."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from tests.inference.test_catalog import INPUTS, OUTPUTS, put_adapter
from tests.support.inference.tiny import base, tiny_tokenizer

from aitk_app.engine.adapter_files import Adapter, ModelError
from aitk_app.engine.scheduler import Scheduler
from aitk_app.loading.base_models import BaseModelMissingError, HubModel
from aitk_app.loading.catalog import find_models, weight_headers
from aitk_app.loading.folders import weight_files
from aitk_app.loading.load import load_models
from aitk_app.loading.weight_files import bring_near
from aitk_app.readiness import Readiness
from aitk_app.settings import Settings
from aitk_app.web.answering import Completions


def put_model(folder, rows=OUTPUTS, name="model.safetensors", **config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    save_file({"layers.0.q_proj.weight": torch.zeros(rows, INPUTS)}, folder / name)
    return folder


@pytest.fixture
def share(tmp_path):
    """A base model that the adapters fit, and one that they do not."""
    put_model(tmp_path / "model-cache/org/model")
    put_model(tmp_path / "model-cache/org/other", rows=OUTPUTS + 1)
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "named",
    [
        "org/model",
        "Org/Model",
        "/home/me/checkpoints/model",
        "/root/.cache/huggingface/hub/models--org--model/snapshots/0a67737cc96d2554230f90338b163bc6380a2a85",
        "/root/.cache/huggingface/hub/models--org--model/snapshots/0a67737cc96d2554230f90338b163bc6380a2a85/",
        r"C:\Users\me\.cache\huggingface\hub\models--org--model\snapshots\0a67737c",
        "/root/.cache/modelscope/hub/models/org/model",
        "/mount/model-cache/org/model",
        "model-cache/org/model",
    ],
)
def test_a_base_that_is_named_in_any_way_is_found(share, named):
    """By its id, by a path of the computer that trained, by a path in a hub's cache; nothing is guessed then."""
    put_adapter(share, "mine", named)
    found = find_models(share, Settings())

    assert found.base.id == "org/model"
    assert found.warnings == ()


@pytest.mark.parametrize("named", [None, "", "/root/work/base", "./out", "C:\\work\\base"])
def test_a_base_that_no_name_tells_is_told_by_the_layers(share, named):
    """The only model there that the adapter fits; that it was guessed is said."""
    put_adapter(share, "mine", named)
    found = find_models(share, Settings())

    assert found.base.id == "org/model"
    [warning] = found.warnings
    assert "The adapter mine" in warning
    assert "org/model is taken" in warning


def test_where_the_layers_do_not_tell_the_base_is_asked_for(share):
    """Two that fit, or none: one sentence with what is there, and the setting."""
    put_adapter(share, "mine", None)
    put_model(share / "model-cache/org/twin")
    with pytest.raises(ModelError, match=r"does not name its base model .* fit org/model, org/twin.* base_model ="):
        find_models(share, Settings())
    assert find_models(share, Settings(base_model="org/twin")).base.id == "org/twin"
    for name in ("model", "twin"):
        (share / "model-cache/org" / name / "config.json").unlink()
    with pytest.raises(ModelError, match="fit none of those there: org/other"):
        find_models(share, Settings())


@pytest.mark.parametrize(
    ("named", "hub"),
    [
        ("/x/hub/models--microsoft--phi-2/snapshots/abc123", HubModel("microsoft/phi-2", "abc123")),
        ("/x/hub/models--gpt2/snapshots/abc123", HubModel("gpt2", "abc123")),
        ("gpt2", HubModel("gpt2", "main")),
        ("/mount/model-cache/microsoft/phi-2", HubModel("microsoft/phi-2", "main")),
        ("/x/modelscope/hub/Qwen/Qwen2___5-0___5B", HubModel("Qwen/Qwen2.5-0.5B", "main")),
        ("/root/work/base", None),
    ],
)
def test_what_is_not_there_is_fetched_as_the_trainer_had_it(share, named, hub):
    """The revision that a cache's path tells is the one that was trained on."""
    put_adapter(share, "mine", named)
    for name in ("model", "other"):
        (share / "model-cache/org" / name / "config.json").unlink()
    with pytest.raises(BaseModelMissingError) as missing:
        find_models(share, Settings())

    assert missing.value.hub == hub


def test_a_hubs_cache_in_model_cache_is_read(share):
    """Some point HF_HOME there: the newest snapshot of a repository is the model."""
    folder = put_model(share / "model-cache/models--own--base/snapshots/abc")
    put_adapter(share, "mine", "own/base")

    assert find_models(share, Settings()).base.folder == folder


@pytest.mark.parametrize(
    ("named", "package"),
    [
        ("unsloth/model-bnb-4bit", "bitsandbytes"),
        ("unsloth/model-unsloth-bnb-4bit", "bitsandbytes"),
        ("/root/models/model-bnb-4bit", "bitsandbytes"),
        ("owner/model-GPTQ-Int4", "gptqmodel"),
        ("owner/model-AWQ", "gptqmodel"),
    ],
)
def test_a_base_in_few_bits_is_asked_for_in_full(share, named, package):
    """Without the package that reads it nothing is downloaded: the full model's name is asked for in one sentence."""
    put_adapter(share, "mine", named)
    with pytest.raises(ModelError) as refused:
        find_models(share, Settings())

    assert not isinstance(refused.value, BaseModelMissingError)
    assert 'base_model = "org/model"' in str(refused.value)
    assert f"add {package} to requirements.txt" in str(refused.value)
    assert find_models(share, Settings(base_model="org/model")).base.id == "org/model"


def test_a_base_in_few_bits_that_is_there_is_asked_for_too(share):
    """Its configuration says how it was quantised; packed shapes are not held against the adapter."""
    put_model(share / "model-cache/unsloth/model-bnb-4bit", 1, quantization_config={"quant_method": "bitsandbytes"})
    put_adapter(share, "mine", "unsloth/model-bnb-4bit")
    with pytest.raises(ModelError, match=r"need the package bitsandbytes.*base_model = .org/model."):
        find_models(share, Settings())


def test_a_base_in_few_bits_is_served_where_its_package_is(share, monkeypatch):
    """As peft serves it: from its own weights."""
    put_model(share / "model-cache/unsloth/model-bnb-4bit", 1, quantization_config={"quant_method": "fp8"})
    put_adapter(share, "mine", "unsloth/model-bnb-4bit")

    assert find_models(share, Settings()).base.id == "unsloth/model-bnb-4bit"


@pytest.mark.parametrize(("kind", "told"), [("musicgen", "in sound"), ("gemma4_assistant", "answers nothing alone")])
def test_what_writes_no_text_is_refused_in_words(share, kind, told):
    """Before anything is loaded: transformers itself would fail at a place that says nothing to a person."""
    put_model(share / "model-cache/org/odd", model_type=kind)

    with pytest.raises(ModelError, match=rf"org/odd cannot be served: .*{told}.*another model"):
        find_models(share, Settings(adapters="none", base_model="org/odd"))


def test_a_whole_fine_tuned_model_is_served(share):
    """A merged or full fine-tuning below models/ is a model of its own: nothing has to be set."""
    folder = put_model(share / "models/merged")
    found = find_models(share, Settings())

    assert (found.base.id, found.base.folder, found.default) == ("merged", folder, "merged")
    assert found.base.fine_tuned


def test_a_whole_fine_tuned_model_answers_under_its_own_name(tmp_path):
    """Loaded from where it lies, with the tokenizer beside it; people read that it is the fine-tuned one."""
    folder = tmp_path / "models/run/merged"
    base(torch.float32).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    catalog = find_models(tmp_path, Settings())
    models, _ = load_models(catalog, Settings(device="cpu"), Readiness())
    scheduler = Scheduler(models, max_batch=1, max_queue=1, prompt_tokens=8)
    try:
        [served] = Completions(catalog, models, scheduler, Settings()).served
    finally:
        scheduler.close()

    assert (served.id, served.default) == ("run/merged", True)
    assert served.label == "run/merged (fine-tuned)"


def test_of_a_whole_fine_tuning_the_final_model_is_served(share):
    """Not its checkpoints; several that are final are asked about, and one can be named."""
    for path in ("run", "run/checkpoint-10", "run/checkpoint-20"):
        put_model(share / "models" / path)
    assert find_models(share, Settings()).base.id == "run"
    put_model(share / "models/second")
    with pytest.raises(ModelError, match=r"run, second.*base_model = .models/run."):
        find_models(share, Settings())
    assert find_models(share, Settings(base_model="models/second")).default == "second"


def test_an_adapter_may_have_a_whole_fine_tuned_model_as_its_base(share):
    """As when preferences are trained on top of a merged model."""
    put_model(share / "models/sft/merged")
    put_adapter(share, "dpo", "/root/out/sft/merged")

    assert find_models(share, Settings()).base.id == "sft/merged"


def test_a_whole_model_beside_an_adapter_is_told(share):
    """The adapter is served; what is left out is named, with what to write."""
    put_model(share / "models/run/merged")
    put_adapter(share, "run/adapter")
    found = find_models(share, Settings())

    assert found.default == "run/adapter"
    assert 'base_model = "models/run/merged"' in found.warnings[0]


def test_a_whole_model_in_pickle_files_is_named(share):
    """Safetensors only: the sentence says which folder, and what to do."""
    folder = put_model(share / "models/old")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ModelError, match="old holds a whole model, but only as pickle files: save it as safetensors"):
        find_models(share, Settings())


LEFT = (
    "optimizer.pt",
    "optimizer.safetensors",
    "scheduler.pt",
    "rng_state_0.pth",
    "training_args.bin",
    "mine.Q4_K_M.gguf",
)


def test_what_training_left_beside_an_adapter_is_not_read(make_tiny):
    """A terabyte each of nothing: whoever read or hashed one of them would not end."""
    tiny = make_tiny(("plain",))
    folder = tiny.folders["plain"]
    for name in LEFT:
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)
    loaded = tiny.models.prepare(Adapter("plain", folder, ""))

    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(loaded.files)
    assert not set(LEFT) & set(loaded.files)


def test_other_forms_of_a_base_model_are_not_read(tmp_path):
    """Its files are told by size; only a safetensors header is hashed."""
    folder = put_model(tmp_path / "model")
    for name in ("model.Q4_K_M.gguf", "consolidated.00.pth", "optimizer.pt"):
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)

    assert weight_headers(folder)["model.Q4_K_M.gguf"] == {"size": 1 << 40}
    assert weight_files(folder) == [folder / "model.safetensors"]


def test_only_the_weights_that_are_loaded_are_read(tmp_path):
    """Mistral's consolidated copy, and shards that the index does not name, are no part of the model."""
    folder = put_model(tmp_path / "model", name="model-00001-of-00001.safetensors")
    (folder / "consolidated.safetensors").write_bytes(b"x" * 5000)
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"x" * 5000)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"layers.0.q_proj.weight": "model-00001-of-00001.safetensors"}})
    )

    assert [file.name for file in weight_files(folder)] == ["model-00001-of-00001.safetensors"]
    assert bring_near(folder, "it", Readiness()).bytes == weight_files(folder)[0].stat().st_size
