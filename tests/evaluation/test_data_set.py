"""What fine-tuning learned from is read as cases, in the forms that data sets have."""

import json

import pytest

from ai_toolkit.errors import FileMissing
from ai_toolkit.evaluation.data_set import cases_of_data
from ai_toolkit.evaluation.errors import CasesBroken

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]}
RESULT = {"role": "tool", "content": "4", "tool_call_id": "1"}
TURNS = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2+2?"}]


@pytest.mark.parametrize(
    ("entry", "asked"),
    [
        ({"messages": [*TURNS, {"role": "assistant", "content": "4"}]}, TURNS),
        ({"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]}, TURNS[1:]),
        ({"prompt": "2+2?", "completion": "4"}, TURNS[1:]),
        ({"instruction": "2+2?", "input": "", "output": "4"}, TURNS[1:]),
        ({"instruction": "Add.", "input": "2, 2", "output": "4"}, [{"role": "user", "content": "Add.\n\n2, 2"}]),
        ({"question": "2+2?", "answer": "4"}, TURNS[1:]),
        ({"phrase": "2+2?", "tone": "4"}, TURNS[1:]),
        ({"system": "Be short.", "prompt": "2+2?", "response": "4"}, TURNS),
        (
            {
                "system": "Be short.",
                "conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}],
            },
            TURNS,
        ),
        ({"prompt": TURNS, "completion": [{"role": "assistant", "content": "4"}]}, TURNS),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "2+2?"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "4"}]},
                ]
            },
            TURNS[1:],
        ),
        (
            {"instruction": "2+2?", "output": "4", "history": [["1+1?", "2"]]},
            [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}, TURNS[1]],
        ),
        (
            {"messages": [CALL, RESULT, {"role": "assistant", "content": "4"}]},
            [{**CALL, "content": ""}, RESULT],
        ),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_every_form_is_a_conversation_with_its_answer_as_reference(tmp_path, entry, asked, whole):
    """As JSON Lines, and as one JSON list."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps([entry] * 3) if whole else "\n".join([json.dumps(entry)] * 3))
    cases = cases_of_data(path, 2)

    assert [each.id for each in cases] == ["data.json:1", "data.json:2"]
    assert list(cases[0].messages) == asked
    assert cases[0].expected.reference == "4"
    assert not cases[0].expected.judges


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"text": "### Human: 2+2?"}', "data.jsonl, line 1: it has none of the forms"),
        ('{"prompt": "a", "completion": "b"}\n{', "line 2: this is not JSON"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "line 1: its last turn is not an answer"),
        ("[3]", "entry 1: it has none"),
        ('{"messages": [{"role": "narrator", "content": "a"}]}', "line 1: a turn has the role “narrator”"),
        ("", "holds no entries"),
    ],
)
def test_what_is_no_data_set_says_where(tmp_path, text, told):
    path = tmp_path / "data.jsonl"
    path.write_text(text)
    with pytest.raises(CasesBroken, match=told):
        cases_of_data(path, 20)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileMissing):
        cases_of_data(tmp_path / "data.jsonl", 20)


def test_a_mark_line_ends_and_empty_lines_of_windows_are_no_entries(tmp_path):
    """Written by an editor there: the numbers are the lines of the file."""
    path = tmp_path / "data.jsonl"
    entry = json.dumps({"prompt": "2+2?", "completion": "4"}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + entry + b"\r\n\r\n" + entry + b"\r\n")

    assert [each.id for each in cases_of_data(path, 9)] == ["data.jsonl:1", "data.jsonl:3"]
