"""Haystack's chat generator."""

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret
from pydantic import BaseModel
from told import ASKED, KEY, MODEL, URL, WEATHER, get_weather, same, shows

tool = Tool(name="get_weather", description="The weather in a city.", parameters=WEATHER, function=get_weather)


class Person(BaseModel):
    name: str
    age: int


def generator(**more):
    return OpenAIChatGenerator(api_key=Secret.from_token(KEY), model=MODEL, api_base_url=URL, **more)


def ask(*messages, **more):
    return generator(**more).run(messages=list(messages))["replies"][0]


HELLO = ChatMessage.from_user("Say hello")


@shows("chat")
def _():
    same(ask(HELLO).text, "Turn 1: Say hello")


@shows("streamed")
def _():
    pieces = []
    answer = ask(HELLO, streaming_callback=lambda chunk: pieces.append(chunk.content or ""))
    same("".join(pieces), "Turn 1: Say hello")
    same(answer.text, "Turn 1: Say hello")


@shows("two turns")
def _():
    same(ask(HELLO, ask(HELLO), ChatMessage.from_user("And again")).text, "Turn 2: And again")


@shows("tools")
def _():
    question = ChatMessage.from_user(ASKED)
    called = ask(question, tools=[tool])
    same(called.tool_calls[0].arguments, {"city": "Rome"})
    result = ChatMessage.from_tool("sunny", origin=called.tool_calls[0])
    same(ask(question, called, result, tools=[tool]).text, "It is sunny.")


@shows("tools streamed")
def _():
    called = ask(ChatMessage.from_user(ASKED), tools=[tool], streaming_callback=lambda _: None)
    same(called.tool_calls[0].arguments, {"city": "Rome"})


@shows("structured output")
def _():
    assert Person.model_validate_json(ask(HELLO, generation_kwargs={"response_format": Person}).text)
