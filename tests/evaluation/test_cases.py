"""A line of evaluation/*.jsonl is a case, or says what is wrong, where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.evaluation.case_schema import EXPECTED, USUAL_MAX_TOKENS
from ai_toolkit.evaluation.cases import lines_of, read_cases
from ai_toolkit.evaluation.errors import CasesBroken, CasesMissing
from ai_toolkit.ui import Silent
from ai_toolkit.workspace.create import create_project

ASKED = [{"role": "user", "content": "What is the capital of France?"}]
GOOD = {"messages": ASKED, "expected": {"contains": "Paris"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EXPECTED, "role", "x"]), inner),
    max_leaves=6,
)


class Nobody:
    def report(self, message, percentage=None):
        pass

    def announce(self, message, _tone=None):
        pass


def only(document):
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    [line] = lines_of(text, "cases.jsonl")
    return line


def test_case_has_a_name_and_bounds_where_none_are_given():
    """The last turn names it, and its id says where it stands."""
    case = only(GOOD).case

    assert (case.id, case.name, case.max_tokens) == ("cases.jsonl:1", ASKED[0]["content"], USUAL_MAX_TOKENS)
    assert case.expected.contains == ("Paris",)
    assert case.expected.judges


@pytest.mark.parametrize(
    ("document", "key", "told"),
    [
        ({"messages": ASKED}, "expected", "expected is missing"),
        ({**GOOD, "mesages": []}, "mesages", "is messages meant?"),
        ({**GOOD, "expected": {"contians": "x"}}, "expected.contians", "is contains meant?"),
        ({**GOOD, "expected": {}}, "expected", "it is empty"),
        ({**GOOD, "expected": {"exact": 3}}, "expected.exact", "a text is expected"),
        ({**GOOD, "expected": {"contains": []}}, "expected.contains", "a list of texts"),
        ({**GOOD, "expected": {"regex": "("}}, "expected.regex", "no regular expression"),
        ({**GOOD, "expected": {"json_schema": {"type": "thing"}}}, "expected.json_schema", "no JSON schema"),
        ({**GOOD, "messages": [{"role": "me", "content": "x"}]}, "messages[0].role", "one of system"),
        ({**GOOD, "messages": []}, "messages", "it is empty"),
        ({**GOOD, "messages": [*ASKED, {"role": "assistant", "content": "Paris"}]}, "messages", "the model's own"),
        ({**GOOD, "max_tokens": 0}, "max_tokens", "1 is the least"),
        ({**GOOD, "max_tokens": True}, "max_tokens", "a whole number"),
        ("[1]", "", "a JSON object is expected"),
        ('{"messages": ', "", "this is not JSON"),
    ],
)
def test_broken_line_names_its_key(document, key, told):
    """One sentence about the key, and the characters of the line that it is about."""
    line = only(document)

    assert line.case is None
    [problem] = line.problems
    assert problem.key == key
    assert told in problem.message
    assert 0 <= problem.span.start < problem.span.end <= len(line.text)


def test_broken_line_stops_with_file_and_line(tmp_path):
    """What is wrong in the first place is the message, the rest are details; empty lines are none."""
    folder = tmp_path / "evaluation"
    folder.mkdir()
    lines = [json.dumps(GOOD), "", "{", json.dumps({"messages": ASKED})]
    (folder / "b.jsonl").write_text("\n".join(lines))
    with pytest.raises(CasesBroken) as refused:
        read_cases(tmp_path)

    assert refused.value.message.startswith("evaluation/b.jsonl, line 3: this is not JSON")
    assert refused.value.details == ("evaluation/b.jsonl, line 4: expected is missing.",)


def test_no_cases_is_a_sentence_that_says_how_to_get_some(tmp_path):
    """Also where the files are empty."""
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/empty.jsonl").write_text("\n\n")
    with pytest.raises(CasesMissing, match="aitk init"):
        read_cases(tmp_path)


@pytest.mark.parametrize("file", ["cases.jsonl", "sample.jsonl"])
def test_first_cases_are_five_and_one_of_each_kind(file):
    """What `aitk init` adds is an example of everything that can be expected."""
    from ai_toolkit.workspace.first_cases import FOLDER  # noqa: PLC0415

    lines = list(lines_of((FOLDER / file).read_text(), file))
    kinds = {kind for line in lines for kind in json.loads(line.text)["expected"]}

    assert [line.problems for line in lines] == [()] * 5
    assert kinds == set(EXPECTED)


async def test_project_gets_five_cases_once(tmp_path):
    """An evaluation folder of the person's own gets none."""
    first = (await create_project(tmp_path, Silent(Nobody()), sample=False)).added
    (tmp_path / "evaluation/cases.jsonl").unlink()
    again = (await create_project(tmp_path, Silent(Nobody()), sample=False)).added

    assert "evaluation/cases.jsonl" in first
    assert not again


@given(st.lists(st.one_of(JSON.map(json.dumps), st.text(max_size=20), st.just(json.dumps(GOOD))), max_size=4))
def test_any_text_is_read_line_by_line(lines):
    """Whatever stands there: each line is a case or has problems within it, and the lines are where they say."""
    text = "\n".join(line.replace("\n", " ") for line in lines)
    for line in lines_of(text, "x.jsonl"):
        assert text[line.start : line.start + len(line.text)] == line.text
        assert (line.case is None) == bool(line.problems)
        for problem in line.problems:
            assert 0 <= problem.span.start <= problem.span.end <= len(line.text)


@given(JSON)
def test_any_expectation_is_judged_or_refused(expected):
    """No value of `expected` makes the reader fail."""
    line = only({**GOOD, "expected": expected})

    assert (line.case is None) == bool(line.problems)
