"""Every body that our own code sends to the Resource Manager on the whole road, against what Azure publishes."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from tests.support.local_cloud.plans import plan_of
from tests.support.local_cloud.published import Published, needs_schemas, value_problems
from tests.support.road import Road, environment

from ai_toolkit.endpoint.add_secret import add_secret
from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.core.home import HomeFolder
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.workspace.workspace import Workspace

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/ai-toolkit-local"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/existing"


@dataclass(frozen=True)
class Sent:
    """One request as it was sent."""

    method: str
    path: str
    body: dict | None


@asynccontextmanager
async def recorded(home):
    """All that is sent to the local cloud of a folder, whose address is ours until the end."""
    folder = HomeFolder(home)
    before = folder.address()
    sent = []

    async def forward(request):
        content = await request.read()
        sent.append(Sent(request.method, request.path, json.loads(content) if content else None))
        url = f"{before.resource_manager}{request.raw_path}"
        async with session.request(
            request.method, url, data=content or None, headers=request.headers, allow_redirects=False
        ) as answer:
            headers = {key: value for key, value in answer.headers.items() if key not in {"Content-Length", "Date"}}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    app = web.Application(client_max_size=1 << 23)
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        port = runner.addresses[0][1]
        folder.write_address(replace(before, resource_manager=f"http://127.0.0.1:{port}"))
        try:
            yield sent
        finally:
            folder.write_address(before)
            await runner.cleanup()


async def put(status, path, version, body):
    headers = {"Authorization": f"Bearer {status.token_file.read_text().strip()}"}
    url = f"{status.resource_manager}{path}?api-version={version}"
    async with aiohttp.ClientSession(headers=headers) as session, session.put(url, json=body) as answer:
        assert answer.status < 300, await answer.text()


class Person:
    """Answers the two questions of Add secret, and no other."""

    def __init__(self):
        self._answers = ["HF_TOKEN", "hidden"]

    async def input(self, _question):
        return self._answers.pop(0)

    def report(self, message, percentage=None):
        pass

    def announce(self, message, _tone=None):
        pass


@pytest.fixture
async def journey(tmp_path, monkeypatch):
    """What was sent: provision beside an existing environment, deploy, add a secret, and restart."""
    road = Road(tmp_path / "workspace", environment(tmp_path / "cloud"))
    road.folder.mkdir()
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(road.home))
    await asyncio.to_thread(road.run, "init", "--sample")
    parameters = road.folder / "infra" / "provision" / "inference.parameters.json"
    document = json.loads(parameters.read_text())
    document["parameters"]["acaEnvironmentName"] = {"value": "existing"}
    parameters.write_text(json.dumps(document))
    try:
        status = await control.start(road.home)
        await put(status, GROUP, "2025-04-01", {"location": "westus3"})
        profiles = [{"name": "Consumption", "workloadProfileType": "Consumption"}]
        body = {"location": "westus3", "properties": {"workloadProfiles": profiles}}
        await put(status, ENVIRONMENT, "2025-07-01", body)
        async with recorded(road.home) as sent:
            own = ("--resource-group", "ai-toolkit-local")  # where the environment lies that lacks the profile
            await asyncio.to_thread(road.run, "provision", "--local", *own, "--yes")
            await asyncio.to_thread(road.run, "deploy", "--yes")
            await add_secret(Workspace(road.folder), Person())
            await asyncio.to_thread(road.run, "deploy", "--yes", "--restart")
        yield SimpleNamespace(sent=sent, status=status)
    finally:
        await control.stop(road.home)


def planned(sent):
    """The resources of a deployment, with the parameters that were sent, as far as they are known before it runs."""
    properties = sent.body["properties"]
    group = {"id": GROUP, "name": "ai-toolkit-local", "location": "westus3"}
    plan = plan_of(properties["template"], properties["parameters"], group, "journey")
    return [(one.id.type, one.known_body()) for one in plan.resources if not one.existing]


@needs_schemas
@pytest.mark.timeout(600)
async def test_every_body_that_we_send_is_as_published(journey):
    """Unknown, missing, read-only, enum, type and length, for every resource that is put or patched."""
    problems, checked = [], []
    for sent in journey.sent:
        if sent.body is None or "/providers/" not in sent.path:
            continue
        if "/Microsoft.Resources/deployments/" in sent.path:
            for resource_type, body in planned(sent):
                published = Published(resource_type)
                whole = {"name": "given-by-path", **body}
                problems += value_problems(published, whole, published.body, resource_type, is_answer=False)
                checked.append(("PUT", resource_type))
            continue
        if sent.method == "POST":
            continue  # an action's body: Azure publishes none for those that we use
        resource_type = ResourceId.parse(urlsplit(sent.path).path).type
        published = Published(resource_type)
        whole = sent.method == "PUT"
        problems += value_problems(
            published, sent.body, published.body, f"PATCH {resource_type}", is_answer=False, is_whole=whole
        )
        checked.append((sent.method, resource_type))

    given_back = ("enableFips: unknown", "ephemeralStorage: is read-only")  # recorded in answers and in PATCHes
    assert [one for one in problems if not one.endswith(given_back)] == []
    assert {
        ("PATCH", "Microsoft.App/managedEnvironments"),
        ("PUT", "Microsoft.App/containerApps"),
        ("PATCH", "Microsoft.App/containerApps"),
        ("PUT", "Microsoft.Storage/storageAccounts"),
        ("PUT", "Microsoft.Storage/storageAccounts/fileServices/shares"),
        ("PUT", "Microsoft.App/managedEnvironments/storages"),
    } <= set(checked)
