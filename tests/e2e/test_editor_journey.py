"""`aitk serve` over stdio, driven as an editor drives it, through to the fine-tuned model's answer."""

import asyncio
import json
import os
import re
import sys
import time

import aiohttp
import openai
import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from tests.support.language_client import LIMIT_SECONDS, editor, plain

LOCAL = "00000000-0000-0000-0000-000000000000"


async def test_an_editor_provisions_deploys_and_reads_the_models_answer(empty_road):
    """Initialize, both commands, picks, progress, the button, the external URL; then the fine-tuned answer."""
    empty_road.run("init", "--sample")
    picks = {"Where should the model run?": LOCAL}
    async with editor(dict(empty_road.environment), picks, {"Go to Inference Endpoint"}) as seen:
        provisioned = await seen.command("provisionInference", empty_road.folder, "p1")
        deployed = await seen.command("deployInference", empty_road.folder, "d1")
        shown = await asyncio.wait_for(seen.opened.get(), 30)
        await seen.command("showStatus", empty_road.folder, "s1")

    assert ["Go to Inference Endpoint", "Show logs"] in seen.offered
    told = [value.get("message") or "" for token, value in seen.progress if token == "d1"]
    stages = ("uploading: 1 of ", "restarting the replica", "preparing", "loading weights", "ready")
    places = [next((place for place, text in enumerate(told) if text.startswith(stage)), -1) for stage in stages]
    assert -1 not in places, told
    assert places == sorted(places)
    status = next(line for line in reversed(seen.log) if "revision: " in line)
    facts = r"ready\ndeployed: 20.*\nrevision: \S+, replicas: \S+\n(.*\n)*base model: \S+\nadapter: .*SHA-256"
    assert re.search(facts, status)
    assert [question["items"][0]["id"] for question in seen.asked] == [LOCAL]
    assert provisioned["endpoint"] == deployed["endpoint"]
    assert deployed["action"] == "restart"
    for token in ("p1", "d1"):
        assert (seen.kinds(token)[0], seen.kinds(token)[-1]) == ("begin", "end")
        percentages = [v["percentage"] for t, v in seen.progress if t == token and v["kind"] == "report"]
        assert percentages == sorted(percentages)
    assert shown.external is True
    assert shown.uri.startswith(deployed["endpoint"] + "/#aitk=")
    assert any(deployed["endpoint"] in line for line in seen.log)
    key = empty_road.json("key")["key"]
    assert not [line for line in seen.log if key in line or "#aitk=" in line]
    await _page_opens_for_the_link(shown.uri)
    assert "Ahoy" in await _answer(deployed["endpoint"], key)


async def _page_opens_for_the_link(link: str) -> None:
    url, _, signature = link.partition("#aitk=")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.post(f"{url}session", json={"link": signature}) as answer:
            assert answer.status == 204
        async with browser.get(url, headers={"Accept": "text/html"}) as page:
            assert page.status == 200


async def _answer(endpoint: str, key: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{endpoint}/v1", api_key=key, max_retries=0) as client:
        models = [model async for model in client.models.list()]
        tuned = next(model.id for model in models if model.model_extra.get("parent"))
        question = [{"role": "user", "content": "What is the capital of Japan?"}]
        answer = await client.chat.completions.create(model=tuned, messages=question, max_tokens=32, temperature=0)
        return answer.choices[0].message.content or ""


async def test_deploy_can_follow_from_the_notification_of_provision(empty_road):
    """Pressing "Deploy for inference" after Provision has the editor run Deploy, with a progress of its own."""
    empty_road.run("init")
    (empty_road.folder / "inference/start.py").write_text("raise SystemExit('ended by the test')\n")
    async with editor(
        dict(empty_road.environment), {"Where should the model run?": LOCAL}, {"Deploy for inference"}
    ) as seen:
        await seen.command("provisionInference", empty_road.folder, "p1")
        deploying = await asyncio.wait_for(seen.following.get(), 30)
        with pytest.raises(JsonRpcException) as failed:
            await deploying

    assert "The replica did not start" in failed.value.message
    assert "AI Toolkit: Bring the previous deploy back" in failed.value.message
    buttons = [(one["title"], one["command"]) for one in plain(failed.value.data)["actions"]]
    assert buttons[0] == ("Bring the previous deploy back", "aiToolkit.bringBack")
    assert "\n" not in failed.value.message
    assert any("ended by the test" in line for line in seen.log)
    assert seen.kinds("pressed-1")[0] == "begin"


async def test_dismissing_the_pick_cancels_and_changes_nothing(empty_road):
    """Escape in the picker ends the command as cancelled; nothing was started."""
    empty_road.run("init")
    async with editor(dict(empty_road.environment), {"Where should the model run?": None}, set()) as seen:
        with pytest.raises(JsonRpcException) as caught:
            await seen.command("provisionInference", empty_road.folder, "p1")

    assert caught.value.code == -32800
    assert seen.kinds("p1")[-1] == "end"
    assert not (empty_road.folder / "infra/inference.config.json").exists()


async def test_cancel_ends_the_command_in_a_named_state(empty_road):
    """Cancel in the progress notification ends Provision; the log says so and the progress ends."""
    empty_road.run("init")
    async with editor(dict(empty_road.environment), {"Where should the model run?": LOCAL}, set()) as seen:
        running = asyncio.ensure_future(seen.command("provisionInference", empty_road.folder, "p1"))
        await asyncio.wait_for(seen.begun.wait(), 30)
        seen.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token="p1"))
        with pytest.raises(JsonRpcException) as caught:
            await running

    assert caught.value.code == -32800
    assert any("cancelled" in line.lower() for line in seen.log)
    assert seen.kinds("p1")[-1] == "end"


async def test_errors_are_for_people(empty_road):
    """No `infra/`: a sentence and a way on, no traceback; a wrong argument is refused by name."""
    async with editor(dict(empty_road.environment), {}, set()) as seen:
        with pytest.raises(JsonRpcException) as missing:
            await seen.command("provisionInference", empty_road.folder, "p1")
        failures = []
        for name in ("showLogs", "evaluateInference", "takeDownInference"):
            with pytest.raises(JsonRpcException) as failed:
                await seen.command(name, empty_road.folder, name)
            failures.append(failed.value)
        params = types.ExecuteCommandParams("aiToolkit.server.deployInference", [{"folder": "x"}])
        with pytest.raises(JsonRpcException) as wrong:
            await seen.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params)

    assert re.search(r"inference\.bicep.*AI Toolkit: Create inference project", missing.value.message)
    assert "folder" in wrong.value.message
    assert not [one.message for one in failures if "ai_toolkit." in one.message]
    buttons = [[action["title"] for action in plain(one.data).get("actions", ())] for one in failures]
    assert buttons[:2] == [["Provision"], ["Create inference project"]]
    assert "once infra/inference.config.json has" in failures[2].message
    assert "Traceback" not in f"{missing.value.message}{missing.value.data}{wrong.value.message}{wrong.value.data}"
    assert list(empty_road.folder.iterdir()) == []


async def test_an_open_document_is_judged_again_when_the_share_was_seen(empty_road):
    """An adapter that is not here: unknown before the share is seen, missing when it was, found once it is there."""
    empty_road.run("init")
    settings = (empty_road.folder / "inference/settings.toml").as_uri()
    document = types.TextDocumentItem(settings, "toml", 1, 'adapters = ["theirs"]\n')
    config = types.FileEvent((empty_road.folder / "infra/inference.config.json").as_uri(), types.FileChangeType.Changed)
    picks = {"Where should the model run?": LOCAL}
    async with editor(dict(empty_road.environment), picks, set(), folders=[empty_road.folder]) as seen:

        async def next_found() -> list[str]:
            published = await asyncio.wait_for(seen.found.get(), LIMIT_SECONDS)
            return [one.message for one in published.diagnostics]

        seen.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        at_first = await next_found()
        await seen.command("provisionInference", empty_road.folder, "p1")
        once_seen = await next_found()
        adapter = next(empty_road.home.glob("shares/*/*")) / "models/theirs/adapter_config.json"
        adapter.parent.mkdir(parents=True)
        adapter.write_text("{}")
        seen.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([config]))
        once_there = await next_found()

    assert at_first == ["adapters: models/theirs is not here. Whether it is on the share is not known yet."]
    assert once_seen == ["adapters: models/theirs is neither here nor, at the last look, on the share."]
    assert once_there == []


async def test_server_ends_within_five_seconds_when_its_input_closes():
    """An editor that dies leaves no server behind, and nothing but the protocol is on stdout."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ai_toolkit.cli.commands",
        "serve",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await process.stdin.drain()
    header = await asyncio.wait_for(process.stdout.readline(), 20)
    process.stdin.close()
    began = time.monotonic()
    _output, problems = await asyncio.wait_for(process.communicate(), 20)

    assert header.startswith(b"Content-")
    assert time.monotonic() - began < 5
    assert problems == b""
