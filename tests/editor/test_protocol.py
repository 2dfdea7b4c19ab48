"""Both sides of the editor's messages come from one file, and neither takes what the other did not mean."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ai_toolkit.editor.protocol import (
    MESSAGES,
    Answers,
    CommandArgument,
    InputAnswer,
    InputParams,
    PickAnswer,
    PickItem,
    PickParams,
    parse,
    plain,
    to_typescript,
)

GENERATED = Path(__file__).parents[2] / "extension/src/protocol.ts"


def test_editor_s_side_is_what_is_generated():
    """protocol.ts is never edited by hand: `python -m ai_toolkit.editor.protocol` writes it."""
    assert GENERATED.read_text() == to_typescript()


def test_module_prints_the_editor_s_side():
    """The command that the file's first line leads to writes exactly that file."""
    printed = subprocess.run(
        [sys.executable, "-m", "ai_toolkit.editor.protocol"], check=True, capture_output=True, text=True
    )

    assert printed.stdout == to_typescript()


def test_every_message_has_an_interface():
    """No message of the server is unknown to the editor."""
    interfaces = set(re.findall(r"export interface (\w+)", to_typescript()))

    assert interfaces == {message.__name__ for message in MESSAGES} | {"Back"}


def test_pick_goes_out_in_camel_case():
    """The names on the wire are those of the editor."""
    params = PickParams("Title", "Which?", 1, 2, True, (PickItem("a", "A", "", False),))

    assert plain(params) == {
        "title": "Title",
        "placeholder": "Which?",
        "step": 1,
        "steps": 2,
        "canGoBack": True,
        "items": [{"id": "a", "label": "A", "description": "", "disabled": False}],
    }


def test_input_goes_out_in_camel_case():
    """As agreed with the editor, down to the password flag."""
    assert plain(InputParams("Title", "Name?", "default", False, 1, 1, False)) == {
        "title": "Title",
        "prompt": "Name?",
        "value": "default",
        "password": False,
        "step": 1,
        "steps": 1,
        "canGoBack": False,
    }


@pytest.mark.parametrize(
    ("document", "argument"),
    [
        ({"workspaceFolder": "file:///w"}, CommandArgument("file:///w")),
        ({"workspaceFolder": "file:///w", "answers": None}, CommandArgument("file:///w")),
        ({"workspaceFolder": "file:///w", "answers": {}}, CommandArgument("file:///w", Answers())),
        (
            {"workspaceFolder": "file:///w", "answers": {"resourceGroup": "g", "location": None}},
            CommandArgument("file:///w", Answers(resource_group="g")),
        ),
    ],
)
def test_command_argument_is_read(document, argument):
    """Answers, and each of them, may be absent or null."""
    assert parse(document, CommandArgument) == argument


@pytest.mark.parametrize(
    ("document", "kind", "named"),
    [
        ({"workspaceFolder": "file:///w", "workspace": 1}, CommandArgument, "workspace"),
        ({"workspaceFolder": "file:///w", "answers": {"resource_group": "g"}}, CommandArgument, "resource_group"),
        ({"workspace_folder": "file:///w"}, CommandArgument, "workspace"),
        ({"id": "a", "label": "A"}, PickAnswer, "label"),
    ],
)
def test_unknown_key_is_refused(document, kind, named):
    """A misspelt key is said instead of being ignored."""
    with pytest.raises(ValueError, match=named):
        parse(document, kind)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"workspaceFolder": None}, CommandArgument),
        ({"workspaceFolder": 5}, CommandArgument),
        ({"workspaceFolder": "file:///w", "answers": "local"}, CommandArgument),
        ({"workspaceFolder": "file:///w", "answers": {"location": 5}}, CommandArgument),
        ({}, CommandArgument),
        (None, CommandArgument),
        ([], CommandArgument),
        ("file:///w", CommandArgument),
        ({"id": 1}, PickAnswer),
        ({"value": None}, InputAnswer),
    ],
)
def test_value_of_another_type_is_refused(document, kind):
    """Nothing is turned into a text that it was not."""
    with pytest.raises(ValueError, match=r"expected|missing|attribute"):
        parse(document, kind)


def test_misfit_names_its_place():
    """The message leads the extension's author to the key."""
    with pytest.raises(ValueError, match=r"workspaceFolder|workspace_folder"):
        parse({"workspaceFolder": None}, CommandArgument)
