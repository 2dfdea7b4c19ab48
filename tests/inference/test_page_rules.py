"""Who may use the page's cookie, what a page may load, and what of Gradio is closed."""

from __future__ import annotations

import inspect
import json
import re
import urllib.error
import urllib.request

import gradio.routes
import pytest

from aitk_app.chat.page_address import is_closed


@pytest.fixture(scope="module")
def app(endpoint):
    return endpoint


def ask(app, path, body=None, method=None, **headers):
    """Status, headers and body."""
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(app.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def cookie(app):
    return ask(app, "/session", {"key": app.key})[1]["Set-Cookie"].partition(";")[0]


FROM = [
    ({}, 200),
    ({"Sec_Fetch_Site": "same-origin"}, 200),
    ({"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"}, 200),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403),
    ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
    ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate"}, 403),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://app.example", "Host": "app.example"}, 200),
    ({"Origin": "https://app.example", "X_Forwarded_Host": "app.example"}, 200),
    ({"Origin": "http://app.example.evil.example", "Host": "app.example"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), FROM)
def test_a_cookie_is_good_for_the_pages_own_requests_only(app, cookie, headers, status):
    """Another site's page, which the browser names, cannot make it ask; a form of another site cannot either."""
    asked = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    answer = ask(app, "/v1/chat/completions", asked, Cookie=cookie, **headers)

    assert answer[0] == status
    if status == 403:
        assert json.loads(answer[2])["error"]["code"] == "foreign_page"


def test_a_link_from_elsewhere_opens_the_page_and_the_key_passes_from_anywhere(app, cookie):
    """Following a link is not asking; a program says who it is by the key."""
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Accept": "text/html"}

    assert ask(app, "/", Cookie=cookie, **followed)[0] == 200
    assert ask(app, "/v1/models", Authorization=f"Bearer {app.key}", Origin="https://elsewhere.example")[0] == 200


def test_a_page_loads_nothing_from_elsewhere_and_is_in_no_frame(app, cookie):
    """The chat page, the login page and the API's: each says so to the browser."""
    login = ask(app, "/", Accept="text/html")
    chat = ask(app, "/", Accept="text/html", Cookie=cookie)
    docs = ask(app, "/docs", Accept="text/html", Cookie=cookie)

    assert [login[0], chat[0], docs[0]] == [401, 200, 200]
    for _, headers, _ in (login, chat, docs):
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "img-src 'self' data: blob:" in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_signing_out_takes_the_cookie_away(app, cookie):
    """By the page only; afterwards the login page comes."""
    status, headers, _ = ask(app, "/session", method="DELETE", Cookie=cookie, Sec_Fetch_Site="same-origin")

    assert status == 204
    assert headers["Set-Cookie"].startswith(cookie.partition("=")[0] + "=; Max-Age=0")
    assert ask(app, "/session", method="DELETE", Cookie=cookie, Sec_Fetch_Site="cross-site")[0] == 403


CLOSED = (
    *("/gradio_api/upload", "/upload", "/gradio_api/file=/etc/passwd", "/file=x", "/gradio_api/proxy=https://x/y"),
    *("/gradio_api/stream/1", "/gradio_api/component_server", "/gradio_api/vibe-edit", "/gradio_api/monitoring/x"),
)


@pytest.mark.parametrize("path", CLOSED)
def test_what_the_page_does_not_use_is_closed(app, cookie, path):
    """404 as everywhere, with the cookie and any method."""
    for body in (None, {}):
        status, _, told = ask(app, path, body, Cookie=cookie)
        assert (status, json.loads(told)["error"]["code"]) == (404, "not_found")


USED = {"", "api", "app_id", "assets", "call", "cancel", "config", "favicon.ico", "heartbeat", "info", "logout"}
USED |= {"manifest.json", "openapi.json", "pwa_icon", "queue", "reset", "robots.txt", "run", "startup-events"}
USED |= {"static", "svelte", "theme.css", "{page}"}


def test_every_route_of_gradios_is_used_or_closed():
    """By its whole first part: a newer Gradio with another route fails here; our own that begin alike stay open."""
    source = inspect.getsource(gradio.routes)
    found = re.findall(r"@(?:router|app)\.(?:get|post|put|delete|head|api_route)\(\s*f?\"([^\"]+)\"", source)
    open_ones = {each.removeprefix("/gradio_api").strip("/").partition("/")[0] for each in found if not is_closed(each)}

    assert len(found) > 50
    assert open_ones <= USED
    assert not any(map(is_closed, ("/", "/tokenize", "/users", "/uploads", "/v1/models", "/gradio_api/queue/join")))
