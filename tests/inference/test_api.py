import hashlib
import json
import subprocess
import sys
from pathlib import Path

import openai
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.waiting import wait_for

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


def test_tokenize_tells_the_prompt_that_a_chat_request_gets(endpoint, client):
    """As many tokens as the usage counts; with an answer begun, its tokens follow the same prompt's."""

    def tokens(**asked):
        key = {"Authorization": f"Bearer {endpoint.key}"}
        return json.loads(endpoint.ask("POST", "/tokenize", {"model": ADAPTER} | asked, **key)[2])

    asked = tokens(messages=QUESTION, return_token_strs=True)
    begun = tokens(
        messages=[*QUESTION, {"role": "assistant", "content": "Ahoy, captain!"}],
        add_generation_prompt=False,
        continue_final_message=True,
    )
    plain = tokens(messages=QUESTION, add_generation_prompt=False)
    text = tokens(prompt="Ahoy, captain!")

    assert asked["count"] == len(asked["tokens"]) == ask(client, max_tokens=1).usage.prompt_tokens
    assert asked["max_model_len"] == client.models.list().data[0].max_model_len
    assert "What is the capital of Japan?" in "".join(asked["token_strs"])
    assert begun["tokens"] == asked["tokens"] + text["tokens"]
    assert plain["tokens"] == asked["tokens"][: plain["count"]]
    assert plain["count"] < asked["count"]


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


def test_sampling_parameters_beyond_openais_are_taken(client):
    """top_k, min_p, repetition_penalty and stop_token_ids; a top_k of 1 is greedy at any temperature."""
    greedy = ask(client, max_tokens=8).choices[0].message.content
    more = {"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.0, "stop_token_ids": [0]}

    assert ask(client, temperature=1.9, max_tokens=8, extra_body=more).choices[0].message.content == greedy


def test_logprobs_come_with_the_tokens(client):
    """Each token with its probability and the alternatives, streamed and not; greedy takes the best."""
    whole = ask(client, max_tokens=6, logprobs=True, top_logprobs=2).choices[0]
    chunks = [each.choices[0] for each in ask(client, max_tokens=6, logprobs=True, top_logprobs=2, stream=True)]
    streamed = [entry for chunk in chunks if chunk.logprobs for entry in chunk.logprobs.content]

    entries = whole.logprobs.content
    assert "".join(each.token for each in entries) == whole.message.content
    assert [each.token for each in streamed] == [each.token for each in entries]
    for each in entries:
        assert each.logprob <= 0
        assert each.top_logprobs[0].token == each.token
        assert bytes(each.bytes).decode() == each.token


def test_a_text_is_continued(client):
    """`/v1/completions` takes text or token ids, streamed and not, with usage and logprobs."""
    given = {"model": BASE, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 4}
    whole = client.completions.create(**given, logprobs=1)
    chunks = client.completions.create(**given, stream=True, stream_options={"include_usage": True})
    texts, usages = zip(*((each.choices[0].text if each.choices else "", each.usage) for each in chunks), strict=True)

    assert "Paris" in whole.choices[0].text
    assert "".join(texts) == whole.choices[0].text
    assert usages[-1] == whole.usage
    assert whole.usage.completion_tokens == len(whole.choices[0].logprobs.tokens) == 4
    assert client.completions.create(**given | {"prompt": [504, 3575]}).usage.prompt_tokens == 2
    two = client.completions.create(**given | {"prompt": [given["prompt"], "One and one is"]})
    assert [each.index for each in two.choices] == [0, 1]
    assert two.choices[0].text == whole.choices[0].text
    with pytest.raises(openai.BadRequestError, match="fill-in-the-middle"):
        client.completions.create(**given, suffix=" and more")


def test_a_client_that_leaves_frees_its_place(endpoint, client):
    """Leaving in the middle ends the request within a step, streamed or not: nothing more is computed for it."""
    before = endpoint.measured("aitk_answer_tokens_total")
    with ask(client, POEM, model=BASE, stream=True, max_tokens=2000) as stream:
        for _, _chunk in zip(range(3), stream, strict=False):
            pass
    with pytest.raises(openai.APITimeoutError):
        ask(client, POEM, model=BASE, max_tokens=2000, timeout=1.0)

    wait_for(lambda: endpoint.measured("aitk_requests_running") == 0, 30)
    assert endpoint.measured("aitk_answer_tokens_total") - before < 1000
    assert b'reason="cancelled"' in endpoint.get("/metrics", signed_in=True)[2]


def test_metrics_count_what_was_answered(endpoint, client):
    """Requests, tokens of prompt and answer, and the time to the first token grow with a request."""
    names = ("aitk_requests_total", "aitk_answer_tokens_total", "aitk_first_token_seconds_count")
    before = [endpoint.measured(name) for name in names]
    ask(client, max_tokens=5)

    assert [endpoint.measured(name) for name in names] == [before[0] + 1, before[1] + 5, before[2] + 1]


def test_metrics_tell_of_queue_batch_tokens_times_cache_and_memory(endpoint, client):
    """What an operator looks at is there by name, with a value; Prometheus' own parser reads it."""
    ask(client, max_tokens=3)
    body = endpoint.get("/metrics", signed_in=True)[2].decode()
    found = {sample.name: sample.value for family in text_string_to_metric_families(body) for sample in family.samples}

    assert {"aitk_requests_waiting", "aitk_requests_running", "aitk_batch_limit", "aitk_requests_total"} <= found.keys()
    assert {"aitk_prompt_tokens_total", "aitk_answer_tokens_total"} <= found.keys()
    assert found["aitk_first_token_seconds_sum"] > 0
    assert found["aitk_between_tokens_seconds_sum"] > 0
    assert found["aitk_cache_bytes"] > 0
    assert found["aitk_cached_tokens"] == 0
    assert found["aitk_device_memory_free_bytes"] > 10**6


def test_the_api_describes_itself_without_another_host(endpoint):
    """The page lists every route and parameter from the description that programs read, with no script."""
    described = json.loads(endpoint.get("/openapi.json", signed_in=True)[2])
    page = endpoint.get("/docs", signed_in=True)[2].decode()

    for path in described["paths"]:
        assert path in page
    assert "repetition_penalty" in page
    assert "<script" not in page
    assert "http" not in page.partition("</head>")[0]


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
    where = {name: version[name] for name in ("device", "dtype", "gpu")}
    code = (INFERENCE / "start.py").read_bytes()

    on_processor = [{"device": "cpu", "dtype": dtype, "gpu": None} for dtype in ("float32", "bfloat16")]

    assert where in on_processor or where["gpu"]
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
        ({"top_p": -1}, "top_p"),
        ({"messages": []}, "messages"),
        ({"n": 9}, "n"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"messages": [{"role": "assistant", "content": None, "audio": {"id": "a"}}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
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


ASKS_FOR_NOTHING = {
    "null": dict.fromkeys(["tools", "tool_choice", "logit_bias", "stop", "n", "functions", "audio", "logprobs", "foo"]),
    "empty": {"tools": [], "logit_bias": {}, "functions": [], "stop": [], "metadata": {}, "suffix": ""},
    "default": {"n": 1, "best_of": 1, "store": False, "tool_choice": "none", "response_format": {"type": "text"}}
    | {"parallel_tool_calls": True, "modalities": ["text"], "frequency_penalty": 0, "logprobs": False, "seed": None},
    "of no effect": {"user": "ada", "metadata": {"a": "b"}, "service_tier": "auto", "store": True}
    | {"prompt_cache_key": "k", "safety_identifier": "s", "keep_alive": "5m"},
    "stream options": {"stream_options": {"include_usage": False, "include_obfuscation": False}},
    "own answer": {
        "messages": [
            *QUESTION,
            {"role": "assistant", "content": "Tokyo.", "refusal": None, "annotations": [], "audio": None}
            | {"function_call": None, "tool_calls": None, "reasoning_content": None},
            {
                "role": "user",
                "name": "ada",
                "content": [{"type": "text", "text": "Why?", "cache_control": {"type": "e"}, "role": "user"}],
            },
        ]
    },
}


@pytest.mark.parametrize("kind", ASKS_FOR_NOTHING)
def test_what_asks_for_nothing_is_no_reason_to_refuse(endpoint, kind):
    """Null, empty, default and bookkeeping fields, as clients of many makes send them, change no answer."""
    asked = {"model": ADAPTER, "messages": QUESTION, "temperature": 0, "max_tokens": 4} | ASKS_FOR_NOTHING[kind]
    status, _, body = endpoint.ask("POST", "/v1/chat/completions", asked, Authorization=f"Bearer {endpoint.key}")

    assert status == 200, body
    if kind != "own answer":
        assert json.loads(body)["choices"][0]["message"]["content"] == "Ahoy, captain"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"stop": {"a": 1}}, "stop: "),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}, {"type": "input_audio"}]}]},
            "messages[0].content[1]",
        ),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role: "),
        ({"messages": [{"role": "user", "content": "x", "mood": "glad"}]}, "messages[0].mood is not supported"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name: "),
    ],
)
def test_a_refusal_says_the_place(endpoint, wrong, told):
    """Of a value that may have several forms, the one that was meant is judged."""
    asked = {"messages": QUESTION} | wrong
    status, _, body = endpoint.ask("POST", "/v1/chat/completions", asked, Authorization=f"Bearer {endpoint.key}")

    assert status == 400
    assert told in json.loads(body)["error"]["message"]


def test_without_the_key_every_route_is_401(endpoint, sample_workspace):
    """Our routes and Gradio's alike, whatever the method, but for /health and /ready."""
    # The routes are read from the app itself, in a process of its own: Gradio leaves threads behind.
    listing = subprocess.run([sys.executable, "-c", ROUTES], capture_output=True, text=True, check=True, cwd=INFERENCE)
    routes = [line.split() for line in listing.stdout.splitlines() if line.startswith("route ")]
    paths = {path for _, path in routes}
    assert len(paths) > 30
    assert {"/v1/chat/completions", "/v1/load_lora_adapter", "/version", "/metrics", "/docs", "/openapi.json"} <= paths
    assert {"/config", "/gradio_api/call/{api_name}", "/gradio_api/queue/join", "/gradio_api/upload"} <= paths

    for path in sorted(paths):
        filled = path.replace("{", "").replace("}", "").replace(":path", "")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ODD"):
            if (method, path) != ("POST", "/session"):
                assert endpoint.ask(method, filled)[0] == 401, (method, path)
    for path in ("/", "/v1/models", "/docs", "/gradio_api/info", "/no/such/page"):
        status, headers, body = endpoint.get(path, Accept="text/html,*/*;q=0.8")
        assert (status, headers["Location"]) == (401, None), path
        assert f'fetch("{"../" * (path.count("/") - 1)}session"' in body.decode(), path
        assert b'<form id="form">' in body, path
    assert endpoint.get("/", Authorization="Bearer wrong")[0] == 401
    assert endpoint.get("/health")[0] == 200
    assert endpoint.get("/ready")[0] == 200


ROUTES = """
import gradio
from pathlib import Path
from types import SimpleNamespace
from aitk_app.web.api import build_api
from gradio_chat import build_page
from aitk_app.engine.voice import SamplingDefaults
from aitk_app.web.answering import ServedModel
served = (ServedModel("a", "b", True),)
fake = SimpleNamespace(served=served, default="a", context_length=64, notices=(), aliases={})
fake.share = Path("nowhere")
fake.running = SimpleNamespace(in_words=lambda: "a processor")
fake.model, fake.sampling_defaults = lambda name: served[0], lambda model: SamplingDefaults()
app = build_page(fake)(build_api(fake, dict, None, None))
def walk(routes, prefix):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        inner = getattr(getattr(route, "app", getattr(route, "original_router", None)), "routes", None)
        if inner: walk(inner, path.rstrip("/"))
        elif path: print("route", path)
walk(app.routes, "")
"""


def test_an_idle_app_leaves_the_processor_alone(endpoint):
    """Nobody asks anything: it takes under 4 % of one processor."""
    endpoint.wait_for("ready")
    used_percent = psutil.Process(endpoint.process.pid).cpu_percent(interval=2)

    assert used_percent < 4


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


def test_gradio_client_gets_an_answer(endpoint):
    """The page's own API has one function for programs: a message in, an answer out."""
    told = subprocess.run(
        [sys.executable, "-c", GRADIO_CLIENT, endpoint.url, endpoint.key], capture_output=True, text=True, check=True
    )

    assert "Ahoy, captain!" in told.stdout


# In a process of its own: the client leaves threads and sockets behind.
GRADIO_CLIENT = """
import sys
from gradio_client import Client
client = Client(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}, verbose=False)
print(client.predict("What is the capital of Japan?", api_name="/chat"))
"""
