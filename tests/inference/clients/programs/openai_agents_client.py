"""OpenAI's Agents SDK: the Responses API by default, chat completions when told."""

import openai
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)  # fmt: skip
from pydantic import BaseModel
from told import ASKED, MODEL, get_weather, same, shows

set_tracing_disabled(True)
client = openai.AsyncOpenAI(max_retries=0)
set_default_openai_client(client)
weather = function_tool(get_weather)


class Person(BaseModel):
    name: str
    age: int


def by_chat(**more):
    return Agent(name="one", model=OpenAIChatCompletionsModel(MODEL, client), **more)


@shows("chat")
async def _():
    same((await Runner.run(by_chat(instructions="Be brief."), "Say hello")).final_output, "Turn 1: Say hello")


@shows("streamed")
async def _():
    found = Runner.run_streamed(by_chat(), "Say hello")
    texts = [
        event.data.delta
        async for event in found.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    same("".join(texts), "Turn 1: Say hello")


@shows("two turns")
async def _():
    first = await Runner.run(by_chat(), "Say hello")
    again = [*first.to_input_list(), {"role": "user", "content": "And again"}]
    same((await Runner.run(by_chat(), again)).final_output, "Turn 2: And again")


@shows("tools")
async def _():
    same((await Runner.run(by_chat(tools=[weather]), ASKED)).final_output, "It is sunny in Rome.")


@shows("tools streamed")
async def _():
    found = Runner.run_streamed(by_chat(tools=[weather]), ASKED)
    async for _event in found.stream_events():
        pass
    same(found.final_output, "It is sunny in Rome.")


@shows("structured output")
async def _():
    assert isinstance((await Runner.run(by_chat(output_type=Person), "Jason is 25")).final_output, Person)


@shows("Responses API")
async def _():
    agent = Agent(name="one", model=MODEL, tools=[weather])
    first = await Runner.run(agent, ASKED)
    same(first.final_output, "It is sunny in Rome.")
    again = [*first.to_input_list(), {"role": "user", "content": "And again"}]
    same((await Runner.run(agent, again)).final_output, "Turn 2: And again")
    assert isinstance(
        (await Runner.run(Agent(name="b", model=MODEL, output_type=Person), "Jason")).final_output, Person
    )
