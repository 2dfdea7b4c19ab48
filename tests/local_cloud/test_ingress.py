"""What passes between a client and the replicas of an app."""

import asyncio
import contextlib
import functools
import gzip
from datetime import timedelta
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from tests.support.local_cloud import SOCKET_APP

from ai_toolkit.local_cloud.container_apps.ingress import Ingress
from ai_toolkit.local_cloud.container_apps.revision import Scale
from ai_toolkit.local_cloud.container_apps.scaling import Scaling
from ai_toolkit.local_cloud.faults.model import Faults, Port
from ai_toolkit.local_cloud.faults.routes import misbehaving

SCRIPT = f"exec python3 {SOCKET_APP}"


@pytest.fixture
async def sockets(deploy):
    return await deploy(script=SCRIPT, gpu=False)


async def about(endpoint, session):
    async with session.get(f"http://{endpoint}/about") as answer:
        return (await answer.json())["replica"]


async def test_a_web_socket_passes_text_bytes_protocol_and_close_code(sockets):
    """Messages of both kinds, the chosen protocol and the code of the end go through."""
    url = f"http://{sockets.endpoint}/echo"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=("other", "chat")) as socket,
    ):
        protocol = socket.protocol
        await socket.send_str("hello")
        text = await socket.receive_str(timeout=10)
        await socket.send_bytes(b"abc")
        data = await socket.receive_bytes(timeout=10)
        await socket.send_str("bye")
        await socket.receive(timeout=10)
        code = socket.close_code

    assert (protocol, data, code) == ("chat", b"cba", 4001)
    assert text == f"hello from {sockets.endpoint}"


async def test_a_client_that_leaves_ends_its_request_in_the_replica(sockets):
    """The app notices, so that it can stop computing."""
    async with aiohttp.ClientSession() as session:
        with contextlib.suppress(TimeoutError):
            async with session.get(f"http://{sockets.endpoint}/hold", timeout=aiohttp.ClientTimeout(total=0.5)):
                pass
        async with session.get(f"http://{sockets.endpoint}/has-left") as answer:
            noticed = await answer.text()

    assert noticed == "left"


async def test_concurrent_requests_bring_replicas_and_quiet_takes_them(deploy, clients, until):
    """From one to the maximum while requests are held; none after the cooldown."""
    app = await deploy(script=SCRIPT, gpu=False, most=3, concurrentRequests=1, cooldownSeconds=1, pollingSeconds=1)
    name = (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name

    async def count(wanted):
        revision = await clients.apps.container_apps_revisions.get_revision(app.group, app.app, name)
        return revision.replicas == wanted

    async with aiohttp.ClientSession() as session:
        held = [asyncio.create_task(session.get(f"http://{app.endpoint}/hold")) for _ in range(5)]
        most = await until(functools.partial(count, 3))
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    none = await until(functools.partial(count, 0))

    assert most
    assert none


async def test_a_sticky_client_stays_with_its_replica(deploy, clients, until):
    """With affinity a cookie names the replica; all of a client's requests go there."""
    app = await deploy(script=SCRIPT, gpu=False, least=2, most=2, affinity="sticky")

    name = (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name

    async def both_ready():
        listed = await clients.apps.container_apps_revision_replicas.list_replicas(app.group, app.app, name)
        return [one.containers[0].ready for one in listed.value] == [True, True]

    await until(both_ready)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        replicas = {await about(app.endpoint, session) for _ in range(12)}

    assert len(replicas) == 1


@pytest.mark.parametrize(("action", "status"), [("Allow", 403), ("Deny", 200)])
async def test_ip_ranges_decide_who_may_come(deploy, action, status):
    """Allow lets only its ranges in, Deny all but its ranges."""
    ranges = [{"name": "elsewhere", "action": action, "ipAddressRange": "203.0.113.0/24"}]
    app = await deploy(script=SCRIPT, gpu=False, ranges=ranges)
    async with aiohttp.ClientSession() as session, session.get(f"http://{app.endpoint}/health") as answer:
        found = answer.status

    assert found == status


async def test_mixed_ip_ranges_are_refused(deploy):
    """All Allow or all Deny, as on Azure."""
    ranges = [
        {"name": "one", "action": "Allow", "ipAddressRange": "203.0.113.0/24"},
        {"name": "two", "action": "Deny", "ipAddressRange": "198.51.100.0/24"},
    ]
    with pytest.raises(HttpResponseError) as refusal:
        await deploy(script=SCRIPT, ranges=ranges)

    assert "all be Allow or all be Deny" in str(refusal.value)


async def test_a_silent_answer_ends_at_the_idle_limit():
    """An answer that sends nothing for too long is 504; one that keeps sending lives on."""

    async def silent(_request):
        await asyncio.Event().wait()

    async def chatty(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(8):
            await response.write(b".")
            await asyncio.sleep(0.1)
        return response

    app = web.Application()
    app.add_routes([web.get("/silent", silent), web.get("/chatty", chatty)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    replica = SimpleNamespace(url=f"http://127.0.0.1:{runner.addresses[0][1]}", affinity="a")

    @contextlib.asynccontextmanager
    async def lease(_affinity):
        yield replica

    ingress = Ingress(lease, misbehaving(Faults(), Port.INGRESS), idle_limit_seconds=0.4)
    port = await ingress.open(None, "app")
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/silent") as answer:
                status = answer.status
            async with session.get(f"http://127.0.0.1:{port}/chatty") as answer:
                text = await answer.text()
    finally:
        await ingress.close()
        await runner.cleanup()

    assert status == 504
    assert text == "........"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_an_encoded_body_passes_byte_for_byte_with_its_headers(encoding):
    """To the app and back, read by nobody on the way."""
    sent = gzip.compress(b"body " * 1000)

    async def echo(request):
        seen = {name: request.headers.get(name, "") for name in ("Content-Encoding", "Content-Length")}
        headers = {f"X-Seen-{name}": value for name, value in seen.items()}
        return web.Response(body=await request.read(), headers={"Content-Encoding": encoding, **headers})

    app = web.Application()
    app.router.add_post("/", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    @contextlib.asynccontextmanager
    async def lease(_affinity):
        yield SimpleNamespace(url=f"http://127.0.0.1:{runner.addresses[0][1]}", affinity="a")

    ingress = Ingress(lease, misbehaving(Faults(), Port.INGRESS))
    port = await ingress.open(None, "app")
    try:
        async with (
            aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.post(f"http://127.0.0.1:{port}/", data=sent, headers={"Content-Encoding": encoding}) as answer,
        ):
            received, headers = await answer.read(), answer.headers
    finally:
        await ingress.close()
        await runner.cleanup()

    assert received == sent
    assert headers["Content-Encoding"] == headers["X-Seen-Content-Encoding"] == encoding
    assert headers["X-Seen-Content-Length"] == str(len(sent))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_more_replicas_come_by_polling_and_go_after_the_cooldown():
    """The first at once, more at the next poll, fewer when they were not needed for the cooldown."""
    clock = Clock()
    scaling = Scaling(clock)
    scale = Scale(0, 5, timedelta(seconds=300), 10, timedelta(seconds=30))
    for _ in range(15):
        scaling.begin()
    first = scaling.target(scale, 0)
    for _ in range(20):
        scaling.begin()
    too_soon = scaling.target(scale, 2)
    clock.now = 31
    polled = scaling.target(scale, 2)
    for _ in range(30):
        scaling.end()
    scaling.target(scale, 4)
    clock.now = 200
    still = scaling.target(scale, 4)
    clock.now = 400
    fewer = scaling.target(scale, 4)
    for _ in range(5):
        scaling.end()
    scaling.target(scale, 1)
    clock.now = 1000

    assert (first, too_soon, polled, still, fewer) == (2, 2, 4, 4, 1)
    assert scaling.target(scale, 1) == 0
