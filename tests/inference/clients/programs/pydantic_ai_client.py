"""Pydantic AI, by chat completions and by the Responses API."""

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from told import ASKED, KEY, MODEL, URL, get_weather, same, shows

provider = OpenAIProvider(base_url=URL, api_key=KEY)
chat = OpenAIChatModel(MODEL, provider=provider)
responses = OpenAIResponsesModel(MODEL, provider=provider)


class Person(BaseModel):
    name: str
    age: int


@shows("chat")
def _():
    same(Agent(chat).run_sync("Say hello").output, "Turn 1: Say hello")


@shows("streamed")
async def _():
    async with Agent(chat).run_stream("Say hello") as stream:
        texts = [text async for text in stream.stream_text()]
    same(texts[-1], "Turn 1: Say hello")


@shows("two turns")
def _():
    agent = Agent(chat, instructions="Be brief.")
    first = agent.run_sync("Say hello")
    same(agent.run_sync("And again", message_history=first.all_messages()).output, "Turn 2: And again")


@shows("tools")
def _():
    same(Agent(chat, tools=[get_weather]).run_sync(ASKED).output, "It is sunny in Rome.")


@shows("tools streamed")
async def _():
    async with Agent(chat, tools=[get_weather]).run_stream(ASKED) as stream:
        same(await stream.get_output(), "It is sunny in Rome.")


@shows("structured output")
def _():
    from pydantic_ai import NativeOutput, ToolOutput  # noqa: PLC0415

    for kind in (NativeOutput(Person), ToolOutput(Person)):
        assert isinstance(Agent(chat, output_type=kind).run_sync("Jason is 25 years old").output, Person)


@shows("Responses API")
def _():
    agent = Agent(responses, tools=[get_weather])
    first = agent.run_sync(ASKED)
    same(first.output, "It is sunny in Rome.")
    same(agent.run_sync("And again", message_history=first.all_messages()).output, "Turn 2: And again")
    assert isinstance(Agent(responses, output_type=Person).run_sync("Jason is 25 years old").output, Person)
