"""Bodies that cannot be answered do not stop the others: too long, no text, numbers out of all bounds."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.error
import urllib.request

import pytest
import torch
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import BASE, serving
from tests.support.inference.tiny import make_tiny

from aitk_app.engine.sampling import Chooser, Sampling, next_tokens

CHAT = {"messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with serving(make_tiny(tmp_path_factory.mktemp("tiny")).models, prompt_template="{}") as started:
        yield started


def ask(app, path, body=None):
    """Status and body of a POST; of a GET without one."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {app.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(app.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_a_body_longer_than_any_context_is_refused_before_it_is_parsed(app, path):
    """In the words that clients know; it is no JSON even, which nobody found out."""
    status, told = ask(app, path, b'{"prompt": "' + b"a word " * 2_000_000)

    assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
    assert "this model's maximum context length is" in told["error"]["message"]


def test_several_prompts_may_be_longer_together_than_one_may_be(app):
    """Each is judged by itself: the body of 40 passes at a length at which that of one does not."""
    asked = {"max_tokens": 1, "temperature": 0}
    many = {"prompt": [[5] * 90] * 40, "metadata": {"more": "x" * 600_000}}
    text = '", ' * 300_000

    assert ask(app, "/v1/completions", asked | many)[0] == 200
    assert ask(app, "/v1/completions", asked | {"prompt": text})[1]["error"]["code"] == "context_length_exceeded"


# A chat template of a model whose author computes: what is long takes it a while.
COMPUTING = (
    "{% for m in messages %}{% if m.content | length > 1000 %}"
    "{% for a in range(99999) %}{% for b in range(25) %}{% endfor %}{% endfor %}{% endif %}"
    "<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}<|start|>assistant\n"
)


@pytest.fixture(scope="module")
def computing_app():
    models = byte_models()
    models.voice.tokenizer.chat_template = COMPUTING
    with serving(models) as started:
        yield started


def test_health_is_answered_while_long_prompts_become_tokens(computing_app):
    """Six of them, computing for a while beside the loop that answers: all the time, as is a short question."""
    long = {"model": BASE, "messages": [{"role": "user", "content": "x" * 200_000}]}
    ended, answers = threading.Event(), []

    def ask_long():
        answers.append(ask(computing_app, "/v1/chat/completions", long)[1]["error"]["code"])
        if len(answers) == 6:
            ended.set()

    asking = [threading.Thread(target=ask_long) for _ in range(6)]
    for each in asking:
        each.start()
    healthy = 0
    short = threading.Thread(target=ask, args=(computing_app, "/v1/chat/completions", CHAT | {"max_tokens": 1}))
    short.start()
    while not ended.is_set():
        assert ask(computing_app, "/health")[0] == 200
        healthy += not ended.is_set()
        if healthy >= 3 and not short.is_alive():
            break
    answered_meanwhile = not ended.is_set()
    for each in [*asking, short]:
        each.join(120)

    assert answers == ["context_length_exceeded"] * 6
    assert answered_meanwhile


HALF = "\ud83d"
HALVES = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": HALF}]}, "messages[0].content"),
    ("/v1/chat/completions", CHAT | {"stop": ["a", HALF]}, "stop[1]"),
    ("/v1/chat/completions", CHAT | {"metadata": {"a": {"b": HALF}}}, "metadata.a.b"),
    ("/v1/chat/completions", CHAT | {"chat_template_kwargs": {HALF: 1}}, "chat_template_kwargs"),
    (
        "/v1/chat/completions",
        CHAT | {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": [HALF]}}}},
        "response_format.json_schema.schema.enum[0]",
    ),
    (
        "/v1/chat/completions",
        CHAT | {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"title": HALF}}}]},
        "tools[0].function.parameters.title",
    ),
    ("/v1/completions", {"prompt": HALF}, "prompt"),
    ("/v1/completions", {"prompt": ["a", HALF]}, "prompt[1]"),
    ("/v1/completions", {"prompt": "a", HALF: 1}, "body"),
    ("/v1/responses", {"input": HALF}, "input"),
    ("/v1/load_lora_adapter", {"lora_name": HALF, "lora_path": "x"}, "lora_name"),
]


@pytest.mark.parametrize(("path", "asked", "place"), HALVES)
def test_half_a_character_is_no_text_anywhere(app, path, asked, place):
    """400 with the place, in every field and as a name."""
    status, told = ask(app, path, asked)

    assert status == 400
    assert told["error"]["message"].startswith(f"{place} holds half a character")


def test_both_halves_of_a_character_are_one(app):
    """As JSON writes what lies beyond its first plane; and a backslash that is only text is none."""
    body = b'{"prompt": "\\ud83d\\ude00 \\\\ud83d", "max_tokens": 1}'

    assert ask(app, "/v1/completions", body)[0] == 200


NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
COUNTS = ("n", "seed", "min_tokens", "max_tokens", "logprobs")


@pytest.mark.parametrize("name", [*NUMBERS, *COUNTS, "logit_bias"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**30, -(10**30), 5e-324])
def test_every_number_has_bounds(app, name, value):
    """What is out of them is 400 and names the parameter; what is within them is answered."""
    given = {"5": value} if name == "logit_bias" else value
    status, told = ask(app, "/v1/completions", {"prompt": "x", "max_tokens": 1, name: given})

    assert status in {200, 400}
    assert status == 400 or value == 5e-324
    if status == 400:
        assert told["error"]["param"] == name
    assert ask(app, "/v1/completions", {"prompt": "x", "max_tokens": 1})[0] == 200


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_without_a_usable_number_ends_alone(broken, temperature):
    """Its neighbours' tokens are what they are without it."""
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    logits[1, 7] = broken
    sampling = Sampling(max_tokens=5, temperature=temperature, seed=3)

    def choosers(count):
        return [Chooser(sampling, [1, 2]) for _ in range(count)]

    found = next_tokens(logits.clone(), choosers(3))
    alone = next_tokens(logits[[0, 2]].clone(), choosers(2))

    assert isinstance(found[1], FloatingPointError)
    assert [found[0], found[2]] == alone


def test_time_is_not_lost_on_a_body_that_is_too_long(app):
    """It is refused as fast as it is read."""
    body = b'{"prompt": "' + b"x" * (15 << 20) + b'"}'
    begun = time.monotonic()
    refused = ask(app, "/v1/chat/completions", body)[0]

    assert refused == 400
    assert time.monotonic() - begun < 10
