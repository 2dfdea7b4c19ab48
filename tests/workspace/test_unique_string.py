"""`uniqueString` of Azure's templates, against values that Azure's own tools print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.workspace.unique_string import unique_string

GROUPS = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test"], "rbgf3xv4ufgzg"),
        (["abc"], "cgtzqvhu4i23s"),
        (["hello", "world"], "a7wkljktk6wne"),
        (["foo", "bar", "baz"], "xzi4ioaxtmth4"),
        ([f"{GROUPS}/myRg"], "js26ofeqkqeve"),
        ([f"{GROUPS}/my-rg"], "bmg7c6xu4tw46"),
    ],
)
def test_published_values_are_met(arguments, expected):
    """The names that a template makes are known before anything is sent."""
    assert unique_string(*arguments) == expected


def test_case_of_the_arguments_counts():
    """As in Azure, a resource group written differently gives other names."""
    assert unique_string(f"{GROUPS}/myRg") != unique_string(f"{GROUPS}/myrg")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_every_text_gives_13_characters_that_a_resource_name_may_hold(arguments):
    """Any identifier, of any length and script, gives lower-case letters and digits."""
    found = unique_string(*arguments)

    assert len(found) == 13
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert found == unique_string("-".join(arguments))
