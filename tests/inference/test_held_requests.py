"""Requests that arrive while the model is not ready: held until they can be answered, by the gate over a tiny model."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import openai
import pytest
from tests.support.inference.in_process import BASE, serving
from tests.support.inference.tiny import make_tiny

from aitk_app.readiness import Stage
from aitk_app.settings import Settings
from aitk_app.web.holding import WAITED, WaitingRoom
from aitk_app.web.model_list import from_catalog

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ASKED = {"prompt": "x", "max_tokens": 2, "temperature": 0}
FEVER = {"messages": [{"role": "user", "content": "x"}], "top_p": 9}
ROOM = {"places": 3, "seconds": 30.0, "silence": 0.05}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


class Cold:
    """An app that is not ready, with its waiting room."""

    def __init__(self, app, room):
        self.app, self.room = app, room
        self.key = {"Authorization": f"Bearer {app.key}"}

    def ready(self):
        self.app.readiness.report(Stage.READY)

    async def until(self, held):
        """Returns once so many requests are held."""
        async with asyncio.timeout(30):
            while self.room.held != held:  # noqa: ASYNC110 - the room tells nobody
                await asyncio.sleep(0.005)


@pytest.fixture
def cold(tiny):
    """Makes it not ready, with a room of these properties."""
    with contextlib.ExitStack() as opened:

        def make(**room):
            made = []
            app = opened.enter_context(
                serving(tiny.models, room=lambda each: made.append(WaitingRoom(each, **(ROOM | room))) or made[0])
            )
            app.readiness.report(Stage.LOADING_WEIGHTS, "Reading.", progress=(1, 4))
            return Cold(app, made[0])

        yield make


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=60) as made:
        yield made


def ask(client, cold, **more):
    return asyncio.ensure_future(
        client.post(cold.app.url + more.pop("path", COMPLETIONS), json=ASKED | more, headers=cold.key)
    )


async def test_the_default_client_gets_its_answer_from_a_cold_start(cold):
    """It waits, without a setting, and nothing was refused on the way; the same for a stream and a list of models."""
    app = cold()
    async with openai.AsyncOpenAI(base_url=f"{app.app.url}/v1", api_key=app.app.key) as ours:
        whole = asyncio.ensure_future(ours.completions.create(model=BASE, **ASKED))
        listed = asyncio.ensure_future(ours.models.list())
        streamed = asyncio.ensure_future(ours.completions.create(model=BASE, stream=True, **ASKED))
        await app.until(3)
        app.ready()
        chunks = [each async for each in await streamed]
        said, models = await whole, await listed

    assert said.usage.completion_tokens == 2
    assert chunks[-1].choices[0].finish_reason == "length"
    assert BASE in [each.id for each in models.data]


async def test_a_held_stream_is_kept_alive_and_goes_on_as_the_answer(cold, client):
    """Comments come while it is not ready; the events after them are those of any stream."""
    app = cold()
    held = client.stream("POST", app.app.url + COMPLETIONS, json=ASKED | {"stream": True}, headers=app.key)
    async with held as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == ": keep-alive"
        app.ready()
        rest = [line async for line in lines if line.startswith("data: ")]

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert rest[-1] == "data: [DONE]"


@pytest.mark.parametrize(("path", "asked"), [(COMPLETIONS, {}), ("/v1/responses", {"input": "x"})])
async def test_what_goes_wrong_after_the_wait_is_a_streams_last_event(cold, client, path, asked):
    """The status is gone by then: a model that is not served is told in the stream, as its API has it."""
    app = cold()
    body = (ASKED if path == COMPLETIONS else asked) | {"stream": True, "model": "nobody's"}
    async with client.stream("POST", app.app.url + path, json=body, headers=app.key) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        app.ready()
        rest = [line.removeprefix("data: ") async for line in lines if line.startswith("data: ")]

    told = json.loads(rest[0])
    assert "nobody's" in (told.get("error") or told)["message"]


async def test_a_client_that_gives_up_frees_its_place(cold, client):
    """With one place: the second is refused with a time to come back; when the first has left, the third is held."""
    app = cold(places=1)
    first = ask(client, app)
    await app.until(1)
    second = await ask(client, app)
    first.cancel()
    await app.until(0)
    third = ask(client, app)
    await app.until(1)
    app.ready()

    assert (second.status_code, second.json()["error"]["code"]) == (503, "not_ready")
    assert int(second.headers["Retry-After"]) >= 5
    assert (await third).status_code == 200


async def test_a_wait_that_is_too_long_ends_with_a_time_to_come_back(cold, client):
    """503, as before the wait; a stream that has begun ends with the error."""
    app = cold(seconds=0.3)
    whole, streamed = await asyncio.gather(ask(client, app), ask(client, app, stream=True))

    assert whole.status_code == 503
    assert 5 <= int(whole.headers["Retry-After"]) <= 60
    assert "loading weights" in whole.json()["error"]["message"]
    assert '"not_ready"' in streamed.text


async def test_a_start_that_fails_tells_those_who_wait(cold, client):
    """At once, with the reason, and that asking again is of no use."""
    app = cold()
    asked = ask(client, app)
    await app.until(1)
    app.app.readiness.fail("The adapter is missing.")
    told = await asked

    assert told.status_code == 503
    assert "The adapter is missing." in told.json()["error"]["message"]
    assert told.headers["x-should-retry"] == "false"
    assert "Retry-After" not in told.headers


async def test_only_a_request_that_could_be_answered_is_held(cold, client):
    """Without the key, with a body that is wrong, for a person's page: at once; /health and /ready answer meanwhile."""
    app = cold()
    url = app.app.url
    held = ask(client, app)
    await app.until(1)
    no_key = await client.post(url + CHAT, json={})
    broken = await client.post(url + CHAT, content=b'{"messages": [,]}', headers=app.key)
    wrong = await client.post(url + CHAT, json=FEVER, headers=app.key)
    for_people = await client.get(url + "/", headers=app.key | {"Accept": "text/html"})
    healthy, ready = await client.get(url + "/health"), await client.get(url + "/ready")
    app.ready()

    assert (no_key.status_code, for_people.status_code) == (401, 503)
    assert (healthy.status_code, ready.status_code) == (200, 503)
    assert broken.status_code == 400
    assert "line 1, column 15" in broken.json()["error"]["message"]
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "top_p")
    assert (await held).status_code == 200


async def test_the_catalogue_answers_for_the_models_before_the_weights_are_there(cold, client):
    """Who asked before it was known is held until it is."""
    app = cold()
    asked = [client.get(f"{app.app.url}/v1/models{end}", headers=app.key) for end in ("", f"/{BASE}", "/none")]
    waiting = [asyncio.ensure_future(each) for each in asked]
    await app.until(3)
    app.app.gate.learn(from_catalog(app.app.catalog, Settings()))
    listed, one, none = await asyncio.gather(*waiting)

    assert [each["id"] for each in listed.json()["data"]] == [BASE]
    assert one.json()["id"] == BASE
    assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_wait_counts_towards_the_limit_of_an_unstreamed_answer(tiny, cold, client):
    """An ingress does not begin to count anew when the model is there: what is left after the wait is too short."""
    app = cold()
    limited = app.app.gate.inner

    async def long_held(scope, receive, send):
        scope[WAITED] += 229.99
        await limited(scope, receive, send)

    app.app.gate.inner = long_held
    asked = ask(client, app, max_tokens=400, ignore_eos=True)
    await app.until(1)
    app.ready()
    told = await asked

    assert (told.status_code, told.json()["error"]["code"]) == (504, "timeout")
