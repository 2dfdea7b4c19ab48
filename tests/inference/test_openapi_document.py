"""The API's description tells the truth: of every route, its methods, statuses, kinds of content and the key."""

from __future__ import annotations

import json

import pytest

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
    "/v1/completions": {"prompt": "x", "max_tokens": 1},
    "/v1/responses": {"input": "x", "max_output_tokens": 1},
    "/tokenize": {"prompt": "x"},
}
STREAMED = tuple(path for path in BODIES if path.startswith("/v1/"))


@pytest.fixture(scope="module")
def described(endpoint):
    return json.loads(endpoint.get("/openapi.json", signed_in=True)[2])


def ask(endpoint, method, path, body=None, *, key=True):
    told = {"Authorization": f"Bearer {endpoint.key}"} if key else {}
    return endpoint.ask(method, path, body, **told)


def answers(described, method, path):
    """Status -> kinds of content."""
    route = described["paths"][path][method.lower()]
    return {int(status): set(told.get("content", ())) for status, told in route["responses"].items()}


def routes(described):
    return [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]


def test_every_answer_has_a_status_and_a_kind_that_are_described(endpoint, described):
    """With what is asked for, with nothing, with something else, and without the key."""
    for method, path in routes(described):
        where = path.replace("{name}", "none")
        for body in (BODIES.get(path), {}, {"no": "such"}, [1]) if method == "POST" else (None,):
            for key in (True, False):
                status, headers, _ = ask(endpoint, method, where, body, key=key)
                kinds = answers(described, method, path)

                assert status in kinds, (method, path, body)
                assert headers.get_content_type() in kinds[status], (method, path, status)
                open_to_all = described["paths"][path][method.lower()].get("security") == []
                assert key or open_to_all == (status != 401), (method, path)
    for path in STREAMED:
        status, headers, _ = ask(endpoint, "POST", path, BODIES[path] | {"stream": True})
        assert headers.get_content_type() in answers(described, "POST", path)[status]


def test_another_method_is_refused_with_those_that_are_taken(endpoint, described):
    """405 with Allow, and OpenAI's shape, wherever the chat page could answer instead."""
    for path, methods in described["paths"].items():
        if path in {"/health", "/ready"}:
            continue  # which a probe may ask as it likes
        taken = {method.upper() for method in methods}
        for method in set(METHODS) - taken:
            status, headers, body = ask(endpoint, method, path.replace("{name}", "none"))

            assert status == 405, (method, path)
            assert set(headers["Allow"].split(", ")) >= taken, (method, path)
            if method != "HEAD":
                assert json.loads(body)["error"]["type"] == "invalid_request_error", (method, path)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/models/", 200), ("/v1//models", 200), ("/v1/nothing", 404), ("/v1/nothing/", 404), ("/v1/", 404)],
)
def test_slashes_do_not_matter_and_unknown_routes_are_404(endpoint, path, status):
    """As programs put addresses together."""
    found, _, body = ask(endpoint, "GET", path)

    assert found == status
    assert status == 200 or json.loads(body)["error"]["message"]
    assert ask(endpoint, "POST", "/v1/chat/completions/", BODIES["/v1/chat/completions"])[0] == 200


def test_null_and_what_asks_for_nothing_are_described(described):
    """A field that need not be given may be null; what is not known may be empty."""
    body = described["components"]["schemas"]["ChatRequest"]

    for name, field in body["properties"].items():
        assert name in body["required"] or {"type": "null"} in field["anyOf"], name
    assert body["additionalProperties"]["enum"] == [None, "", [], {}, False]
    assert "422" not in described["paths"]["/v1/chat/completions"]["post"]["responses"]
