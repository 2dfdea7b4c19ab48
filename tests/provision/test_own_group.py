"""The resource group of a workspace on this computer."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.provision.choose_target import _is_group_name
from ai_toolkit.provision.request import NamedPlace

FOLDERS = st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=60)
                   .filter(lambda name: name not in {".", ".."}), min_size=1, max_size=4)  # fmt: skip


def group(parts):
    return NamedPlace(None, None, "", Path("/nowhere", *parts)).own_group


@given(one=FOLDERS, other=FOLDERS)
def test_every_folder_has_a_group_of_its_own(one, other):
    """The same each time, possible on Azure too, and another for another folder of the same name."""
    assert _is_group_name(group(one))
    assert group(one) == group(one)
    assert one == other or group(one) != group(other)
