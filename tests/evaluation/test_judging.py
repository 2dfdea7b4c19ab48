"""An answer passes when all that is expected of it is true."""

import pytest

from ai_toolkit.evaluation.cases import Case, Expected
from ai_toolkit.evaluation.judging import Outcome, judge

PERSON = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def case(**expected):
    return Case("x:1", "x", ({"role": "user", "content": "?"},), Expected(**expected))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"exact": "yes"}, " yes\n"),
        ({"contains": ("Paris", "France")}, "Paris is in France."),
        ({"regex": r"\b7\b"}, "There are 7 days."),
        ({"json_schema": PERSON}, '{"name": "Ada"}'),
        ({"json_schema": True}, "[1]"),
        ({"contains": ("a",), "regex": "b"}, "ab"),
        ({"exact": "", "reference": "x"}, ""),
    ],
)
def test_what_fits_passes(expected, said):
    assert judge(case(**expected), said) == (Outcome.PASSED, ())


@pytest.mark.parametrize(
    ("expected", "said", "told"),
    [
        ({"exact": "yes"}, "Yes", "not exactly"),
        ({"contains": ("Paris", "Rome")}, "Paris", "“Rome”"),
        ({"regex": "^7$"}, "77", "finds nothing"),
        ({"json_schema": True}, "```json\n[1]\n```", "not JSON"),
        ({"json_schema": PERSON}, '{"name": 3}', "at .name"),
        ({"json_schema": False}, "1", "does not fit"),
        ({"contains": ("a",), "regex": "b"}, "a", "finds nothing"),
        ({"json_schema": {"$ref": "http://127.0.0.1:9/schema"}}, "1", "cannot be used"),
        ({"json_schema": {"$ref": "#"}}, "1", "cannot be used"),
        ({"json_schema": {"pattern": "("}}, '"x"', "cannot be used"),
    ],
)
def test_what_does_not_fit_fails_with_a_sentence(expected, said, told):
    outcome, [missed] = judge(case(**expected), said)

    assert outcome is Outcome.FAILED
    assert told in missed


def test_reference_alone_is_measured_and_not_judged():
    """It can neither pass nor fail, whatever is said."""
    assert judge(case(reference="x"), "something else") == (Outcome.MEASURED, ())


@pytest.mark.parametrize("said", ["NaN", '{"a": Infinity}', "[" * 200_000, "\ud83d", ""])
def test_what_no_reader_of_json_takes_is_not_json(said):
    """Python reads NaN; and no answer, however deep, ends the evaluation."""
    outcome, [why] = judge(case(json_schema=True), said)

    assert outcome is Outcome.FAILED
    assert why.startswith("It is not JSON")
