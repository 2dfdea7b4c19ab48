"""An engine that dies under a request: the app itself, over HTTP, with a model whose own code raises on demand."""

from __future__ import annotations

import asyncio
import json
import re
import shutil

import openai
import pytest
import torch
from tests.support.waiting import until

from ai_toolkit.workspace.sample.workspace import place_sample

LONG_TOKENS = 10_000
"""So long an answer that it is not whole before the engine dies."""

# Code that comes with a model, which settings may trust. "die" makes the next pass raise, and the one after it wait.
MODEL = """
import os, pathlib, time
from transformers import LlamaForCausalLM
FOLDER = pathlib.Path(os.environ["AITK_TEST_FOLDER"])
class Mortal(LlamaForCausalLM):
    def forward(self, *arguments, **more):
        while (FOLDER / "wait").exists():
            time.sleep(0.01)
        if (FOLDER / "die").exists():
            (FOLDER / "die").rename(FOLDER / "wait")
            raise RuntimeError("the device has fallen off the bus")
        return super().forward(*arguments, **more)
"""


@pytest.fixture(scope="module")
def mortal(launch_for_module, tmp_path_factory, put_code):
    """The app with a small random model of that kind, and the folder where it is told what to do."""
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415 - long to import

    workspace, folder = tmp_path_factory.mktemp("mortal"), tmp_path_factory.mktemp("told")
    place_sample(workspace)
    put_code(workspace)
    shutil.rmtree(workspace / "models")
    [sample] = (workspace / "model-cache").glob("*/*")
    model = workspace / "model-cache" / "org" / "mortal"
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2 * LONG_TOKENS,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(model)
    for file in sample.glob("*token*"):
        shutil.copyfile(file, model / file.name)
    shutil.rmtree(sample)
    described = json.loads((model / "config.json").read_text())
    described |= {"auto_map": {"AutoModelForCausalLM": "mortal.Mortal"}, "architectures": ["Mortal"]}
    (model / "config.json").write_text(json.dumps(described))
    (model / "mortal.py").write_text(MODEL)
    settings = {"AITK_ADAPTERS": "none", "AITK_TRUST_REMOTE_CODE": "true", "AITK_TEST_FOLDER": str(folder)}
    settings |= {"AITK_PROMPT_TEMPLATE": "{}", "HF_HOME": str(folder / "hub")}
    endpoint = launch_for_module(workspace, environment=settings)
    endpoint.wait_for("ready")
    return endpoint, folder


async def test_an_engine_that_dies_is_restarted_and_ready_says_so(mortal):
    """Who was being answered gets an error in OpenAI's shape, who comes meanwhile waits; /ready is red until then."""
    endpoint, folder = mortal
    asked = {"model": "org/mortal", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": LONG_TOKENS}
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key=endpoint.key, max_retries=0) as client:
        stream = await client.chat.completions.create(**asked, stream=True)
        async for chunk in stream:  # what a random model says may be whole only after some tokens
            if text := chunk.choices[0].delta.content:
                break
        whole = asyncio.ensure_future(client.chat.completions.create(**asked))
        await until(lambda: endpoint.measured("aitk_requests_running") == 2)
        (folder / "die").touch()
        with pytest.raises(openai.APIError, match="is being started again") as streamed:
            async for _ in stream:
                pass
        state = await asyncio.to_thread(endpoint.wait_for, "warming")
        red = await asyncio.to_thread(endpoint.get, "/ready")
        listed = await asyncio.to_thread(endpoint.get, "/v1/models", signed_in=True)
        held = asyncio.ensure_future(client.chat.completions.create(**asked | {"max_tokens": 5}))
        page = await asyncio.to_thread(endpoint.get, "/", signed_in=True, Accept="text/html")
        (folder / "wait").unlink()
        await asyncio.to_thread(endpoint.wait_for, "ready")
        [unstreamed] = await asyncio.gather(whole, return_exceptions=True)
        again = await held

    assert text
    assert streamed.value.body["type"] == "server_error"
    assert "starts again" in state["detail"]
    number = re.search("error ([0-9a-f]{8})", state["detail"])[1]
    assert number in str(streamed.value)
    log = endpoint.log.read_text()
    assert number in log
    assert "the device has fallen off the bus" in log
    assert "fallen" not in state["detail"] + str(streamed.value)
    assert red[0] == 503
    assert red[1]["Retry-After"]
    assert [each["id"] for each in json.loads(listed[2])["data"]] == ["org/mortal"]
    assert page[0] == 503
    assert b"starts again" in page[2]
    assert isinstance(unstreamed, openai.InternalServerError)
    assert unstreamed.status_code == 503
    assert unstreamed.body["type"] == "server_error"
    assert again.usage.completion_tokens == 5
    assert (await asyncio.to_thread(endpoint.get, "/ready"))[0] == 200
