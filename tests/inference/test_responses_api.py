"""OpenAI's Responses API, as the SDK's own class calls it; short names; pages of other origins."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import jsonschema
import openai
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.inference.test_structured_output import TOOLS, WEATHER
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import BASE, serving

from aitk_app.web.aliases import aliases_of
from aitk_app.web.origins import AllowedOrigins
from aitk_app.web.responses_bodies import ResponsesRequest

FUNCTIONS = [{"type": "function", **each["function"]} for each in TOOLS]
SEARCH = [{"type": "web_search", "user_location": {"type": "approximate"}}, {"type": "image_generation"}]


@pytest.fixture(scope="module")
def app():
    torch.set_num_threads(1)
    with serving(byte_models()) as served:
        served.gate._origins = AllowedOrigins("https://app.contoso.example/, http://localhost:5173")
        served.client = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0)
        with served.client:
            yield served


def respond(app, **more):
    return app.client.responses.create(
        **{"model": BASE, "input": "Write.", "max_output_tokens": 40, "temperature": 1} | more
    )


def test_a_text_is_answered_whole_and_streamed(app):
    """The SDK reads both; a cut answer is incomplete and says why; usage is counted."""
    whole = respond(app, temperature=0)
    events = list(respond(app, temperature=0, stream=True))

    assert whole.status == "incomplete"
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.output[0].role == "assistant"
    assert whole.usage.output_tokens == 40
    assert [each.type for each in events[:3]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert events[-1].type == "response.incomplete"
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage


def test_a_call_is_made_answered_and_told_the_same_when_streamed(app):
    """A function that must be called; its answer is sent back as an item."""
    asked = {"tools": FUNCTIONS, "tool_choice": {"type": "function", "name": "get_weather"}, "max_output_tokens": 400}
    whole = respond(app, temperature=0, **asked)
    events = list(respond(app, temperature=0, stream=True, **asked))
    [call] = whole.output
    [told] = [each for each in events if each.type == "response.function_call_arguments.done"]

    jsonschema.validate(json.loads(call.arguments), WEATHER)
    assert (call.type, call.name) == ("function_call", "get_weather")
    assert told.arguments == call.arguments
    assert events[-1].response.output[0].arguments == call.arguments
    again = [
        {"role": "user", "content": [{"type": "input_text", "text": "Write."}]},
        call.model_dump(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "warm"},
    ]
    assert respond(app, input=again, tools=FUNCTIONS, max_output_tokens=5).usage.output_tokens <= 5


def test_a_form_is_followed(app):
    """`text.format` with a schema."""
    form = {
        "type": "json_schema",
        "name": "weather",
        "schema": WEATHER | {"additionalProperties": False},
        "strict": True,
    }
    answer = respond(app, text={"format": form}, max_output_tokens=400)

    jsonschema.validate(json.loads(answer.output_text), WEATHER)


def test_a_form_is_followed_beside_functions_that_may_be_called(app):
    """Text that follows the schema, or a call; never anything else."""
    form = {"type": "json_schema", "name": "weather", "schema": WEATHER | {"additionalProperties": False}}
    answer = respond(app, text={"format": form}, tools=FUNCTIONS[:1], max_output_tokens=400, temperature=0)

    [item] = answer.output
    jsonschema.validate(json.loads(item.arguments if item.type == "function_call" else answer.output_text), WEATHER)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id: no response is stored"),
        ({"tools": [{"type": "web_search"}]}, "tools: number 0, 'web_search', is a tool of OpenAI's own"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}, *FUNCTIONS]}, "number 0, 'file_search'"),
        ({"tools": [*SEARCH, *FUNCTIONS, {"type": "mcp", "server_label": "x", "server_url": "x"}]}, "number 4, 'mcp'"),
        ({"tools": [*FUNCTIONS, {"type": "code_interpreter", "container": {"type": "auto"}}]}, "'code_interpreter'"),
        ({"tools": [*FUNCTIONS, {"type": "telepathy"}]}, "tools[2].type"),
        ({"tools": FUNCTIONS, "tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
        ({"tool_choice": "required"}, "tool_choice: there are no tools"),
        ({"include": ["message.output_text.logprobs"]}, "include: 'message.output_text.logprobs'"),
        ({"input": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type: no item is stored here"),
        ({"conversation": "conv_1"}, "conversation is not supported"),
        ({"input": []}, "input: "),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(app, wrong, told):
    """A 400 in OpenAI's shape."""
    with pytest.raises(openai.BadRequestError) as refused:
        respond(app, **wrong)

    assert told in refused.value.body["message"]


def test_what_asks_for_nothing_is_taken(app):
    """As the SDKs' default classes send it."""
    assert respond(
        app, store=False, metadata={}, user="ada", truncation="disabled", include=["reasoning.encrypted_content"],
        reasoning={"effort": "medium", "summary": "auto"}, service_tier="auto", background=False, max_output_tokens=1,
    ).id.startswith("resp_")  # fmt: skip


def test_tools_that_are_never_called_are_left_out_beside_functions_and_the_answer_says_so(app):
    """As agents offer OpenAI's own with every request; so are they in a choice of allowed ones."""
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [SEARCH[1], {"type": "function", "name": "get_time"}],
    }
    include = ["web_search_call.action.sources"]
    answer = respond(app, tools=[*SEARCH, *FUNCTIONS], tool_choice=allowed, include=include, max_output_tokens=400)

    assert [each.name for each in answer.output] == ["get_time"] * len(answer.output)
    assert [each.name for each in answer.tools] == ["get_weather", "get_time"]


def test_items_are_sent_back_as_their_library_has_them(app):
    """A whole turn with reasoning, text with sources, calls and their outputs: the model is told all of it."""
    seen = ResponsesRequest.model_validate({"input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "I look."}],
         "encrypted_content": None, "content": None, "status": None},
        {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}",
         "status": "completed", "caller": {"type": "direct"}},
        {"id": "fc_2", "type": "function_call", "call_id": "c2", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "warm", "id": None, "status": None},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "noon"}]},
        {"id": "rs_2", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Warm."}]},
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "phase": "final_answer",
         "content": [{"type": "output_text", "text": "Warm at noon.", "logprobs": [],
                      "annotations": [{"type": "url_citation", "url": "http://x", "title": "x", "start_index": 0,
                                       "end_index": 4}]}]},
        {"role": "user", "content": "Thanks"},
    ]}).as_chat()  # fmt: skip
    turns = [each.plain() for each in seen.messages]

    assert [(each.role, each.content, each.reasoning) for each in turns] == [
        ("user", "Weather?", None),
        ("assistant", "", "I look."),
        ("tool", "warm", None),
        ("tool", "noon", None),
        ("assistant", "Warm at noon.", "Warm."),
        ("user", "Thanks", None),
    ]
    assert [call.name for call in turns[1].calls] == ["get_weather", "get_time"]


def test_models_tell_their_length_and_a_trailing_slash_lists(app):
    """`max_model_len` as vLLM has it."""
    models = app.client.models.list().data
    request = urllib.request.Request(f"{app.url}/v1/models/", headers={"Authorization": f"Bearer {app.key}"})
    with urllib.request.urlopen(request) as answer:
        listed = json.load(answer)["data"]

    assert [each.id for each in models] == [each["id"] for each in listed] == [BASE]
    assert listed[0]["max_model_len"] == 2048


def asked_from(app, origin, method="GET", **headers):
    request = urllib.request.Request(f"{app.url}/v1/models", headers={"Origin": origin, **headers}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_pages_of_named_origins_may_ask_and_no_other(app):
    """The browser's question is answered without the key; the request itself needs it, and tells the page why not."""
    question = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = asked_from(app, "https://app.contoso.example", "OPTIONS", **question)
    foreign = asked_from(app, "https://evil.example", "OPTIONS", **question)
    without_key = asked_from(app, "http://localhost:5173")
    with_key = asked_from(app, "http://localhost:5173", Authorization=f"Bearer {app.key}")

    assert allowed[0] == 204
    assert allowed[1]["Access-Control-Allow-Origin"] == "https://app.contoso.example"
    assert allowed[1]["Access-Control-Allow-Headers"] == "authorization"
    assert (foreign[0], foreign[1]["Access-Control-Allow-Origin"]) == (401, None)
    assert (without_key[0], without_key[1]["Access-Control-Allow-Origin"]) == (401, "http://localhost:5173")
    assert (with_key[0], with_key[1]["Vary"]) == (200, "origin")


@pytest.mark.parametrize(
    ("names", "aliases"),
    [
        (["qlora/qlora/gpu_model/adapter", "microsoft/Phi-3-mini"], {"qlora": 0, "Phi-3-mini": 1}),
        (["pirate/adapter", "haiku/adapter", "base"], {"pirate": 0, "haiku": 1}),
        (["a/x", "b/x"], {}),
        (["x", "a/x"], {}),
        (["gpu_model/adapter"], {}),
    ],
)
def test_a_short_name_is_what_says_something(names, aliases):
    """The last part of the path that no other model has; clashing ones have none."""
    assert aliases_of(names) == {alias: names[place] for alias, place in aliases.items()}


@given(st.lists(st.text("ab/", min_size=1, max_size=5), unique=True, max_size=5))
def test_a_short_name_means_one_model(names):
    """No alias is a name, has a slash, or stands for two."""
    found = aliases_of(names)

    assert not set(found) & set(names)
    assert not any("/" in alias for alias in found)
    assert len(set(found.values())) == len(found)
