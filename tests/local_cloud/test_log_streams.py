"""A replica's log stream and an app's event stream."""

import asyncio
import json

import aiohttp
import pytest

SCRIPT = (
    'for i in 1 2 3 4 5; do echo line $i; done; python3 -c "import os, time, http.server as h\n'
    "class A(h.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.path == '/say' and os.write(1, b'said\\\\n')\n"
    "        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()\n"
    "    def log_message(self, *a): pass\n"
    "h.HTTPServer(('127.0.0.1', int(os.environ['CONTAINER_APP_PORT'])), A).serve_forever()\""
)


@pytest.fixture
async def talking(deploy, clients):
    """An app that has written five lines, and says one more for each GET /say."""
    app = await deploy(gpu=False, script=SCRIPT)
    found = await clients.apps.container_apps.get(app.group, app.app)
    revision = found.latest_revision_name
    listed = await clients.apps.container_apps_revision_replicas.list_replicas(app.group, app.app, revision)
    token = await clients.apps.container_apps.get_auth_token(app.group, app.app)
    headers = {"Authorization": f"Bearer {token.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield app, session, listed.value[0].containers[0].log_stream_endpoint, found.event_stream_endpoint


async def lines(session, url, **query):
    async with session.get(url, params=query) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.text()).splitlines()


async def test_the_last_lines_are_told_with_their_times(talking):
    """As many as `tailLines` asks for, as JSON or as text; then the stream ends."""
    _app, session, url, _events = talking
    two = [json.loads(line) for line in await lines(session, url, tailLines="2")]
    text = await lines(session, url, tailLines="300", output="text")
    none = await lines(session, url, tailLines="0")

    assert [one["Log"] for one in two] == ["line 4", "line 5"]
    assert all(one["TimeStamp"].startswith("20") for one in two)
    assert [line.partition(" ")[2] for line in text] == [f"line {number}" for number in range(1, 6)]
    assert none == []


async def test_a_follower_gets_new_lines_as_they_are_written(talking):
    """`follow=true` keeps the stream open: the past first, then what is said now."""
    app, session, url, _events = talking
    async with session.get(url, params={"follow": "true", "tailLines": "1", "output": "text"}) as stream:
        past = await stream.content.readline()
        async with aiohttp.ClientSession() as other, other.get(f"http://{app.endpoint}/say"):
            pass
        async with asyncio.timeout(10):
            new = await stream.content.readline()

    assert past.endswith(b"line 5\n")
    assert new.endswith(b"said\n")


async def test_a_followers_stream_ends_with_its_replica(talking, clients):
    """When the app is stopped, the stream ends instead of hanging."""
    app, session, url, _events = talking
    async with session.get(url, params={"follow": "true", "tailLines": "0"}) as stream:
        await (await clients.apps.container_apps.begin_stop(app.group, app.app)).result()
        async with asyncio.timeout(10):
            rest = await stream.content.read()

    assert rest == b""


@pytest.mark.parametrize("asked", ["301", "-1", "all"])
async def test_more_lines_than_azure_tells_are_refused(talking, asked):
    """tailLines is 0 to 300."""
    _app, session, url, _events = talking
    async with session.get(url, params={"tailLines": asked}) as answer:
        body = await answer.json()

    assert (answer.status, body["error"]["target"]) == (400, "tailLines")


async def test_the_event_stream_tells_what_the_platform_did(talking, clients):
    """One JSON object a line, with reason, revision and replica; followed, a restart is told at once."""
    app, session, _url, events = talking
    past = [json.loads(line) for line in await lines(session, events, tailLines="300")]
    revision = (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name
    async with session.get(events, params={"follow": "true", "tailLines": "0"}) as stream:
        opened = [json.loads(await stream.content.readline())["Reason"] for _ in range(2)]
        await clients.apps.container_apps_revisions.restart_revision(app.group, app.app, revision)
        async with asyncio.timeout(10):
            first = json.loads(await stream.content.readline())

    assert opened == ["StartingGettingEvents", "ConnectedToEventsServer"]  # as recorded of Azure
    assert {"RevisionCreation", "AssigningReplica", "ContainerCreated", "ContainerStarted", "RevisionReady"} <= {
        one["Reason"] for one in past
    }
    assert (first["Reason"], first["RevisionName"]) == ("RevisionRestarting", revision)


async def test_streams_need_a_token(talking):
    """Without one, or with a wrong one, 401."""
    _app, _session, url, events = talking
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(url) as without:
            pass
        async with stranger.get(events, headers={"Authorization": "Bearer 1.abc"}) as wrong:
            pass

    assert (without.status, wrong.status) == (401, 401)
