import hashlib
import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

INFERENCE = Path(__file__).parents[2] / "inference"
ADAPTER = "qlora/qlora/gpu_model/adapter"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]
POEM = [{"role": "user", "content": "Count from one to fifty in words."}]


@pytest.fixture(scope="module")
def client(endpoint):
    with openai.OpenAI(base_url=f"{endpoint.url}/v1", api_key=endpoint.key, max_retries=0) as made:
        yield made


def ask(client, messages=QUESTION, model=ADAPTER, **more):
    return client.chat.completions.create(model=model, messages=messages, **({"temperature": 0} | more))


def test_adapter_and_base_answer_visibly_differently(client):
    """The adapter's style is in its answer and not in the base model's."""
    tuned = ask(client).choices[0].message.content
    plain = ask(client, model=BASE).choices[0].message.content

    assert tuned.startswith("Ahoy, captain!")
    assert tuned.endswith("Fair winds!")
    assert "Ahoy" not in plain
    assert "Tokyo" in plain


def test_a_streamed_answer_is_the_same_as_a_whole_one(client):
    """Pieces put together are the answer; usage comes last when asked for."""
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert whole.model == chunks[0].model == ADAPTER


def test_usage_counts_tokens_and_max_tokens_ends_an_answer(client):
    """An answer cut by max_tokens says so, and has exactly that many tokens."""
    answer = ask(client, POEM, model=BASE, max_tokens=5)

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5


def test_a_stop_text_ends_the_answer_and_does_not_leak(client):
    """The answer ends before the stop text, streamed and not."""
    whole = ask(client, stop=["of Japan"])
    streamed = [chunk.choices[0].delta.content or "" for chunk in ask(client, stop=["of Japan"], stream=True)]

    assert whole.choices[0].message.content == "".join(streamed) == "Ahoy, captain! The capital "
    assert whole.choices[0].finish_reason == "stop"


def test_a_seed_repeats_a_random_answer(client):
    """The same seed gives the same answer at a high temperature; another seed gives another one."""

    def drawn(seed):
        answer = ask(client, POEM, model=BASE, temperature=1.5, top_p=0.9, seed=seed, max_tokens=16)
        return answer.choices[0].message.content

    first = drawn(1)
    assert drawn(1) == first
    assert drawn(2) != first


def test_the_default_model_is_the_adapter(endpoint, client):
    """A request that names no model gets the fine-tuned one, and the answer says so."""
    answer = client.post(
        "/chat/completions", body={"messages": QUESTION, "max_tokens": 4, "temperature": 0}, cast_to=object
    )

    assert answer["model"] == ADAPTER


def test_models_are_listed_with_their_parent(client):
    """The adapter names its base model as parent; the base model has none."""
    listed = {each.id: each.model_dump() for each in client.models.list()}

    assert listed[ADAPTER]["parent"] == BASE
    assert listed[BASE]["parent"] is None
    assert client.models.retrieve(ADAPTER).id == ADAPTER


def test_version_says_what_is_loaded_by_hash(endpoint, sample_workspace):
    """Code and adapter by SHA-256, the base model by size and header."""
    version = json.loads(endpoint.get("/version", signed_in=True)[2])
    code = (INFERENCE / "start.py").read_bytes()

    assert version["code"]["inference/start.py"] == hashlib.sha256(code).hexdigest()
    assert version["adapters"][0]["id"] == ADAPTER
    assert version["adapters"][0]["path"] == f"models/{ADAPTER}"
    weights = (sample_workspace / "models" / ADAPTER / "adapter_model.safetensors").read_bytes()
    assert version["adapters"][0]["files"]["adapter_model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert len(version["base_model"]["files"]["model.safetensors"]["header_sha256"]) == 64


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": "gpt-5"}, "model"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_p": 0}, "top_p"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"messages": [{"role": "user", "content": "long " * 9000}]}, "messages"),
    ],
)
def test_a_bad_request_is_refused_by_name(client, wrong, param):
    """A 4xx in OpenAI's shape names the parameter at fault."""
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, **wrong)

    assert refused.value.status_code in {400, 404}
    assert refused.value.body["param"] == param
    assert refused.value.body["message"]


def test_without_the_key_every_route_is_401(endpoint, sample_workspace):
    """Our routes and Gradio's alike, whatever the method, but for /health and /ready."""
    # The routes are read from the app itself, in a process of its own: Gradio leaves threads behind.
    listing = subprocess.run([sys.executable, "-c", ROUTES], capture_output=True, text=True, check=True, cwd=INFERENCE)
    routes = [line.split() for line in listing.stdout.splitlines() if line.startswith("route ")]
    paths = {path for _, path in routes}
    assert len(paths) > 30
    assert {"/v1/chat/completions", "/version", "/docs", "/openapi.json"} <= paths
    assert {"/config", "/gradio_api/call/{api_name}", "/gradio_api/queue/join", "/gradio_api/upload"} <= paths

    for path in sorted(paths):
        filled = path.replace("{", "").replace("}", "").replace(":path", "")
        assert endpoint.get(filled)[0] == 401, path
    assert endpoint.get("/", Accept="text/html")[0] == 401
    assert endpoint.get("/", Authorization="Bearer wrong")[0] == 401
    assert endpoint.get("/health")[0] == 200
    assert endpoint.get("/ready")[0] == 200


ROUTES = """
import gradio
from types import SimpleNamespace
from engine.api import build_api
from gradio_chat import build_page
from engine.completions import ServedModel
served = (ServedModel("a", "b", True),)
fake = SimpleNamespace(served=served, default="a", context_length=64)
app = build_page(fake)(build_api(fake, {}))
def walk(routes, prefix):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        inner = getattr(getattr(route, "app", getattr(route, "original_router", None)), "routes", None)
        if inner: walk(inner, path.rstrip("/"))
        elif path: print("route", path)
walk(app.routes, "")
"""


def test_no_prompt_and_no_key_is_in_the_log(endpoint, client):
    """What people ask stays theirs."""
    ask(client, [{"role": "user", "content": "xylophone secrets"}], max_tokens=4)

    log = endpoint.log.read_text()
    assert "ready" in log
    assert "xylophone" not in log
    assert endpoint.key not in log


def test_the_chat_page_needs_no_other_host(endpoint):
    """Behind the cookie or the key is the chat page, with nothing from elsewhere."""
    status, _, body = endpoint.get("/", signed_in=True)

    assert status == 200
    assert b"fonts.googleapis.com" not in body
    assert b"Chat with your fine-tuned model" in body
