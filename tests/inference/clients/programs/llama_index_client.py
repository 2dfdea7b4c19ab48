"""LlamaIndex's class for endpoints like OpenAI's."""

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from told import ASKED, KEY, MODEL, PROMPT, URL, get_weather, holds, same, shows


class Person(BaseModel):
    name: str
    age: int


def model(**more):
    known = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 8000, "max_retries": 0}
    return OpenAILike(model=MODEL, api_base=URL, api_key=KEY, **known | more)


HELLO = [ChatMessage(role="user", content="Say hello")]


@shows("chat")
def _():
    same(model().chat(HELLO).message.content, "Turn 1: Say hello")


@shows("streamed")
def _():
    same("".join(each.delta or "" for each in model().stream_chat(HELLO)), "Turn 1: Say hello")


@shows("two turns")
def _():
    first = model().chat(HELLO).message
    again = [*HELLO, first, ChatMessage(role="user", content="And again")]
    same(model().chat(again).message.content, "Turn 2: And again")


@shows("tools")
async def _():
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(get_weather)], llm=model(), streaming=False)
    holds(str(await agent.run(ASKED)), "sunny in Rome")


@shows("tools streamed")
async def _():
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(get_weather)], llm=model())
    holds(str(await agent.run(ASKED)), "sunny in Rome")


@shows("structured output")
def _():
    assert isinstance(model().as_structured_llm(Person).chat(HELLO).raw, Person)
    strict = model(should_use_structured_outputs=True)
    assert isinstance(strict.as_structured_llm(Person).chat(HELLO).raw, Person)


@shows("completions")
def _():
    same(model(is_chat_model=False, max_tokens=4).complete(PROMPT).text, "Turn")
