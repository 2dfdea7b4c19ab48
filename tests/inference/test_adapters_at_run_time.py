"""Adapters come, are replaced and go while the endpoint answers, and no answer mixes two."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil

import openai
import pytest
import torch
from safetensors.torch import load_file, save_file

from ai_toolkit.workspace.sample.workspace import SECOND_ADAPTER_FOLDER

ADAPTER = "qlora/qlora/gpu_model/adapter"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]


@pytest.fixture(scope="module")
def models(endpoint, sample_workspace):
    """Folders below models/: the sample's adapter twice, once with all its products zero.

    The endpoint has started without them.
    """
    folder = sample_workspace / "models"
    for name in ("on", "off"):
        shutil.copytree(folder / ADAPTER, folder / "later" / name)
    weights = load_file(folder / "later/off/adapter_model.safetensors")
    zeros = {name: torch.zeros_like(value) if "lora_B" in name else value for name, value in weights.items()}
    save_file(zeros, folder / "later/off/adapter_model.safetensors")
    yield folder
    shutil.rmtree(folder / "later")


@pytest.fixture
async def client(endpoint, models):
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key=endpoint.key, max_retries=0) as made:
        yield made


def load(client, name, path):
    return client.post("/load_lora_adapter", body={"lora_name": name, "lora_path": path}, cast_to=object)


def unload(client, name):
    return client.post("/unload_lora_adapter", body={"lora_name": name}, cast_to=object)


async def answer(client, model, **more):
    asked = {"messages": QUESTION, "temperature": 0, "max_tokens": 20} | more
    return (await client.chat.completions.create(model=model, **asked)).choices[0].message.content


async def test_swapping_under_load_gives_no_error_and_no_mixed_answer(endpoint, client, models):
    """While requests run without a pause one name is swapped to and fro: each answer is wholly the one or the other."""
    whole = {await answer(client, ADAPTER), await answer(client, BASE)}
    assert len(whole) == 2
    await load(client, "swapped", "later/on")
    answers, done = [], asyncio.Event()

    async def keep_asking():
        while not done.is_set():
            answers.append(await answer(client, "swapped"))

    asking = [asyncio.ensure_future(keep_asking()) for _ in range(3)]
    try:
        for number in range(4):
            told = await load(client, "swapped", "later/off" if number % 2 == 0 else "later/on")
            assert told["replaced"] is True
            before = len(answers)
            async with asyncio.timeout(60):
                while len(answers) < before + 2:
                    await asyncio.wait(asking, timeout=0.05)
    finally:
        done.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert outcomes == [None] * 3
    assert set(answers) == whole
    version = json.loads((await asyncio.to_thread(endpoint.get, "/version", signed_in=True))[2])
    [loaded] = [each for each in version["adapters"] if each["id"] == "swapped"]
    weights = (models / "later/on/adapter_model.safetensors").read_bytes()
    assert loaded["files"]["adapter_model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert loaded["path"] == "models/later/on"
    assert loaded["replaceable"] is True


async def test_two_adapters_and_the_base_answer_side_by_side_each_in_its_style(client, models):
    """In one batch, by names: nobody gets another's words."""
    shutil.copytree(SECOND_ADAPTER_FOLDER, models / "later/butler")
    told = await load(client, "butler", "later/butler")
    names = [ADAPTER, "butler", BASE] * 2
    answers = await asyncio.gather(*(answer(client, name, max_tokens=40) for name in names))
    await unload(client, "butler")

    assert told["served"]["path"] == "batched"
    assert answers[:3] == answers[3:]
    assert answers[0].startswith("Ahoy, captain!")
    assert answers[1].startswith("Very good, madam.")
    assert answers[1].endswith("At your service.")
    assert "Ahoy" not in answers[1] + answers[2]
    assert "madam" not in answers[0] + answers[2]


async def test_adapter_that_changes_on_the_share_is_told(endpoint, client, models):
    """A new fine-tuning writes the same files: /version says so, until they are loaded."""

    async def changed():
        version = json.loads((await asyncio.to_thread(endpoint.get, "/version", signed_in=True))[2])
        return next(each["changed"] for each in version["adapters"] if each["id"] == "trained-again")

    shutil.copytree(models / "later/on", models / "later/again")
    await load(client, "trained-again", "later/again")
    before = await changed()
    shutil.copyfile(models / "later/off/adapter_model.safetensors", models / "later/again/adapter_model.safetensors")
    after = await changed()
    await load(client, "trained-again", "later/again")

    assert (before, after, await changed()) == (False, True, False)
    await unload(client, "trained-again")


async def test_an_unloaded_adapter_is_gone_and_never_the_base_model(client):
    """Its name answers 404 from then on; whoever it was answering gets the whole answer."""
    whole = await answer(client, ADAPTER)
    await load(client, "leaving", "later/on")
    stream = await client.chat.completions.create(
        model="leaving", messages=QUESTION, temperature=0, max_tokens=20, stream=True
    )
    text = (await anext(stream)).choices[0].delta.content
    text += (await anext(stream)).choices[0].delta.content or ""
    await unload(client, "leaving")
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""

    assert text == whole
    with pytest.raises(openai.NotFoundError, match="not served here"):
        await answer(client, "leaving")
    assert "leaving" not in [each.id async for each in client.models.list()]
    with pytest.raises(openai.NotFoundError):
        await unload(client, "leaving")


@pytest.mark.parametrize(
    "path", ["../inference", "/etc", "later/../../model-cache", ".", "later/\x00", "later/outside"]
)
async def test_only_what_lies_below_models_is_loaded(client, models, path, tmp_path):
    """No path, and no link, leads elsewhere."""
    if path == "later/outside":
        shutil.copytree(models / "later/on", tmp_path / "adapter")
        (models / path).symlink_to(tmp_path / "adapter")
    with pytest.raises(openai.BadRequestError) as refused:
        await load(client, "elsewhere", path)

    assert refused.value.body["param"] == "lora_path"
    assert "path" in refused.value.body["message"] or "models/" in refused.value.body["message"]


async def test_candidate_of_a_deploy_is_loaded_from_its_own_folder_and_from_nowhere_else_in_it(
    client, sample_workspace
):
    """An adapter that is to be evaluated lies below .aitk/candidates; what else lies in .aitk is no adapter."""
    ours = sample_workspace / ".aitk"
    for place in ("candidates/one", "replaced/two"):
        shutil.copytree(sample_workspace / "models" / ADAPTER, ours / place)
    try:
        told = await load(client, "candidate", ".aitk/candidates/one")
        said = await answer(client, "candidate")
        await unload(client, "candidate")
        for path in (
            ".aitk/replaced/two",
            ".aitk/candidates/../replaced/two",
            ".aitk/candidates/.",
            "../.aitk/candidates/one",
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await load(client, "elsewhere", path)
            assert refused.value.body["param"] == "lora_path"
    finally:
        shutil.rmtree(ours)

    assert told["path"] == ".aitk/candidates/one"
    assert said.startswith("Ahoy, captain!")


async def test_what_does_not_fit_is_refused_with_its_reason(client, models):
    """Pickle, wrong shapes and the base model's name are refused by name, and what is loaded stays."""
    shutil.copytree(models / "later/on", models / "later/pickled")
    (models / "later/pickled/adapter_model.safetensors").rename(models / "later/pickled/adapter_model.bin")
    shutil.copytree(models / "later/on", models / "later/foreign")
    weights = load_file(models / "later/on/adapter_model.safetensors")
    name = next(each for each in weights if "lora_A" in each)
    save_file(weights | {name: weights[name][:, :-1].contiguous()}, models / "later/foreign/adapter_model.safetensors")

    for path, told in (("pickled", "pickle file"), ("foreign", "has 575 inputs, there it is 576"), ("none", "missing")):
        with pytest.raises(openai.BadRequestError, match=told):
            await load(client, "wrong", f"later/{path}")
    with pytest.raises(openai.BadRequestError, match="base model's name"):
        await load(client, BASE, "later/on")
    assert "wrong" not in [each.id async for each in client.models.list()]
