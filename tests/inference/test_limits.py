"""What the app refuses, and how long things may take: the app itself over a tiny model, without a network."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import openai
import pytest

from aitk_app.engine.adapter_files import Adapter
from aitk_app.engine.scheduler import Scheduler, Watcher
from aitk_app.loading.base_models import BaseModel
from aitk_app.loading.catalog import Catalog
from aitk_app.readiness import Readiness, Stage
from aitk_app.settings import Settings
from aitk_app.web.access import Access
from aitk_app.web.answering import Completions
from aitk_app.web.api import build_api
from aitk_app.web.gate import Gate
from aitk_app.web.metrics import Metrics
from aitk_app.web.sending import Limits

ASKED = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "temperature": 0}


class Held:
    """Keeps the model's passes waiting until it is opened."""

    def __init__(self, model):
        self.open = threading.Event()
        self._hook = model.register_forward_pre_hook(lambda *_: self.open.wait(60) and None)

    def remove(self):
        self.open.set()
        self._hook.remove()


@pytest.fixture(scope="module")
def tiny(make_tiny):
    return make_tiny()


@pytest.fixture
def held(tiny):
    made = Held(tiny.models.model)
    yield made
    made.remove()


@pytest.fixture
async def serve(tiny, tmp_path):
    """Serves the tiny model in this process; with it, a client."""
    opened = []

    def start(*, key=None, limits=None, max_batch=2, max_queue=1):
        readiness, metrics = Readiness(), Metrics()
        scheduler = Scheduler(
            tiny.models, max_batch=max_batch, max_queue=max_queue, prompt_tokens=64, watcher=Watcher(metrics.ended)
        )
        adapters = (Adapter("plain", tiny.folders["plain"], ""),)
        catalog = Catalog(tmp_path, BaseModel("base", tmp_path), adapters, "plain")
        completions = Completions(catalog, tiny.models, scheduler, Settings(prompt_template="{}"))
        front = Gate(Access(key), readiness)
        front.inner = build_api(completions, dict, metrics, limits or Limits())
        readiness.report(Stage.READY)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://localhost", timeout=60)
        opened.append((client, scheduler))
        return client

    yield start
    for client, scheduler in opened:
        await client.aclose()
        await asyncio.to_thread(scheduler.close)


def chat(client, **more):
    return client.post("/v1/chat/completions", json=ASKED | more)


async def test_an_answer_that_would_outlast_the_ingress_ends_with_advice(serve, held):
    """Unstreamed, it ends in time, says to stream, and frees its place."""
    client = serve(limits=Limits(whole=0.05))
    refused = await chat(client)
    held.open.set()

    assert refused.status_code == 504
    assert "Stream it" in refused.json()["error"]["message"]
    client = serve()
    assert (await chat(client)).status_code == 200


async def test_a_silent_stream_is_kept_alive(serve, held):
    """Comments come while no token does, and the answer after them is whole."""
    client = serve(limits=Limits(silence=0.02))
    streaming = asyncio.ensure_future(chat(client, stream=True))
    await asyncio.wait([streaming], timeout=0.3)
    held.open.set()
    lines = (await streaming).text.splitlines()

    assert ": keep-alive" in lines
    assert lines[-2] == "data: [DONE]"


async def test_a_full_queue_is_429_with_a_time_to_try_again(serve, held):
    """One request runs, one waits, the third is refused at once; the two are answered."""
    client = serve(max_batch=1, max_queue=1)
    first, second, third = (asyncio.ensure_future(chat(client)) for _ in range(3))
    done, _ = await asyncio.wait([first, second, third], return_when=asyncio.FIRST_COMPLETED)
    held.open.set()
    await asyncio.wait([first, second, third])

    assert done == {third}
    refused = third.result()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "2"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert [each.result().status_code for each in (first, second)] == [200, 200]


async def test_the_official_client_tries_again_when_it_is_told_to(serve, held):
    """By its defaults: refused once for a full queue, it waits as long as Retry-After says, and gets its answer."""
    client = serve(max_batch=1, max_queue=1)
    told = []

    async def seen(response):
        if response.status_code == 429:
            told.append(response.headers["Retry-After"])
            held.open.set()

    client.event_hooks = {"response": [seen]}
    waiting = [asyncio.ensure_future(chat(client)) for _ in range(2)]
    official = openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=client)
    answer = await official.chat.completions.create(model="plain", **ASKED)

    assert told == ["2"]
    assert answer.usage.completion_tokens == 5
    assert [each.status_code for each in await asyncio.gather(*waiting)] == [200, 200]


@pytest.fixture
def no_room_once(tiny):
    """The first pass of the model runs out of memory."""
    import torch  # noqa: PLC0415 - only here

    broken = iter([True])

    def no_room(*_):
        if next(broken, False):
            raise torch.OutOfMemoryError("no room")

    hook = tiny.models.model.register_forward_pre_hook(no_room)
    yield
    hook.remove()


async def test_out_of_memory_is_503_with_a_time_to_try_again(serve, no_room_once):
    """One request fails in OpenAI's shape; the next is answered."""
    client = serve()
    refused, answered = await chat(client), await chat(client)

    assert (refused.status_code, answered.status_code) == (503, 200)
    assert refused.headers["Retry-After"]
    assert "memory" in refused.json()["error"]["message"]


async def test_a_stream_that_fails_says_so_and_ends(serve, no_room_once):
    """The error is an event in OpenAI's shape, and the last event is the same as ever."""
    events = [line for line in (await chat(serve(), stream=True)).text.splitlines() if line]

    assert "memory" in json.loads(events[-2].removeprefix("data: "))["error"]["message"]
    assert events[-1] == "data: [DONE]"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:7860"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Origin": "http://localhost:7860"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:7860"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_without_a_key_no_foreign_page_gets_in(serve, headers, status):
    """A page elsewhere cannot reach an app on this computer, neither by another name for it nor across origins."""
    assert (await serve().get("/v1/models", headers=headers)).status_code == status


async def test_with_a_key_any_host_may_be_named(serve):
    """The key is what counts then."""
    client = serve(key="sesame")
    headers = {"Host": "app.example", "Authorization": "Bearer sesame"}

    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    assert (await client.get("/v1/models", headers={"Host": "app.example"})).status_code == 401


async def test_a_body_that_is_too_large_is_refused(serve):
    """By its length, or, sent in pieces without one, as soon as it is too much."""
    client = serve()

    async def pieces():
        for _ in range(20):
            yield b" " * (1 << 20)

    assert (await client.post("/v1/chat/completions", content=b" " * (17 << 20))).status_code == 413
    refused = await client.post("/v1/chat/completions", content=pieces())
    assert 400 <= refused.status_code < 500
