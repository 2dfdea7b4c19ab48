"""What a sentence tells a person to do is named as the face calls it: the editor speaks of its commands."""

import ast
import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

import ai_toolkit
from ai_toolkit.errors import EndpointNotReady, EndpointRefused, ReplicaFailed, ResourceMissing
from ai_toolkit.known_causes import cause_in_log, cause_of_code
from ai_toolkit.two_faces import FACE, Do, Face, to, worded

PACKAGE = Path(ai_toolkit.__file__).parent
ROOT = Path(__file__).parents[1]
TYPED = re.compile(r"\baitk [a-z]")
ONE_FACE = ("cli", "local_cloud", "two_faces.py")
"""Rooms that a terminal alone shows, or that show nothing; and the table itself."""


@pytest.fixture
def in_editor():
    before = FACE.set(Face.EDITOR)
    yield
    FACE.reset(before)


def sentences(source):
    """The strings of a module that are not documentation, with their lines."""
    tree = ast.parse(source)
    about = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in about:
            yield node.lineno, node.value


def test_no_sentence_that_both_faces_show_names_a_command_of_the_terminal():
    """Of every room that the editor reaches: an action is named through `Do`, which each face words."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ONE_FACE
        for line, text in sentences(path.read_text(encoding="utf-8"))
        if TYPED.search(text)
    ]

    assert found == []


def test_a_sentence_in_the_sources_is_seen():
    """The test above would see one in an f-string, too, and leaves documentation alone."""
    assert [text for _line, text in sentences('"""aitk status"""\nx = f"see aitk status {x}"\n')] == [
        "see aitk status "
    ]


@pytest.mark.parametrize("action", list(Do))
def test_every_action_has_a_name_in_each_face(action, in_editor):
    """The editor's is a command that the palette has, by its whole title."""
    titles = {
        text
        for key, text in json.loads((ROOT / "extension/package.nls.json").read_text()).items()
        if key.startswith("command.")
    }
    shown = to(action, "share")

    assert not TYPED.search(shown)
    assert any(f"AI Toolkit: {title}" in shown for title in titles)
    FACE.set(Face.TERMINAL)
    assert to(action, "share").startswith("aitk ")


def test_known_causes_speak_of_the_editor_s_commands(in_editor):
    """Each cause's advice, by its code or by a line of a log, without a name of the terminal or one left open."""
    entries = tomllib.loads((PACKAGE / "causes.toml").read_text())["cause"]
    told = [worded(entry["advice"]) for entry in entries]

    assert not [one for one in told if TYPED.search(one) or "{" in one]
    assert "AI Toolkit: Show inference status" in cause_of_code("ContainerAppOperationInProgress").advice
    assert "AI Toolkit: Show inference streaming logs" in cause_in_log(["progress deadline exceeded"]).advice


def test_errors_speak_of_the_face_in_which_they_are_raised(in_editor):
    errors = (
        ReplicaFailed("It ended.", ()),
        ResourceMissing("app", "a", "b"),
        EndpointNotReady("u", "s", timedelta(seconds=1)),
        EndpointRefused("u", 500, "broken"),
    )

    assert all("AI Toolkit: " in str(error) and not TYPED.search(str(error)) for error in errors)
    FACE.set(Face.TERMINAL)
    assert "aitk deploy --previous" in str(ReplicaFailed("It ended.", ()))
