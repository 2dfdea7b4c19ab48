"""A streamed answer, in parts."""

import pytest
from tests.support.scripted_endpoint import scripted_endpoint

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.endpoint.conversation import Reasoning, Text, ToolCall, Usage, converse
from ai_toolkit.errors import EndpointRefused


@pytest.fixture
async def endpoint():
    async with scripted_endpoint() as scripted:
        yield scripted


async def parts_of(endpoint, key="the-key", **request):
    async with Endpoint.open(endpoint.url, key) as opened:
        return [part async for part in converse(opened, {"messages": [], **request})]


def call(index, **function):
    return {"index": index, "function": function} | ({"id": f"c{index}"} if "name" in function else {})


async def test_text_and_reasoning_come_as_they_are_streamed(endpoint):
    """Each piece is told at once, and what the model thought apart from what it says; then the tokens."""
    endpoint.streams = [[{"role": "assistant"}, {"reasoning_content": "Hm."}, {"content": "Ah"}, {"content": "oy ☠"}]]

    assert await parts_of(endpoint) == [Reasoning("Hm."), Text("Ah"), Text("oy ☠"), Usage(50)]
    assert endpoint.asked[0]["stream"] is True


async def test_tool_calls_are_put_together(endpoint):
    """Two at once, their arguments in pieces; arguments that were left out are none."""
    pieces = [call(0, name="look", arguments='{"at"'), call(1, name="rest"), call(0, arguments=': "sea"}')]
    endpoint.streams = [[{"tool_calls": [piece]} for piece in pieces]]

    *calls, usage = reversed(await parts_of(endpoint))
    assert calls == [ToolCall("c1", "rest", "{}"), ToolCall("c0", "look", '{"at": "sea"}')]
    assert usage == Usage(50)


@pytest.mark.parametrize("arguments", ['{"at": "se', "[1]", "sea"])
async def test_call_that_cannot_be_carried_out_is_an_error(endpoint, arguments):
    """A cut call is said instead of being called with something else."""
    endpoint.streams = [[{"tool_calls": [call(0, name="look", arguments=arguments)]}]]

    with pytest.raises(EndpointRefused, match="a call of look whose arguments are no JSON object"):
        await parts_of(endpoint)


async def test_error_in_the_stream_is_an_error(endpoint):
    """What the endpoint says in the middle of an answer reaches the person."""
    endpoint.streams = [[{"content": "A"}, {"error": {"message": "The memory is full."}}]]

    with pytest.raises(EndpointRefused, match="The memory is full"):
        await parts_of(endpoint)


async def test_refusal_has_its_status(endpoint):
    """So that a key which was changed can be fetched anew."""
    with pytest.raises(EndpointRefused, match="The key is wrong") as refused:
        await parts_of(endpoint, key="another")

    assert refused.value.status == 401


async def test_long_line_is_one_event(endpoint):
    """A tool's arguments may be longer than what aiohttp takes for a line."""
    endpoint.streams = [[{"content": "x" * 300_000}]]

    text, _usage = await parts_of(endpoint)
    assert text == Text("x" * 300_000)
