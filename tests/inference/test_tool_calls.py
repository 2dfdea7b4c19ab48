"""Calls of tools as the families of models write them: read at any cut, and enforced."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.inference.byte_model import byte_tokenizer

from aitk_app.engine.grammar import Grammars
from aitk_app.web.tool_bodies import FunctionTool, Tool
from aitk_app.web.tool_calls.answer_reader import AnswerReader, Manner
from aitk_app.web.tool_calls.enforced import Thought, Writing, calls_only, formed, formed_or_calls, text_or_calls
from aitk_app.web.tool_calls.families import family_of, reasoning_of

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"}},
    "required": ["city"],
}
TOOLS = [
    Tool(function=FunctionTool(name="get_weather", parameters=WEATHER)),
    Tool(function=FunctionTool(name="get_time")),
]
ROME = ("get_weather", {"city": "Rome", "days": 2})
NOW = ("get_time", {})
OBJECT = '{"name": "get_weather", "arguments": {"city": "Rome", "days": 2}}'
TIME = '{"name": "get_time", "arguments": {}}'
# What a chat template of the family says, an answer as its card shows it, and what that means.
SAMPLES = {
    "Hermes": ("<tool_call>", f"<tool_call>\n{OBJECT}\n</tool_call>", "", [ROME]),
    "Hermes, two and a word": (
        "<tool_call>",
        f"I look.\n<tool_call>\n{OBJECT}\n</tool_call>\n<tool_call>\n{TIME}\n</tool_call>",
        "I look.",
        [ROME, NOW],
    ),
    "Hermes without its marks": ("<tool_call>", OBJECT, "", [ROME]),
    "Hermes cut": ("<tool_call>", f"<tool_call>\n{OBJECT[:30]}", OBJECT[:30], []),
    "Qwen 3, after thinking": (
        "<think></think><tool_call>",
        f"<think>\nWhich city?\n</think>\n\n<tool_call>\n{OBJECT}\n</tool_call>",
        "",
        [ROME],
    ),
    "Qwen coder": (
        "<function=",
        (
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
            "</function>\n</tool_call>"
        ),
        "",
        [ROME],
    ),
    "GLM": (
        "<arg_key>",
        (
            "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</arg_key>\n"
            "<arg_value>2</arg_value>\n</tool_call>"
        ),
        "",
        [ROME],
    ),
    "Mistral": ("[TOOL_CALLS]", f"[TOOL_CALLS][{OBJECT}, {TIME}]", "", [ROME, NOW]),
    "Mistral, newer": (
        "[ARGS]",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Rome", "days": 2}[TOOL_CALLS]get_time[ARGS]{}',
        "",
        [ROME, NOW],
    ),
    "Llama 3": ('"parameters":', OBJECT.replace("arguments", "parameters"), "", [ROME]),
    "Llama 3, two": ('"parameters":', OBJECT.replace("arguments", "parameters") + "; " + TIME, "", [ROME, NOW]),
    "Llama 3, marked": ('"parameters":', f"<|python_tag|>{OBJECT}", "", [ROME]),
    "Llama 4": ("<|python_start|>", '<|python_start|>[get_weather(city="Rome", days=2)]<|python_end|>', "", [ROME]),
    "LFM2": (
        "<|tool_call_start|>",
        'Gladly. <|tool_call_start|>[get_weather(city="Rome", days=2), get_time()]<|tool_call_end|>',
        "Gladly.",
        [ROME, NOW],
    ),
    "Phi-4-mini": ("<|/tool_call|>", f"<|tool_call|>[{OBJECT}]<|/tool_call|>", "", [ROME]),
    "Phi-4": ("functools", f"functools[{OBJECT}]", "", [ROME]),
    "Granite": ("<|tool_call|>", f"<|tool_call|>[{OBJECT}]", "", [ROME]),
    "DeepSeek V3": (
        "<｜tool▁calls▁begin｜>",
        (
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
            '{"city": "Rome", "days": 2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
        ),
        "",
        [ROME],
    ),
    "DeepSeek V3.1": (
        "<｜tool▁calls▁begin｜>",
        (
            '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Rome", "days": 2}'
            "<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        "",
        [ROME, NOW],
    ),
    "gpt-oss": (
        "<|channel|>analysis<|message|> <|channel|>commentary",
        (
            "<|channel|>analysis<|message|>Which city?<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.get_weather <|constrain|>json<|message|>{"city": "Rome", "days": 2}<|call|>'
        ),
        "",
        [ROME],
    ),
    "plain": ("nothing", OBJECT, "", [ROME]),
    "plain, in a list": ("nothing", f"[{OBJECT}, {TIME}]", "", [ROME, NOW]),
    "plain, fenced": ("nothing", f"```json\n{OBJECT}\n```", "", [ROME]),
    "plain, arguments as text": (
        "nothing",
        json.dumps({"name": "get_weather", "arguments": '{"city": "Rome", "days": 2}'}),
        "",
        [ROME],
    ),
    "an unknown function is text": ("<tool_call>", '{"name": "fly", "arguments": {}}', None, []),
    "JSON that is no call is text": ("nothing", '{"answer": 42}', None, []),
    "a sentence": ("<tool_call>", "It is <b>warm</b> in Rome, and 2 < 3.", None, []),
}


def manner(source):
    reasoning = reasoning_of(source)
    return Manner(family_of(source, knows_tools=True), reasoning, None, frozenset({"<|im_end|>", "<|eot|>"}))


def read(source, pieces, **more):
    reader = AnswerReader(manner(source), TOOLS, more.pop("opening", ""), **more)
    found = [reader.push(each) for each in pieces] + [reader.finish()]
    calls = [(call.name, json.loads(call.arguments)) for each in found for call in each.calls]
    return "".join(each.text for each in found), "".join(each.reasoning for each in found), calls


@pytest.mark.parametrize("name", SAMPLES)
def test_every_family_is_read_whole_and_cut_at_every_character(name):
    """The same text, reasoning and calls, wherever the text is cut, and character by character."""
    source, text, said, calls = SAMPLES[name]
    whole = read(source, [text])

    assert whole[2] == calls
    assert whole[0] == (text if said is None else said)
    assert read(source, list(text)) == whole
    for place in range(1, len(text)):
        assert read(source, [text[:place], text[place:]]) == whole, text[:place]


@given(st.text(st.sampled_from('<tool_cal>/{}[]"\n abc'), max_size=40), st.data())
def test_no_text_is_lost_or_depends_on_its_cuts(text, data):
    """Of any text, what is said is the same however it comes."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert read("<tool_call>", pieces) == read("<tool_call>", [text])


def test_reasoning_stands_apart():
    """Also where the template has begun it, and where it never ends; marks of turns are not shown."""
    said = "<think>\nIt is in Italy.\n</think>\n\nRome is warm.<|im_end|>"

    assert read("<think></think>", [said]) == ("Rome is warm.", "It is in Italy.", [])
    assert read("</think>", [said[8:]], opening="<|im_start|>assistant\n<think>\n") == read("</think>", [said])
    assert read("</think>", ["for ever"], opening="<think>")[:2] == ("", "for ever")


def test_one_call_where_no_more_are_wanted():
    """`parallel_tool_calls: false`: what follows the first call is not told."""
    text = SAMPLES["Hermes, two and a word"][1]

    assert read("<tool_call>", [text], one_call=True)[2] == [ROME]


ANSWER = {"type": "object", "properties": {"warm": {"$ref": "#/$defs/yes"}}, "required": ["warm"]} | {
    "$defs": {"yes": {"type": "boolean"}}
}
STRICT = [each.model_copy(update={"function": each.function.model_copy(update={"strict": True})}) for each in TOOLS]


@pytest.fixture(scope="module")
def grammars():
    tokenizer = byte_tokenizer()
    return Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])


def follows(grammars, grammar, text):
    """Whether the text may be an answer, and end there."""
    constraint = grammars.constraint(grammar)
    try:
        for token in grammars._tokenizer(text).input_ids:
            constraint.take(token)
        constraint.take(grammars._tokenizer.eos_token_id)
    except ValueError:
        return False
    return True


def writing(grammars, source, opening=""):
    reasoning = reasoning_of(source)
    family = family_of(source, knows_tools=bool(source))
    return Writing(family, grammars.literal, Thought.before(reasoning, opening))


ALONE = {name: sample for name, sample in SAMPLES.items() if sample[3] and not sample[2]}


# Ways of writing that are read, and no grammar writes: a family has one way, and gpt-oss announces its channels.
READ_ONLY = {"Hermes without its marks", "Llama 3, marked", "gpt-oss", "plain, fenced", "plain, arguments as text"}


@pytest.mark.parametrize("name", ALONE)
def test_an_answer_of_a_form_or_a_call_as_the_family_writes_it(grammars, name):
    """Each published sample passes, and so does what follows the schema; text of no form does not."""
    source, text, _, wanted = ALONE[name]
    functions = [each.function for each in TOOLS]
    grammar = formed_or_calls(ANSWER, writing(grammars, source), functions, several=True)

    assert follows(grammars, grammar, '{"warm": true}')
    assert not follows(grammars, grammar, '{"warm": 1}')
    assert not follows(grammars, grammar, "It is warm.")
    if len(wanted) == 1 and name not in READ_ONLY:
        assert follows(grammars, grammar, text.removesuffix("<|im_end|>"))


@pytest.mark.parametrize("source", ["<think></think><tool_call>", "<think></think>"])
@pytest.mark.parametrize("opening", ["", "<|im_start|>assistant\n<think>\n", "<think>\n\n</think>\n\n"])
def test_reasoning_comes_before_a_form_and_is_not_taken_for_it(grammars, source, opening):
    """It must where the template began it, may where the model can, and may not where the template has ended it."""
    how = writing(grammars, source, opening)
    functions = [each.function for each in STRICT]
    call = f"<tool_call>\n{OBJECT}\n</tool_call>" if "tool_call" in source else OBJECT
    begin = "" if opening.endswith("<think>\n") else "<think>\n"
    thought = f"{begin}Is it {{warm}}? [[1, <b>\n</think>\n\n"
    may_think, must_think = "</think>" not in opening, opening.endswith("<think>\n")
    answers = [
        (formed(ANSWER, how), '{"warm": true}'),
        (formed_or_calls(ANSWER, how, functions, several=False), '{"warm": true}'),
        (formed_or_calls(ANSWER, how, functions, several=False), call),
        (calls_only(how, functions, several=False), call),
    ]

    for grammar, answer in answers:
        assert follows(grammars, grammar, thought + answer) == may_think
        assert follows(grammars, grammar, answer) != must_think
    free = text_or_calls(how, functions, several=False)
    assert follows(grammars, free, (thought if must_think else "") + "Rome is warm.")
    if may_think:
        assert not follows(grammars, free, thought + call.replace('"Rome"', "5"))
        said, reasoning, calls = read(source, [thought + call], opening=opening)
        assert (said, reasoning, calls) == ("", "Is it {warm}? [[1, <b>", [ROME])
