"""Whatever goes wrong, and wherever: OpenAI's error shape, never plain text."""

from __future__ import annotations

import gzip
import json
import re
import urllib.error
import urllib.request

import pytest
from tests.support.inference.in_process import BASE, serving
from tests.support.inference.tiny import make_tiny

ROUTES = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/base"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("GET", "/version"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
]
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/completions": {"prompt": "x"},
    "/tokenize": {"prompt": "x"},
    "/v1/load_lora_adapter": {"lora_name": "x", "lora_path": "x"},
    "/v1/unload_lora_adapter": {"lora_name": "x"},
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with serving(make_tiny(tmp_path_factory.mktemp("tiny")).models) as started:
        yield started


def ask(app, method, path, body=None):
    """Status, kind and body."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {app.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(app.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def error_of(answer):
    status, headers, body = answer
    assert headers["Content-Type"].startswith("application/json"), answer
    told = json.loads(body)["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return told


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unexpected_exception_is_an_error_as_openais(app, method, path, monkeypatch, caplog):
    """On every route: a status, a type, and an id under which the log has what the caller is not told."""
    for each in app.gate.inner.routes:
        monkeypatch.setattr(each, "app", _raising)

    assert ask(app, method, path, BODIES.get(path))[0] == 500
    told = error_of(ask(app, method, path, BODIES.get(path)))
    number = re.search("error ([0-9a-f]{8})", told["message"])[1]
    assert "inner" not in told["message"]
    assert "ZeroDivision" not in told["message"]
    [logged] = [each for each in caplog.records if number in each.getMessage()]
    assert "inner secret" in str(logged.exc_info[1])
    assert told["code"] == "internal_error"


async def _raising(scope, receive, send):
    raise ZeroDivisionError("inner secret")


def test_an_exception_in_front_of_the_app_is_one_too(app, monkeypatch):
    """The gate is the last that can say it."""

    async def raising(scope, receive, send):
        raise ZeroDivisionError

    monkeypatch.setattr(app.gate, "inner", raising)

    assert error_of(ask(app, "GET", "/anything"))["code"] == "internal_error"


def test_an_exception_while_an_answer_streams_is_its_last_event(app, monkeypatch):
    """The status is gone by then; the stream ends as streams end."""
    monkeypatch.setattr("aitk_app.web.response_forms.Form.events", lambda *_: 1 / 0)
    status, _, body = ask(app, "POST", "/v1/completions", {"model": BASE, "prompt": "x", "stream": True})
    events = [line.removeprefix("data: ") for line in body.decode().splitlines() if line]

    assert status == 200
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["error"]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 404),
        ("POST", "/v1/embeddings", {}, 404),
        ("GET", "/v1/models/none", None, 404),
        ("GET", "/v1/chat/completions", None, 405),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"\xff\xfe", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/completions", {"prompt": [10**30]}, 400),
    ],
)
def test_what_cannot_be_asked_is_refused_in_that_shape(app, method, path, body, status):
    """Unknown routes, other methods, bodies that are none."""
    answer = ask(app, method, path, body)

    assert answer[0] == status
    assert error_of(answer)["message"]


UNION = [
    ({"prompt": ["a", 5]}, "prompt[1]: Input should be a valid string"),
    ({"prompt": [5, [1]]}, "prompt[1]: Input should be a valid integer"),
    ({"prompt": [[1, "a"]]}, "prompt[0][1]: Input should be a valid integer"),
    ({"prompt": 5}, "prompt: Input should be a valid string, or a valid list"),
    ({"prompt": [None]}, "prompt[0]: Input should be a valid integer, or a valid string, or a valid list"),
    ({"prompt": "x", "stop": ["a", 5]}, "stop[1]: Input should be a valid string"),
    ({"messages": [{"role": "user", "content": 5}]}, "content: Input should be a valid string, or a valid list"),
    ({"messages": [{"role": "user", "content": [5]}]}, "content[0]: Input should be an object"),
    ({"tool_choice": "often"}, "tool_choice: Input should be 'none', 'auto' or 'required', or an object"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools: Field required"),
    ({"tool_choice": {"type": "custom"}}, "tool_choice.type: Input should be 'function', or 'allowed_tools'"),
    ({"tool_choice": {"function": {}}}, "tool_choice.function.name: Field required"),
]


@pytest.mark.parametrize(("asked", "told"), UNION)
def test_a_value_of_several_forms_is_judged_by_the_one_that_was_meant(app, asked, told):
    """The place that is at fault, or every form where it is none of them."""
    path = "/v1/completions" if "prompt" in asked else "/v1/chat/completions"
    answer = ask(app, "POST", path, BODIES[path] | asked)

    assert answer[0] == 400
    assert told in error_of(answer)["message"]


def test_an_impossible_alternative_is_a_number(app):
    """JSON has no infinity: more alternatives than tokens are possible come with the least number."""
    status, _, body = ask(app, "POST", "/v1/completions", {"prompt": "x", "max_tokens": 2, "logprobs": 20, "top_k": 1})

    assert status == 200
    assert "Infinity" not in body.decode()


def test_a_body_in_an_encoding_is_refused_with_415(app):
    """The code is named, and what is read instead."""
    request = urllib.request.Request(
        f"{app.url}/v1/chat/completions",
        gzip.compress(json.dumps(BODIES["/v1/chat/completions"]).encode()),
        {"Authorization": f"Bearer {app.key}", "Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=30)
    with refusal.value as error:
        assert (error.code, error.headers["Accept-Encoding"]) == (415, "identity")
        assert json.loads(error.read())["error"]["code"] == "unsupported_encoding"
