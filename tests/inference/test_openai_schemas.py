"""Every field of OpenAI's own schemas, as its library declares them: asked for nothing it passes, else it is known.

The fields are read from the types of the `openai` package, so that a newer one brings its own questions.
"""

from __future__ import annotations

import json
import types
import typing
import urllib.error
import urllib.request

import pytest
import torch
import typing_extensions
from openai.types import completion_create_params
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat import (
    completion_create_params as chat_create_params,
)
from openai.types.responses import (
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseOutputMessageParam,
    ResponseReasoningItemParam,
    response_create_params,
    response_input_item_param,
)
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import BASE, serving

_EMPTY = {str: "", bool: False, list: [], dict: {}}
TOOL = {"name": "get_time", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
SAID = {"type": "output_text", "text": "Hello.", "annotations": []}
# What is asked of each route, with a place for the fields of each type.
PLACES = {
    "chat": ("/v1/chat/completions", chat_create_params.CompletionCreateParamsNonStreaming),
    "completions": ("/v1/completions", completion_create_params.CompletionCreateParamsNonStreaming),
    "responses": ("/v1/responses", response_create_params.ResponseCreateParamsNonStreaming),
    "chat user": ("/v1/chat/completions", ChatCompletionUserMessageParam),
    "chat system": ("/v1/chat/completions", ChatCompletionSystemMessageParam),
    "chat assistant": ("/v1/chat/completions", ChatCompletionAssistantMessageParam),
    "chat tool": ("/v1/chat/completions", ChatCompletionToolMessageParam),
    "chat function": ("/v1/chat/completions", ChatCompletionFunctionToolParam),
    "responses message": ("/v1/responses", ResponseOutputMessageParam),
    "responses call": ("/v1/responses", ResponseFunctionToolCallParam),
    "responses output": ("/v1/responses", response_input_item_param.FunctionCallOutput),
    "responses reasoning": ("/v1/responses", ResponseReasoningItemParam),
    "responses function": ("/v1/responses", FunctionToolParam),
}


@pytest.fixture(scope="module")
def app():
    torch.set_num_threads(1)
    with serving(byte_models()) as served:
        yield served


def ask(app, path, body):
    """Status and error message."""
    headers = {"Authorization": f"Bearer {app.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(app.url + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            json.load(answer)
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]["message"]


def asked(place, more):
    """The body of a request in which that place has these fields, too."""
    user = {"role": "user", "content": "Hi"}
    chat = {"model": BASE, "max_completion_tokens": 1}
    answered = [user, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "noon"}
    responses = {"model": BASE, "max_output_tokens": 16}
    call = {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [SAID]}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    return {
        "chat": lambda: chat | {"messages": [user]} | more,
        "completions": lambda: {"model": BASE, "prompt": "Hi", "max_tokens": 1} | more,
        "responses": lambda: responses | {"input": "Hi"} | more,
        "chat user": lambda: chat | {"messages": [user | more]},
        "chat system": lambda: chat | {"messages": [{"role": "system", "content": "Be kind."} | more, user]},
        "chat assistant": lambda: chat | {"messages": [user, {"role": "assistant", "content": "Hello."} | more, user]},
        "chat tool": lambda: chat | {"messages": [*answered, result | more]},
        "chat function": lambda: chat | {"messages": [user], "tools": [{"type": "function", "function": TOOL} | more]},
        "responses message": lambda: responses | {"input": [user, message | more, user]},
        "responses call": lambda: responses | {"input": [user, call | more, output]},
        "responses output": lambda: responses | {"input": [user, call, output | more]},
        "responses reasoning": lambda: responses | {"input": [user, reasoning | more, message, user]},
        "responses function": lambda: responses | {"input": "Hi", "tools": [{"type": "function"} | TOOL | more]},
    }[place]()


def kinds(annotation):
    """The plain types that a declared one may be, and its literals."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Required, typing.NotRequired, typing.Annotated}:
        return kinds(inner[0])
    if origin in {typing.Union, types.UnionType}:
        return [kind for each in inner for kind in kinds(each)]
    if origin is typing.Literal:
        return list(inner)
    if typing_extensions.is_typeddict(annotation):
        return [dict]
    if isinstance(origin, type):
        return [dict if issubclass(origin, dict) else list]
    return [annotation]


def fields(place):
    """Each field of the place with its kinds, but for those without which there is no question."""
    hints = typing.get_type_hints(PLACES[place][1], include_extras=True)
    return {name: kinds(hint) for name, hint in hints.items() if name not in NEEDED or name in ADDED.get(place, ())}


# What a question is made of; and where the same name means something that may lack.
NEEDED = {
    "messages",
    "prompt",
    "input",
    "role",
    "type",
    "content",
    "call_id",
    "tool_call_id",
    "name",
    "output",
    "model",
}
NEEDED |= {"arguments", "function", "summary"}
ADDED = {"chat user": ["name"], "chat system": ["name"], "chat assistant": ["name"], "responses": ["prompt"]}
ADDED |= {"responses output": ["name"], "completions": ["model"], "chat": ["model"]}


@pytest.mark.parametrize("place", PLACES)
def test_fields_without_a_value_ask_for_nothing(app, place):
    """All of them null, and all of them empty, in each way that their types can be."""
    declared = fields(place)
    empty = [dict.fromkeys(declared)]
    for kind, value in _EMPTY.items():
        empty.append({name: value for name, found in declared.items() if kind in found and name != "model"})
    for each in empty:
        assert ask(app, PLACES[place][0], asked(place, each)) == (200, ""), each


_SOME = {str: "x", bool: True, int: 3, float: 0.5, list: ["x"], dict: {"x": "y"}, object: "x"}
# What answers follow, and what says nothing to a model: bookkeeping, caching, speed and safety of another service, ids.
HONOURED = {"echo", "frequency_penalty", "instructions", "logprobs", "max_completion_tokens", "max_output_tokens"}
HONOURED |= {
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "refusal",
    "seed",
    "stop",
}
HONOURED |= {"stream", "strict", "temperature", "tool_choice", "top_p", "description", "parameters", "content", "name"}
WITHOUT_EFFECT = {"metadata", "safety_identifier", "service_tier", "store", "user", "id", "status", "phase"}
WITHOUT_EFFECT |= {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "encrypted_content", "caller"}
WITHOUT_EFFECT |= {"allowed_callers", "defer_loading", "output_schema", "max_tool_calls", "prediction"}
# What it says happens anyway.
ANYWAY = [("function_call", "auto"), ("function_call", "none"), ("verbosity", "medium"), ("truncation", "disabled")]
ANYWAY += [("truncation", "auto")]  # what does not fit is refused, not cut


@pytest.mark.parametrize("place", PLACES)
def test_a_field_with_a_value_is_followed_or_refused_by_name_or_changes_no_answer(app, place):
    """With some value of each of its types: what is answered stands in one of the lists above."""
    for name, declared in fields(place).items():
        for value in [_SOME.get(each, each) for each in declared if each is not type(None) and name != "model"]:
            status, why = ask(app, PLACES[place][0], asked(place, {name: value}))
            if status == 200:
                assert name in HONOURED | WITHOUT_EFFECT or (name, value) in ANYWAY, (name, value)
            else:
                assert (status, name in why.replace(" ", "_")) == (400, True), (name, value, why)
