"""The running model over HTTP, as any app that listens there may answer; the app here is the test's own."""

import hashlib
import hmac
import json
import time

import pytest
from aiohttp import web

from ai_toolkit.endpoint.client import NO_ANSWER, Endpoint, Readiness, Stage, signed_link
from ai_toolkit.errors import EndpointRefused


class App:
    """Answers every request with `status` and `body`, and keeps what was asked."""

    def __init__(self):
        self.status, self.body, self.asked = 200, {}, []

    async def answer(self, request):
        self.asked.append((request.method, request.path, request.headers.get("Authorization"), await request.text()))
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=text)


@pytest.fixture
def app():
    return App()


@pytest.fixture
async def endpoint(app):
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", app.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Endpoint.open(f"http://127.0.0.1:{runner.addresses[0][1]}", "key") as opened:
        yield opened
    await runner.cleanup()


def test_link_signs_a_browser_in_for_five_minutes():
    """The fragment is the expiry and its HMAC under the key, as the app checks it; the key is not in it."""
    url, fragment = signed_link("https://app.example.net", "the key").split("/#aitk=")
    expiry, signature = fragment.split(".")

    assert url == "https://app.example.net"
    assert 295 <= int(expiry) - time.time() <= 300
    assert signature == hmac.digest(b"the key", b"aitk-link:" + expiry.encode(), hashlib.sha256).hex()


async def test_answer_is_the_model_s_text(app, endpoint):
    """One greedy answer, asked with the key."""
    app.body = {"choices": [{"message": {"content": "Tokyo"}}]}

    assert await endpoint.chat("Capital of Japan?", "base", max_tokens=8) == "Tokyo"
    [(method, path, authorization, text)] = app.asked
    assert (method, path, authorization) == ("POST", "/v1/chat/completions", "Bearer key")
    assert json.loads(text) == {
        "messages": [{"role": "user", "content": "Capital of Japan?"}],
        "max_tokens": 8,
        "temperature": 0,
        "model": "base",
    }


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "no key"}}, "answered 401: no key"),
        (422, {"detail": "Field required"}, "answered 422: Field required"),
        (404, {"detail": [{"loc": ["body"]}]}, "answered 404: "),
        (500, {"error": "out of memory"}, "answered 500: out of memory"),
        (503, [], "answered 503: no reason given"),
        (502, "<html>Bad gateway</html>", "answered 502: not JSON"),
        (200, {"choices": []}, "answered 200: no completion"),
        (200, {"choices": [{"message": None}]}, "answered 200: no completion"),
        (200, [], "answered 200: no reason given"),
    ],
)
async def test_refusal_is_said_in_the_app_s_words(app, endpoint, status, body, said):
    """OpenAI's form of an error, FastAPI's, a plain text, or none: a sentence, never an unforeseen error."""
    app.status, app.body = status, body

    with pytest.raises(EndpointRefused) as raised:
        await endpoint.chat("Hello")
    assert said in raised.value.message


async def test_stage_of_a_start_is_read(app, endpoint):
    """An app that is not ready answers 503 and says how far it is."""
    app.status = 503
    app.body = {"ready": False, "stage": "loading weights", "detail": "d", "progress": {"done": 1, "total": 2}}

    assert await endpoint.readiness() == Readiness(False, Stage.LOADING_WEIGHTS, "d", None, 1, 2)


async def test_what_an_app_warns_of_is_read(app, endpoint):
    """Sentences beside the stage, of an app that is ready too; an older one sends none."""
    app.body = {"ready": True, "stage": "ready", "warnings": ["Served one request at a time: why."]}

    assert (await endpoint.readiness()).warnings == ("Served one request at a time: why.",)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "<html>"),
        (503, {"detail": "no healthy upstream"}),
        (500, None),
        (404, "Error 404 - This Container App is stopped or does not exist."),
    ],
)
async def test_ingress_without_an_app_behind_it_is_starting(app, endpoint, status, body):
    """What the platform says in the app's place is no answer of the app."""
    app.status, app.body = status, body

    assert await endpoint.readiness() == NO_ANSWER


@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>"), (200, []), (200, {"status": "ok"}), (404, {"detail": "Not Found"}), (401, "")]
)
async def test_app_of_another_make_is_ready_when_it_answers(app, endpoint, status, body):
    """It has no stages to tell."""
    app.status, app.body = status, body
    readiness = await endpoint.readiness()

    assert readiness.ready
    assert readiness.foreign


async def test_address_that_may_not_reach_the_app_is_told(app, endpoint):
    """The ingress' own refusal is neither a stage nor an app of another make."""
    app.status, app.body = 403, "RBAC: access denied"
    with pytest.raises(EndpointRefused, match="allowedIpRanges"):
        await endpoint.readiness()


async def test_odd_progress_is_no_progress(app, endpoint):
    """Only counts count."""
    app.body = {"ready": True, "stage": "ready", "progress": 5}

    assert await endpoint.readiness() == Readiness(True, "ready")


async def test_nobody_at_the_address_is_starting_or_refused(unused_tcp_port):
    """Looking tells "not yet"; asking for an answer is an error with the address."""
    async with Endpoint.open(f"http://127.0.0.1:{unused_tcp_port}", None) as endpoint:
        assert await endpoint.readiness() == NO_ANSWER
        for ask in (endpoint.version, endpoint.models):
            with pytest.raises(EndpointRefused, match=f"127.0.0.1:{unused_tcp_port}"):
                await ask()


async def test_hashes_are_told_or_there_are_none_or_not_yet(app, endpoint):
    """A workspace's own app has no /version, which is no error; one that is not ready, or wants a key, refuses."""
    app.body = {"code": {"inference/start.py": "ab"}}
    assert await endpoint.version() == app.body
    app.status = 404
    assert await endpoint.version() is None
    for app.status in (401, 503):
        with pytest.raises(EndpointRefused) as raised:
            await endpoint.version()
        assert raised.value.status == app.status
