"""A workspace that an earlier version made: what is newer is taken over, what a person changed stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.provisioning import Person

from ai_toolkit.errors import WorkspaceError
from ai_toolkit.workspace.create import create_project
from ai_toolkit.workspace.newer_files import content_id, shipped, take_over
from ai_toolkit.workspace.template import templates_folder

BICEP, COMPILED = "infra/provision/inference.bicep", "infra/provision/inference.json"
FILES = (
    BICEP,
    COMPILED,
    "infra/inference.parameters.json",
    "inference/settings.toml",
    "inference/a.py",
    "inference/b.py",
)
KNOWN = {path: [content_id(f"old {path}\n".encode())] for path in FILES}


def folder(place, content):
    for path in FILES:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(f"{content} {path}\n".encode())
    return place


@pytest.fixture
def templates(tmp_path):
    return folder(tmp_path / "templates", "new")


@pytest.fixture
def workspace(tmp_path):
    return folder(tmp_path / "workspace", "old")


def test_what_is_as_it_was_shipped_is_this_version_s_then(workspace, templates):
    """Whatever its line ends became; a second time there is nothing to do."""
    (workspace / BICEP).write_bytes(f"old {BICEP}\r\n".encode())
    newer = take_over(workspace, templates, KNOWN)

    assert set(newer.taken) == set(FILES)
    assert newer.kept == ()
    assert all((workspace / path).read_text() == f"new {path}\n" for path in FILES)
    assert take_over(workspace, templates, KNOWN) == type(newer)()


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("inference/settings.toml", {"inference/settings.toml"}),
        ("inference/a.py", {"inference/a.py", "inference/b.py"}),  # modules of two versions do not go together
        (BICEP, {BICEP, COMPILED}),
        (COMPILED, {BICEP, COMPILED}),
    ],
)
def test_what_a_person_changed_stays(workspace, templates, changed, kept):
    """With what belongs to it; everything else is taken over."""
    (workspace / changed).write_text("mine")
    newer = take_over(workspace, templates, KNOWN)

    assert set(newer.kept) == kept
    assert set(newer.taken) == set(FILES) - kept
    assert (workspace / changed).read_text() == "mine"


@given(changed=st.sets(st.sampled_from(FILES)), missing=st.sets(st.sampled_from(FILES)))
def test_nothing_of_a_person_s_is_ever_replaced(tmp_path_factory, changed, missing):
    """Any of them changed or missing: what is there in the end is the person's own, or as one version had it."""
    place = tmp_path_factory.mktemp("any")
    workspace, templates = folder(place / "workspace", "old"), folder(place / "templates", "new")
    for path in changed:
        (workspace / path).write_text("mine")
    for path in missing:
        (workspace / path).unlink()
    newer = take_over(workspace, templates, KNOWN)

    for path in FILES:
        here = workspace / path
        assert here.exists() == (path not in missing)
        if path in changed - missing:
            assert here.read_text() == "mine"
            assert path in newer.kept
    code = {(workspace / path).read_text().split()[0] for path in FILES if path.endswith(".py") and path not in missing}
    assert not {"new", "old"} <= code


def test_a_file_that_cannot_be_written_is_named_and_whole(workspace, templates):
    """A folder stands where the new one would be put together."""
    (workspace / "inference/.settings.toml.aitk-new").mkdir()
    with pytest.raises(WorkspaceError, match=r"settings\.toml cannot be written"):
        take_over(workspace, templates, KNOWN)

    assert (workspace / "inference/settings.toml").read_text() == "old inference/settings.toml\n"


async def test_init_says_what_it_took_over_and_what_stays(tmp_path):
    """A workspace of today with one file of a shipped version, and one that was changed."""
    await create_project(tmp_path, Person(), sample=False)
    (tmp_path / "inference/settings.toml").write_text("# mine\n")
    person = Person()
    again = await create_project(tmp_path, person, sample=False)

    assert again.newer.kept == ("inference/settings.toml",)
    assert again.added == ()
    assert "Changed by you" in person.text
    assert (tmp_path / "inference/settings.toml").read_text() == "# mine\n"


def test_what_earlier_versions_shipped_is_known():
    """The first version's flat layout among it, and the present files' paths."""
    known = shipped()
    present = {path.relative_to(templates_folder()).as_posix() for path in templates_folder().glob("infra/**/*.bicep")}

    assert {"inference/access.py", "inference/gradio_chat.py", *present} <= known.keys()
    assert all(len(one) == 12 for ids in known.values() for one in ids)
    assert json.dumps(known)
