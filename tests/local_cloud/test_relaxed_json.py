"""Bodies that are not strict JSON, as the Azure CLI sends them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.local_cloud.core.relaxed_json import read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"p": {"mode": "x", template:{"a": 1}}}', {"p": {"mode": "x", "template": {"a": 1}}}),
        ('{"a": 1, // why\n "b": 2 /* , */}', {"a": 1, "b": 2}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "one\n two", b: "http://x // y"}', {"a": "one\n two", "b": "http://x // y"}),
    ],
)  # fmt: skip
def test_a_template_may_be_written_for_people(text, expected):
    """Unquoted names, comments, trailing commas and strings over several lines."""
    assert read_json(text.encode()) == expected


@given(VALUES)
def test_strict_json_is_itself(value):
    """What is strict already means what it always meant, also behind an unquoted name."""
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(f"{{template: {json.dumps(value)}}}".encode()) == {"template": value}


@given(st.binary(max_size=80) | st.text('{}[],:"/*ab \\\n', max_size=60).map(str.encode))
def test_nonsense_is_a_value_error(content):
    """Never another exception, and never a hang."""
    try:
        read_json(content)
    except ValueError:
        refused = True
    else:
        refused = False

    assert refused in {True, False}
