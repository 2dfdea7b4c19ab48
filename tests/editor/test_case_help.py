"""What an editor tells of a file of cases while it is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.editor.case_help import complete, describe, findings, is_case_file
from ai_toolkit.evaluation.case_schema import CASE, EXPECTED, ROLES
from ai_toolkit.evaluation.cases import lines_of
from ai_toolkit.workspace.workspace import Workspace

GOOD = '{"messages": [{"role": "user", "content": "Hello"}], "expected": {"contains": "Hi"}}'


def offered(text):
    """What is offered at the bar."""
    return [each.label for each in complete(text.replace("|", ""), text.index("|"))]


def test_only_files_of_the_evaluation_folder_are_cases():
    workspace = Workspace(Path("/w"))

    assert is_case_file(workspace, Path("/w/evaluation/a.jsonl"))
    assert not is_case_file(workspace, Path("/w/evaluation/results/a.jsonl"))
    assert not is_case_file(workspace, Path("/w/evaluation/a.json"))
    assert not is_case_file(workspace, Path("/w/data/a.jsonl"))


def test_typo_is_found_in_its_line_with_the_key_that_was_meant():
    """The fix puts it right."""
    text = GOOD + "\n" + GOOD.replace("contains", "contians")
    [found] = findings(text)

    assert text[found.span.start : found.span.end] == '"contians"'
    assert found.span.start > len(GOOD)
    mended = text[: found.fix.span.start] + found.fix.text + text[found.fix.span.end :]
    assert list(findings(mended)) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("|", ["case"]),
        (GOOD + "\n|", ["case"]),
        ("{|", list(CASE["properties"])),
        ('{"messages": [], "|', ["name", "expected", "max_tokens"]),
        ('{"messages": [{|', ["role", "content"]),
        ('{"messages": [{"role": |', list(ROLES)),
        ('{"messages": [{"role": "user", "content": "a"}, {"|', ["role", "content"]),
        ('{"expected": {|}}', list(EXPECTED)),
        ('{"expected": {"exact": "a", |', [name for name in EXPECTED if name != "exact"]),
        ('{"expected": {"json_schema": {|', []),
        ('{"name": "|', []),
        ('{"messages": [{"role": "user", "content": "{"}], |', ["name", "expected", "max_tokens"]),
    ],
)
def test_what_can_stand_there_is_offered(text, wanted):
    assert offered(text) == wanted


def test_whole_case_that_is_offered_is_one():
    """Filled in, the snippet is a case without a problem."""
    [case] = complete("", 0)
    text = case.snippet.replace("$1", "Hello").replace("$2", "Hi").replace("$0", "")

    assert [line.problems for line in lines_of(text, "x")] == [()]


@pytest.mark.parametrize("name", [*EXPECTED, "max_tokens", "messages"])
def test_every_key_is_explained(name):
    """Where the pointer rests on it."""
    value = {"json_schema": True, "max_tokens": 3, "messages": []}.get(name, "x")
    document = {"expected": {name: value}} if name in EXPECTED else {name: value}
    text = GOOD + "\n" + json.dumps(document)
    found = describe(text, text.rindex(f'"{name}"') + 2)

    assert text[found.span.start : found.span.end] == f'"{name}"'
    assert found.text


@given(st.text(alphabet='{}[]":, aemnst\\\n', max_size=60), st.integers(0, 60))
def test_no_half_written_text_is_too_much(text, index):
    """Whatever stands there and wherever the cursor is."""
    at = min(index, len(text))
    for each in complete(text, at):
        assert 0 <= each.span.start <= at <= each.span.end <= len(text)
    describe(text, at)
    for found in findings(text):
        assert 0 <= found.span.start <= found.span.end <= len(text)
