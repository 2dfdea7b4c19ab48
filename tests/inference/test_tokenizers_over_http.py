"""What clients get of models whose tokenizers spell in bytes, and of adapters that speak their own way."""

from __future__ import annotations

import json

import openai
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.inference.test_text import with_bytes
from tests.support.inference.in_process import BASE, serving
from tests.support.inference.tiny import make_tiny
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from aitk_app.engine.adapter_files import Adapter
from aitk_app.engine.model import Models
from aitk_app.settings import Settings

CHAT = [{"role": "user", "content": "a b 日é"}]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
OWN = "{% for m in messages %}{{ m['role'][0] }}{{ m['content'] }}!{% endfor %}"


def client_of(app):
    return openai.OpenAI(base_url=f"{app.url}/v1", api_key=app.key, max_retries=0)


def random_model(vocabulary, **sampling):
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).double().eval()
    model.generation_config = GenerationConfig(**sampling)
    return model


@pytest.fixture(scope="module")
def in_bytes():
    """A model whose vocabulary is a few words and all bytes, as Llama 2's, Phi-3's and Mistral's end in."""
    torch.set_num_threads(1)
    tokenizer = with_bytes()
    tokenizer.chat_template = TEMPLATE
    models = Models(random_model(len(tokenizer)), tokenizer, Settings())
    with serving(models) as app, client_of(app) as client:
        app.client, app.tokenizer = client, tokenizer
        yield app


def test_a_greedy_answer_in_bytes_is_what_generate_and_decode_give(in_bytes):
    """transformers' own tokens, decoded whole; streamed it is the same text."""
    prompt = in_bytes.tokenizer("a b 日é", return_tensors="pt", add_special_tokens=False).input_ids
    judge = random_model(len(in_bytes.tokenizer))
    own = judge.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False, eos_token_id=[1]
    )
    asked = {"model": BASE, "messages": CHAT, "temperature": 0, "max_tokens": 30}
    whole = in_bytes.client.chat.completions.create(**asked)
    chunks = in_bytes.client.chat.completions.create(**asked, stream=True)

    expected = in_bytes.tokenizer.decode(own[0, prompt.shape[1] :], skip_special_tokens=True)
    assert whole.choices[0].message.content == expected
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == expected
    assert whole.usage.prompt_tokens == prompt.shape[1]


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), temperature=st.sampled_from([0.7, 1.0, 2.0]))
def test_random_bytes_are_streamed_as_they_come_whole(in_bytes, seed, temperature):
    """Whatever bytes are drawn: the same text, whose tokens' bytes join to it."""
    asked = {"model": BASE, "prompt": "a b", "temperature": temperature, "max_tokens": 25, "seed": seed}
    whole = in_bytes.client.completions.create(**asked, logprobs=0).choices[0]
    chunks = in_bytes.client.completions.create(**asked, stream=True)
    chat = {"model": BASE, "messages": CHAT, "temperature": temperature, "max_tokens": 25, "seed": seed}
    said = in_bytes.client.chat.completions.create(**chat, logprobs=True).choices[0]

    assert "".join(each.choices[0].text for each in chunks) == whole.text
    joined = b"".join(bytes(each.bytes) for each in said.logprobs.content if each.token != "<unk>")
    if "\ufffd" not in said.message.content:  # one byte that is none makes all bytes around it U+FFFD
        assert joined.decode().strip() == said.message.content.strip()


def test_special_tokens_are_shown_over_http(in_bytes):
    """`skip_special_tokens: false` shows them where they stand; the usual answer leaves them out."""
    asked = {"model": BASE, "prompt": "a b", "temperature": 2.0, "max_tokens": 100}
    texts = [
        [
            in_bytes.client.completions.create(**asked, seed=seed, extra_body=more).choices[0].text
            for more in ({"skip_special_tokens": False}, {})
        ]
        for seed in range(8)
    ]

    assert any("<unk>" in shown for shown, _ in texts)
    assert not any("<unk>" in hidden for _, hidden in texts)


def test_an_adapters_own_template_and_end_token_are_used(tmp_path):
    """Its prompt is its template's, its end token ends its answers and not the base's; streamed and not."""
    tiny = make_tiny(tmp_path, ("plain",))
    tiny.models.tokenizer.chat_template = TEMPLATE
    question = [{"role": "user", "content": "hello"}]
    prompt = tiny.models.tokenizer("uhello!", add_special_tokens=False).input_ids
    whole = tiny.greedy(prompt, "plain", 12)
    end = ord(whole[5]) - 33
    folder = tiny.folders["plain"]
    (folder / "chat_template.jinja").write_text(OWN)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end, "temperature": 0.0}))
    tiny.models.install(tiny.models.prepare(Adapter("plain", folder, "")))
    with serving(tiny.models, tiny.folders) as app, client_of(app) as client:
        asked = {"messages": question, "max_tokens": 12}
        tuned = client.chat.completions.create(model="plain", **asked)
        chunks = list(client.chat.completions.create(model="plain", stream=True, **asked))
        base = client.chat.completions.create(model=BASE, temperature=0, **asked)
        told = client.models.retrieve("plain").model_extra["default_sampling"]

    expected = whole[: whole.index(chr(33 + end))]
    assert tuned.choices[0].message.content == expected
    assert tuned.choices[0].finish_reason == "stop"
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == expected
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert tuned.usage.prompt_tokens == len(prompt)
    assert base.usage.prompt_tokens == len("hello")
    assert base.choices[0].finish_reason == "length"
    assert told["temperature"] == 0.0


@pytest.mark.parametrize(("asked", "temperature"), [("model", 0.25), ("openai", 1.0)])
def test_models_tell_the_sampling_of_requests_that_say_nothing(asked, temperature):
    """generation_config.json's, unless the settings say OpenAI's."""
    tokenizer = with_bytes()
    wanted = Settings(sampling_defaults=asked)
    models = Models(random_model(len(tokenizer), temperature=0.25, do_sample=True), tokenizer, wanted)
    with serving(models) as app, client_of(app) as client:
        [told] = client.models.list().data

    assert told.model_extra["default_sampling"]["temperature"] == temperature
