"""Go to Inference Endpoint, against a local cloud."""

import asyncio
import json
import shutil
import sys

import pytest
from jsonschema import validate
from tests.support.agent import agent, said
from tests.support.language_client import LIMIT_SECONDS, editor
from tests.support.small_app import THAT_LOADS

from ai_toolkit.deploy.questions import agree_to_download
from ai_toolkit.endpoint.open import open_endpoint
from ai_toolkit.errors import Dismissed, EndpointForeign
from ai_toolkit.workspace.workspace import Workspace


class Person:
    """Remembers what was shown; any question without a given answer fails the test."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.shown = []

    async def pick(self, question):
        self.shown.append(question)
        return self.answers.pop(0)

    def report(self, message, percentage=None):
        self.shown.append(message)

    def announce(self, message, _tone=None):
        self.shown.append(message)


@pytest.fixture
def workspace(road, tmp_path, monkeypatch):
    """A folder that names the shared local cloud's app."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(road.home))
    for name in ("infra/inference.config.json", "inference/requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(road.folder / name, tmp_path / name)
    return Workspace(tmp_path)


async def test_the_page_is_a_signed_link_to_the_apps_own_host(workspace):
    """What is opened is the endpoint with a signature; what is reported has none."""
    person = Person()
    opened = await open_endpoint(workspace, person)

    assert opened.endpoint == workspace.target().endpoint
    assert opened.page.startswith(f"{opened.endpoint}/#aitk=")
    assert not [line for line in person.shown if "aitk=" in line]


def test_a_question_wakes_a_sleeping_model_and_waits_for_it(road):
    """The answer comes after the start; a stopped local cloud is named."""
    road.run("local-cloud", "stop")
    stopped = road.run("chat", "What is the capital of Japan?", check=False)
    road.run("local-cloud", "start")
    asleep = road.json("status")["live"]["replicas"]
    answered = road.run("chat", "What is the capital of Japan?")

    assert stopped.returncode == 1
    assert "The local cloud is stopped." in stopped.stderr
    assert asleep == []
    assert "Ahoy" in answered.stdout


def test_how_far_a_waking_model_is_is_told_meanwhile(small):
    """Its stage and count, on stderr; then its answer."""
    (small.folder / "inference/start.py").write_text(THAT_LOADS)
    small.run("deploy")
    small.run("local-cloud", "stop")
    small.run("local-cloud", "start")
    answered = small.run("chat", "What is the capital of Japan?")

    assert answered.stdout == "Ahoy, captain!\n"
    assert answered.stderr.splitlines()[-1] == "… loading weights 1 of 2"


async def test_looking_at_the_view_endpoint_wakes_nothing(small):
    """Neither the editor's start, nor the view coming into sight, nor Refresh starts a replica."""
    small.run("local-cloud", "stop")
    small.run("local-cloud", "start")
    async with editor(dict(small.environment), {}, set(), folders=[small.folder]) as seen:
        await asyncio.wait_for(seen.status_came.wait(), LIMIT_SECONDS)
        seen.status_came.clear()
        seen.client.protocol.notify("aiToolkit/look", {})
        await asyncio.wait_for(seen.status_came.wait(), LIMIT_SECONDS)
        await seen.command("refreshEndpoint", small.folder, "r1")
        asleep = small.json("status")["live"]["replicas"]
        told = {row["label"]: row for row in seen.statuses[-1]["rows"]}

    assert asleep == []
    assert told["Replica"]["icon"] == "debug-pause"
    assert told["Endpoint"]["actions"] == ["openEndpoint", "copyKey"]


async def test_an_agent_asks_the_model_and_is_told_how_far_its_waking_is(small):
    """Through `aitk mcp` and PyPI's client; what the tools answer fits what they promise."""
    small.run("local-cloud", "stop")
    small.run("local-cloud", "start")
    steps = []

    async def told(_done, _total, message):
        steps.append(message)

    async with agent(small.folder, small.environment) as client:
        promised = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        asleep = await client.call_tool("inference_status", {})
        answered = await client.call_tool("ask_model", {"message": "Ahoy?"}, progress_callback=told)
        looked = {name: await client.call_tool(name, {}) for name in promised if name != "ask_model"}

    assert asleep.structured_content["live"]["replicas"] == []
    assert answered.structured_content == {"answer": "Ahoy, captain!"}
    assert steps[-1] == "loading weights 1 of 2"
    for name, result in {**looked, "ask_model": answered}.items():
        assert not result.is_error, said(result)
        validate(result.structured_content, promised[name])
    [model] = looked["inference_models"].structured_content["models"]
    assert (model["name"], model["fineTuned"]) == ("", True)


@pytest.mark.parametrize("foreign", ["https://example.com", "http://127.0.0.1:9", "https://127.0.0.1.example.com"])
async def test_an_endpoint_that_is_not_the_apps_own_is_not_opened(workspace, foreign):
    """A folder from elsewhere cannot send the signature to a stranger."""
    path = workspace.target_path
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ACA_APP_ENDPOINT": foreign}))

    with pytest.raises(EndpointForeign, match="Nothing was sent there"):
        await open_endpoint(workspace, Person())


async def test_pytorch_is_asked_for_with_its_size_before_the_download(workspace, tmp_path, monkeypatch):
    """Where neither the packages nor an environment with them is there, nothing is downloaded without a yes."""
    assert await agree_to_download(workspace, Person()) is None
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("AITK_REPLICA_PYTHON", raising=False)
    person = Person("no")

    with pytest.raises(Dismissed):
        await agree_to_download(workspace, person)
    assert any(size in person.shown[0].items[0].label for size in (" GB", " MB"))
    assert await agree_to_download(workspace, Person("yes")) is None
