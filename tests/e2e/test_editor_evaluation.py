"""The cases as an editor sees them: listed, run, cancelled; the command with its page, and the gate's setting."""

import asyncio
import json
from pathlib import Path

import pytest
from pygls.exceptions import JsonRpcException
from tests.support.language_client import editor
from tests.support.models_app import put_adapter

CASES = (
    {"name": "good", "messages": [{"role": "user", "content": "Hello"}], "expected": {"contains": "Ahoy"}},
    {"name": "bad", "messages": [{"role": "user", "content": "Hello"}], "expected": {"exact": "Ahoy"}},
    {"name": "slow", "messages": [{"role": "user", "content": "slow"}], "expected": {"reference": "Ahoy slow"}},
    {"name": "half"},
)
FILE = "evaluation/cases.jsonl"


@pytest.fixture(scope="module")
def deployed(models):
    """Awake, with four lines of which the last is no case."""
    (models.folder / FILE).write_text("".join(json.dumps(case) + "\n" for case in CASES))
    models.json("deploy", "--yes", "--wake")
    return models


def opened(road, answers=None, press=()):
    return editor(dict(road.environment), answers or {}, set(press), folders=[road.folder])


def run(road, name, *lines, debug=False):
    cases = [f"{FILE}:{line}" for line in lines]
    return {"run": name, "workspaceFolder": road.folder.as_uri(), "cases": cases, "debug": debug}


async def test_cases_are_listed_with_their_places_and_what_is_wrong(deployed):
    async with opened(deployed) as seen:
        found = await seen.request("aiToolkit/caseFiles", {"workspaceFolder": deployed.folder.as_uri()})

    [file] = found["files"]
    assert file["uri"] == (deployed.folder / FILE).as_uri()
    assert [(case["id"], case["label"], case["line"]) for case in file["cases"]] == [
        (f"{FILE}:1", "good", 0),
        (f"{FILE}:2", "bad", 1),
        (f"{FILE}:3", "slow", 2),
        (f"{FILE}:4", "line 4", 3),
    ]
    assert "messages is missing" in file["cases"][3]["problem"]


async def test_run_tells_each_case_with_what_was_expected_and_said(deployed):
    async with opened(deployed) as seen:
        await seen.request("aiToolkit/runCases", run(deployed, "r1", 1, 2, 3))

    ended = {one["id"][-1]: one for one in seen.results if one["outcome"] != "started"}
    assert {one["id"] for one in seen.results if one["outcome"] == "started"} == {
        f"{FILE}:{line}" for line in (1, 2, 3)
    }
    assert [ended[line]["outcome"] for line in "123"] == ["passed", "failed", "measured"]
    assert (ended["2"]["expected"], ended["2"]["said"]) == ("Ahoy", "Ahoy Hello")
    assert "not exactly" in ended["2"]["message"]
    assert "Log-likelihood" in ended["3"]["output"]


async def test_looking_into_a_case_tells_what_led_to_the_answer(deployed):
    async with opened(deployed) as seen:
        await seen.request("aiToolkit/runCases", run(deployed, "r1", 1, debug=True))

    output = seen.results[-1]["output"]
    for told in (
        '"temperature": 0',
        "The prompt as the model gets it, 1 tokens:\nHello",
        "tuned says:",
        "base says:\nplain",
    ):
        assert told in output


async def test_cancelled_run_ends_with_what_was_answered(deployed):
    async with opened(deployed) as seen:
        running = asyncio.ensure_future(seen.request("aiToolkit/runCases", run(deployed, "r1", 3)))
        await asyncio.wait_for(seen.result_came.wait(), 30)
        seen.client.protocol.notify("aiToolkit/cancelCases", {"run": "r1"})
        with pytest.raises(JsonRpcException, match="Cancelled"):
            await running

    assert [one["outcome"] for one in seen.results] == ["started"]


async def test_line_that_is_no_case_is_refused_with_its_place(deployed):
    async with opened(deployed) as seen:
        with pytest.raises(JsonRpcException, match=r"line 4: .*messages is missing"):
            await seen.request("aiToolkit/runCases", run(deployed, "r1", 1, 4))

    assert seen.results == []


async def test_command_offers_the_page_and_the_setting_gates_a_deploy(deployed):
    """What answers worse does not come in by the editor either."""
    (deployed.folder / FILE).write_text(json.dumps(CASES[0]) + "\n")
    async with opened(deployed, press={"Show the answers"}) as seen:
        await seen.command("evaluateInference", deployed.folder, "e1")
        shown = await asyncio.wait_for(seen.pages.get(), 30)
        put_adapter(deployed.folder / "models/tuned", "Arr")
        seen.settings["aiToolkit.deploy.gate"] = True
        with pytest.raises(JsonRpcException, match="passes 0 of 1 cases"):
            await seen.command("deployInference", deployed.folder, "d1")

    assert shown["title"] == "Evaluate inference"
    assert "Answers that differ" in await asyncio.to_thread(Path(shown["path"]).read_text)
    assert deployed.json("chat", "Hello")["answer"] == "Ahoy Hello"
