"""The official client for Python."""

import json

import openai
from pydantic import BaseModel
from told import ASKED, MODEL, PROMPT, TOO_LONG, WEATHER_TOOL, get_weather, same, shows

client = openai.OpenAI(max_retries=0)
HELLO = [{"role": "user", "content": "Say hello"}]


class Person(BaseModel):
    name: str
    age: int


def ask(messages=HELLO, **more):
    return client.chat.completions.create(model=MODEL, messages=messages, **more)


@shows("chat")
def _():
    answer = ask()
    same(answer.choices[0].message.content, "Turn 1: Say hello")
    assert min(answer.usage.prompt_tokens, answer.usage.completion_tokens) > 0


@shows("streamed")
def _():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, stream_options={"include_usage": True}) as stream:
        texts = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    same("".join(texts), "Turn 1: Say hello")
    assert whole.usage.total_tokens


@shows("two turns")
def _():
    first = ask().choices[0].message
    for told in (first, first.model_dump(), first.model_dump(exclude_none=True)):
        again = ask([*HELLO, told, {"role": "user", "content": "And again"}])
        same(again.choices[0].message.content, "Turn 2: And again")


@shows("tools")
def _():
    messages = [{"role": "user", "content": ASKED}]
    first = ask(messages, tools=[WEATHER_TOOL]).choices[0]
    [call] = first.message.tool_calls
    same(first.finish_reason, "tool_calls")
    result = get_weather(**json.loads(call.function.arguments))
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    same(ask(messages, tools=[WEATHER_TOOL]).choices[0].message.content, "It is sunny in Rome.")
    forced = ask(tools=[WEATHER_TOOL], tool_choice="required").choices[0].message
    same(forced.tool_calls[0].function.name, "get_weather")


@shows("tools streamed")
def _():
    messages = [{"role": "user", "content": ASKED}]
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER_TOOL]) as stream:
        whole = stream.get_final_completion().choices[0].message
    same(json.loads(whole.tool_calls[0].function.arguments), {"city": "Rome"})


@shows("structured output")
def _():
    parsed = (
        client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person).choices[0].message.parsed
    )
    assert isinstance(parsed, Person)
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=Person) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


@shows("Responses API")
def _():
    first = client.responses.create(model=MODEL, input="Say hello", instructions="Be brief.")
    same(first.output_text, "Turn 1: Say hello")
    items = [*HELLO, *first.output, {"role": "user", "content": "And again"}]
    same(client.responses.create(model=MODEL, input=items).output_text, "Turn 2: And again")
    tool = {"type": "function", "strict": False, **WEATHER_TOOL["function"]}
    asked = [{"role": "user", "content": ASKED}]
    with client.responses.stream(model=MODEL, input=asked, tools=[tool]) as stream:
        called = stream.get_final_response()
    [call] = called.output
    asked += [call, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny in Rome"}]
    same(client.responses.create(model=MODEL, input=asked, tools=[tool]).output_text, "It is sunny in Rome.")
    assert isinstance(client.responses.parse(model=MODEL, input="Say", text_format=Person).output_parsed, Person)
    with client.responses.stream(model=MODEL, input="Say hello") as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
    same("".join(texts), "Turn 1: Say hello")


@shows("completions")
def _():
    whole = client.completions.create(model=MODEL, prompt=PROMPT, logprobs=1, max_tokens=4)
    same(whole.choices[0].text, "Turn")
    same(len(whole.choices[0].logprobs.token_logprobs), 4)
    chunks = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=4, stream=True)
    same("".join(each.choices[0].text for each in chunks), "Turn")


@shows("models")
def _():
    assert MODEL in [each.id for each in client.models.list()]
    same(client.models.retrieve(MODEL).id, MODEL)


@shows("errors")
def _():
    for kind, code, more in (
        (openai.BadRequestError, "context_length_exceeded", {"messages": [{"role": "user", "content": TOO_LONG}]}),
        (openai.NotFoundError, "model_not_found", {"model": "gpt-none", "messages": HELLO}),
    ):
        try:
            client.chat.completions.create(**{"model": MODEL, **more})
        except kind as error:
            same(error.code, code)
        else:
            raise AssertionError(f"no {kind.__name__}")
    try:
        openai.OpenAI(api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError as error:
        same(error.code, "invalid_api_key")
    else:
        raise AssertionError("a wrong key was taken")
