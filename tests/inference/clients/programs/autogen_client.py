"""AutoGen's model client and assistant."""

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import AssistantMessage, UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel
from told import ASKED, KEY, MODEL, URL, get_weather, same, shows

KNOWN = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": True}


class Person(BaseModel):
    name: str
    age: int


def client(**more):
    return OpenAIChatCompletionClient(model=MODEL, base_url=URL, api_key=KEY, model_info=KNOWN, max_retries=0, **more)


def said(text):
    return UserMessage(content=text, source="user")


@shows("chat")
async def _():
    same((await client().create([said("Say hello")])).content, "Turn 1: Say hello")


@shows("streamed")
async def _():
    stream = client().create_stream([said("Say hello")], extra_create_args={"stream_options": {"include_usage": True}})
    same([each async for each in stream][-1].content, "Turn 1: Say hello")


@shows("two turns")
async def _():
    turns = [said("Say hello"), AssistantMessage(content="Turn 1: Say hello", source="one"), said("And again")]
    same((await client().create(turns)).content, "Turn 2: And again")


@shows("tools")
async def _():
    agent = AssistantAgent("one", client(), tools=[get_weather], reflect_on_tool_use=True)
    same((await agent.run(task=ASKED)).messages[-1].content, "It is sunny in Rome.")


@shows("tools streamed")
async def _():
    agent = AssistantAgent("one", client(), tools=[get_weather], reflect_on_tool_use=True, model_client_stream=True)
    same((await agent.run(task=ASKED)).messages[-1].content, "It is sunny in Rome.")


@shows("structured output")
async def _():
    assert Person.model_validate_json((await client().create([said("Say")], json_output=Person)).content)
