"""LiteLLM, through which many other programs ask (`openai/NAME` with an `api_base`)."""

import json

import litellm
from pydantic import BaseModel
from told import ASKED, KEY, MODEL, PROMPT, TOO_LONG, URL, WEATHER_TOOL, same, shows

HELLO = [{"role": "user", "content": "Say hello"}]
WHERE = {"model": f"openai/{MODEL}", "api_base": URL, "api_key": KEY, "num_retries": 0}


class Person(BaseModel):
    name: str
    age: int


@shows("chat")
def _():
    answer = litellm.completion(messages=HELLO, **WHERE)
    same(answer.choices[0].message.content, "Turn 1: Say hello")
    hosted = litellm.completion(messages=HELLO, **WHERE | {"model": f"hosted_vllm/{MODEL}"})
    same(hosted.choices[0].message.content, "Turn 1: Say hello")


@shows("streamed")
def _():
    chunks = list(litellm.completion(messages=HELLO, stream=True, stream_options={"include_usage": True}, **WHERE))
    same("".join(each.choices[0].delta.content or "" for each in chunks if each.choices), "Turn 1: Say hello")
    assert chunks[-1].usage.total_tokens


@shows("two turns")
def _():
    first = litellm.completion(messages=HELLO, **WHERE).choices[0].message
    again = [*HELLO, first.model_dump(), {"role": "user", "content": "And again"}]
    same(litellm.completion(messages=again, **WHERE).choices[0].message.content, "Turn 2: And again")


@shows("tools")
def _():
    messages = [{"role": "user", "content": ASKED}]
    first = litellm.completion(messages=messages, tools=[WEATHER_TOOL], **WHERE).choices[0].message
    [call] = first.tool_calls
    same(json.loads(call.function.arguments), {"city": "Rome"})
    messages += [first, {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "sunny"}]
    second = litellm.completion(messages=messages, tools=[WEATHER_TOOL], **WHERE)
    same(second.choices[0].message.content, "It is sunny.")


@shows("tools streamed")
def _():
    messages = [{"role": "user", "content": ASKED}]
    chunks = list(litellm.completion(messages=messages, tools=[WEATHER_TOOL], stream=True, **WHERE))
    whole = litellm.stream_chunk_builder(chunks, messages=messages).choices[0].message
    same(json.loads(whole.tool_calls[0].function.arguments), {"city": "Rome"})


@shows("structured output")
def _():
    answer = litellm.completion(messages=HELLO, response_format=Person, **WHERE).choices[0].message
    assert Person.model_validate_json(answer.content)


@shows("Responses API")
def _():
    answer = litellm.responses(input="Say hello", **WHERE)
    same(answer.output[-1].content[0].text, "Turn 1: Say hello")


@shows("completions")
def _():
    where = WHERE | {"model": f"text-completion-openai/{MODEL}"}
    same(litellm.text_completion(prompt=PROMPT, max_tokens=4, **where).choices[0].text, "Turn")


@shows("errors")
def _():
    for kind, more in (
        (litellm.ContextWindowExceededError, {"messages": [{"role": "user", "content": TOO_LONG}]}),
        (litellm.NotFoundError, {"model": "openai/gpt-none"}),
        (litellm.AuthenticationError, {"api_key": "wrong"}),
        (litellm.BadRequestError, {"temperature": 5}),
    ):
        try:
            litellm.completion(**{"messages": HELLO, **WHERE, **more})
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")
