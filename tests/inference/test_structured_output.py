"""Answers that must have a form: JSON, a schema, a call of a tool; alone and beside others."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import openai
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import BASE, serving

ASKED = [{"role": "user", "content": "Write."}]
EXAMPLES = int(os.environ.get("AITK_SCHEMAS_TRIED", "50"))
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["city", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Rain.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time"}},
]


@pytest.fixture(scope="module")
def app():
    torch.set_num_threads(1)
    with serving(byte_models()) as served:
        served.client = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0)
        with served.client:
            yield served


def ask(app, **more):
    return app.client.chat.completions.create(
        **{"model": BASE, "messages": ASKED, "max_tokens": 400, "temperature": 1, "seed": 5} | more
    )


def token_of(app, text):
    return app.completions._models.tokenizer.convert_tokens_to_ids(text)


def formed(schema, **more):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}}


def schemas():
    """Schemas of the kinds that programs send, in each other."""
    simple = st.one_of(
        st.builds(lambda least, more: {"type": "integer", "minimum": least, "maximum": least + more},
                  st.integers(-50, 50), st.integers(0, 100)),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "string", "format": "date"}]),
        st.builds(lambda longest: {"type": "string", "maxLength": longest}, st.integers(0, 8)),
        st.builds(lambda values: {"enum": values}, st.lists(st.sampled_from(["a", "ä", 1, None, "x y"]), min_size=1)),
        st.builds(lambda value: {"const": value}, st.sampled_from(["fixed", 7, False])),
        st.just({"type": "string", "pattern": "^[a-c]{2,3}$"}),
    )  # fmt: skip

    def deeper(inner):
        names = st.sampled_from(["a", "b", "long name", "ö", "$x"])
        return st.one_of(
            st.builds(
                lambda properties, needed: {
                    "type": "object",
                    "properties": properties,
                    "required": sorted(set(needed) & set(properties)),
                    "additionalProperties": False,
                },
                st.dictionaries(names, inner, max_size=3),
                st.lists(names, max_size=3),
            ),
            st.builds(lambda one: {"type": "array", "items": one, "minItems": 0, "maxItems": 3}, inner),
            st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
        )

    return st.recursive(simple, deeper, max_leaves=6)


@pytest.mark.timeout(1200)
@settings(max_examples=EXAMPLES)
@given(st.lists(schemas(), min_size=1, max_size=3))
def test_every_answer_follows_its_schema(app, wanted):
    """Alone and beside others, streamed or not; only what max_tokens cut may be no JSON."""

    def one(schema):
        answer = ask(app, **formed(schema))
        return schema, answer.choices[0]

    with ThreadPoolExecutor(4) as pool:
        others = pool.submit(ask, app, max_tokens=50)
        found = list(pool.map(one, wanted))
        others.result()
    for schema, choice in found:
        if choice.finish_reason != "length":
            jsonschema.validate(json.loads(choice.message.content), schema)


def test_json_object_is_an_object(app):
    """Whatever is in it."""
    texts = [
        ask(app, response_format={"type": "json_object"}, seed=seed, max_tokens=60).choices[0] for seed in range(6)
    ]

    for each in texts:
        assert each.message.content.startswith("{")
        if each.finish_reason == "stop":
            assert isinstance(json.loads(each.message.content), dict)


@pytest.mark.parametrize(
    ("schema", "place", "why"),
    [
        ({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "/properties/a", "nonsense"),
        (
            {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 5, "maximum": 3}},
            "/items",
            "minimum",
        ),
        ({"properties": {"x": {"anyOf": [{"type": "array", "uniqueItems": True}]}}}, "/properties/x/anyOf/0", "unique"),
        ({"$ref": "#/$defs/nowhere"}, "its top", "nowhere"),
        (False, "its top", "false"),
    ],
)
def test_an_impossible_schema_is_refused_with_its_place(app, schema, place, why):
    """A 400 before anything is computed, for an answer's form and for a tool's parameters."""
    with pytest.raises(openai.BadRequestError) as refused:
        ask(app, **formed(schema))

    assert place in refused.value.body["message"]
    assert why in refused.value.body["message"]
    assert refused.value.body["param"] == "response_format"
    if schema:
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        with pytest.raises(openai.BadRequestError, match=r"tools\[0\].function.parameters \(f\) at"):
            ask(app, tools=[tool], tool_choice="required")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_that_must_be_made_is_valid_and_the_same_when_streamed(app, choice):
    """The arguments follow the schema; deltas put together are the whole call."""
    for seed in range(4):
        asked = {"tools": TOOLS, "tool_choice": choice, "seed": seed, "parallel_tool_calls": False}
        whole = ask(app, **asked).choices[0]
        chunks = list(ask(app, stream=True, **asked))
        [call] = whole.message.tool_calls
        told = [each.choices[0].delta.tool_calls[0] for each in chunks if each.choices[0].delta.tool_calls]

        assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "tool_calls"
        assert whole.message.content is None
        if call.function.name == "get_weather":
            jsonschema.validate(json.loads(call.function.arguments), WEATHER)
        else:
            assert choice == "required"
        assert told[0].function.name == call.function.name
        assert told[0].id.startswith("call_")
        assert "".join(each.function.arguments or "" for each in told) == call.function.arguments
        assert not any(each.choices[0].delta.content for each in chunks)


@pytest.mark.timeout(1200)
@settings(max_examples=max(EXAMPLES // 20, 5))
@given(st.dictionaries(st.sampled_from(["a", "long name", "ö"]), schemas(), min_size=1, max_size=2), st.booleans())
def test_a_call_of_any_tool_is_valid_and_the_same_when_streamed(app, properties, must):
    """Of random parameters, whether it must be called or is only strict; beside another request."""
    parameters = {"type": "object", "properties": properties, "required": sorted(properties)}
    function = {"name": "act", "parameters": parameters | {"additionalProperties": False}, "strict": True}
    asked = {"tools": [{"type": "function", "function": function}], "tool_choice": "required" if must else "auto"}
    if not must:
        asked["logit_bias"] = {str(token_of(app, "<tool_call>")): 8}
    with ThreadPoolExecutor(2) as pool:
        streaming = pool.submit(lambda: list(ask(app, stream=True, **asked)))
        whole = ask(app, **asked).choices[0]
        chunks = [each.choices[0] for each in streaming.result()]
    calls: dict[int, list[str]] = {}
    for told in (call for each in chunks for call in each.delta.tool_calls or ()):
        calls.setdefault(told.index, []).append(told.function.arguments or "")

    assert chunks[-1].finish_reason == whole.finish_reason
    assert ["".join(each) for each in calls.values()] == [
        each.function.arguments for each in whole.message.tool_calls or ()
    ]
    assert "".join(each.delta.content or "" for each in chunks) == (whole.message.content or "")
    for each in calls.values():
        jsonschema.validate(json.loads("".join(each)), function["parameters"])


def test_a_strict_tool_has_valid_arguments_wherever_the_model_calls_it(app):
    """With `auto` the model may write what it wants; a call in it follows the schema."""
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}}
    push = {str(token_of(app, "<tool_call>")): 8}

    calls = 0
    for seed in range(6):
        choice = ask(app, tools=[tool], seed=seed, max_tokens=150, logit_bias=push).choices[0]
        for call in choice.message.tool_calls or ():
            calls += 1
            jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    assert calls


@pytest.mark.timeout(1200)
@settings(max_examples=max(EXAMPLES // 10, 5))
@given(schemas(), st.booleans(), st.sampled_from([0, 8]))
def test_a_form_beside_tools_that_may_be_called_is_followed_where_none_is(app, schema, strict, push):
    """Of random schemas: text that follows it, or calls with valid arguments; the same when streamed."""
    tools = [{"type": "function", "function": TOOLS[0]["function"] | {"strict": strict}}, TOOLS[1]]
    asked = formed(schema) | {"tools": tools, "logit_bias": {str(token_of(app, "<tool_call>")): push}}
    whole = ask(app, **asked).choices[0]
    chunks = [each.choices[0] for each in ask(app, stream=True, **asked)]
    calls = whole.message.tool_calls or []

    assert "".join(each.delta.content or "" for each in chunks) == (whole.message.content or "")
    assert sum(len(each.delta.tool_calls or ()) and bool(each.delta.tool_calls[0].id) for each in chunks) == len(calls)
    for each in calls:
        arguments = json.loads(each.function.arguments)
        jsonschema.validate(arguments, WEATHER if each.function.name == "get_weather" else {"maxProperties": 0})
    if whole.finish_reason == "stop":
        jsonschema.validate(json.loads(whole.message.content), schema)
    elif whole.finish_reason == "tool_calls":
        assert calls
        assert not whole.message.content


def test_parameters_that_no_grammar_can_follow_are_free_beside_a_form(app):
    """A tool that is not strict promises nothing; the answer's form is still followed."""
    odd = {"type": "function", "function": {"name": "f", "parameters": {"type": "array", "uniqueItems": True}}}
    asked = formed({"const": "fixed"}) | {"tools": [odd]}
    with pytest.raises(openai.BadRequestError, match=r"tools\[0\].function.parameters"):
        ask(app, **asked | {"tools": [{**odd, "function": odd["function"] | {"strict": True}}]})

    forbidden = {str(token_of(app, "<tool_call>")): -100}
    assert json.loads(ask(app, **asked, logit_bias=forbidden).choices[0].message.content) == "fixed"


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": TOOLS[0]["function"]["name"]}}]
)
def test_a_form_beside_a_call_that_must_be_made_asks_for_nothing(app, choice):
    """The answer is the call, and has no text to form: clients send both."""
    answer = ask(app, tools=TOOLS, tool_choice=choice, response_format={"type": "json_object"}).choices[0].message

    assert answer.tool_calls
    assert not answer.content


def test_what_our_api_returned_can_be_sent_back(app):
    """A turn with calls, their answers, and every field that a client's library writes, is read again."""
    first = ask(app, tools=TOOLS, tool_choice="required").choices[0].message
    answers = [{"role": "tool", "tool_call_id": each.id, "content": "warm"} for each in first.tool_calls]
    again = [*ASKED, first.model_dump(), *answers]

    second = ask(app, messages=again, tools=TOOLS, max_tokens=5)
    assert second.usage.completion_tokens <= 5
    assert ask(app, messages=[*again, second.choices[0].message.model_dump(), *ASKED], max_tokens=5).choices


def test_several_choices_share_their_prompt(app):
    """`n`: each has its own index and text; the prompt is counted once; streamed they come side by side."""
    whole = ask(app, n=3, max_tokens=20)
    chunks = list(ask(app, n=3, max_tokens=20, stream=True))

    assert [each.index for each in whole.choices] == [0, 1, 2]
    assert len({each.message.content for each in whole.choices}) == 3
    assert whole.usage.prompt_tokens == ask(app, max_tokens=1).usage.prompt_tokens
    for each in whole.choices:
        said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices[0].index == each.index]
        assert "".join(said) == each.message.content
    with pytest.raises(openai.BadRequestError, match="n: "):
        ask(app, n=9)


def test_bias_and_ends_are_obeyed(app):
    """A token that is pushed comes, one that is forbidden never does; min_tokens and ignore_eos hold the end off."""
    end = token_of(app, "<|end|>")
    only = ask(app, logit_bias={"64": 100}, max_tokens=4)
    begun = ask(app, logit_bias={str(end): 100}, max_tokens=30, extra_body={"min_tokens": 7})
    endless = ask(app, logit_bias={str(end): 100}, max_tokens=9, extra_body={"ignore_eos": True})

    assert len(set(only.choices[0].message.content)) == 1
    assert begun.usage.completion_tokens == 8
    assert begun.choices[0].finish_reason == "stop"
    assert endless.usage.completion_tokens == 9
    with pytest.raises(openai.BadRequestError, match="logit_bias: there is no token 9999"):
        ask(app, logit_bias={"9999": 1})


def test_a_text_is_scored_as_the_model_scores_it(app):
    """`echo` with logprobs and no tokens, as evaluation harnesses ask; several prompts, texts or token ids."""
    texts = ["The cat sat.", "äö"]
    tokenizer = app.completions._models.tokenizer
    model = app.completions._models.reference.model
    asked = {"model": BASE, "echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}
    answer = app.client.completions.create(prompt=texts, **asked)
    as_ids = app.client.completions.create(prompt=[tokenizer(each).input_ids for each in texts], **asked)

    for place, text in enumerate(texts):
        tokens = torch.tensor([tokenizer(text).input_ids])
        with torch.inference_mode():
            logprobs = model(tokens).logits[0].float().log_softmax(-1)
        wanted = logprobs[:-1].gather(1, tokens[0, 1:, None])[:, 0].tolist()
        choice = answer.choices[place]
        assert choice.text == text
        assert choice.logprobs.token_logprobs[0] is None
        assert choice.logprobs.token_logprobs[1:] == pytest.approx(wanted, abs=1e-5)
        assert as_ids.choices[place].logprobs.token_logprobs[1:] == pytest.approx(wanted, abs=1e-5)
        assert [max(each.values()) for each in choice.logprobs.top_logprobs[1:]] == pytest.approx(
            logprobs[:-1].max(-1).values.tolist(), abs=1e-5
        )
    assert answer.usage.completion_tokens == 0


def test_an_answer_is_continued(app):
    """`continue_final_message`: the last turn is the answer's beginning; only an answer can be."""
    begun = [*ASKED, {"role": "assistant", "content": "Once upon"}]
    answer = ask(app, messages=begun, extra_body={"continue_final_message": True}, max_tokens=3)

    assert answer.usage.prompt_tokens < ask(app, messages=begun, max_tokens=3).usage.prompt_tokens
    with pytest.raises(openai.BadRequestError, match="role assistant"):
        ask(app, extra_body={"continue_final_message": True})


def test_a_template_is_told_only_what_it_knows(app):
    """`chat_template_kwargs` that mean nothing are refused by name, as is an effort without effect."""
    with pytest.raises(openai.BadRequestError, match="no variable 'enable_thinking'"):
        ask(app, extra_body={"chat_template_kwargs": {"enable_thinking": True}})
    with pytest.raises(openai.BadRequestError, match="reasoning effort"):
        ask(app, reasoning_effort="high")

    assert ask(app, reasoning_effort="medium", max_tokens=1).choices
    assert ask(app, extra_body={"chat_template_kwargs": {"enable_thinking": False}}, max_tokens=1).choices
