"""`aitk mcp` through a client that we did not write: that of PyPI's `mcp`."""

import json

from jsonschema import Draft202012Validator
from tests.support.agent import agent, said
from tests.support.road import environment

TOOLS = {"inference_status", "inference_logs", "inference_models", "ask_model", "deploy_dry_run"}


async def test_tools_only_read_and_promise_their_results(tmp_path):
    """So an editor runs them without asking, and a program knows what comes; wrong calls are told to the model."""
    async with agent(tmp_path, environment(tmp_path / "cloud")) as client:
        tools = (await client.list_tools()).tools
        status = await client.call_tool("inference_status", {})
        refused = [
            await client.call_tool("ask_model", {}),
            await client.call_tool("inference_logs", {"lines": 1_000}),
            await client.call_tool("provision", {}),
        ]
        dry_run = await client.call_tool("deploy_dry_run", {})
        asked = await client.call_tool("ask_model", {"message": "Hello?"})

    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint for tool in tools)
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
    assert (status.structured_content["provisioned"], status.structured_content["live"]) == (False, None)
    assert json.loads(said(status)) == status.structured_content
    assert [one.is_error for one in refused] == [True] * 3
    assert "'message' is a required property" in said(refused[0])
    assert "maximum of 300" in said(refused[1])
    assert "There is no tool provision" in said(refused[2])
    # What a person would be told, an agent is told too.
    for failed in (dry_run, asked):
        assert failed.is_error
        assert "inference.config.json does not exist" in said(failed)
        assert "aitk provision" in said(failed)
        assert "Traceback" not in said(failed)
