"""What an editor says of itself at the start is read without trust in its shape."""

import pytest

from ai_toolkit.editor.options import has_chat, trusted, variables


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (None, {}),
        ({}, {}),
        ({"settings": None}, {}),
        ({"settings": {"bicepCli": 5, "localCloud": "x"}}, {}),
        ({"settings": {"bicepCli": " ", "localCloud": {"folder": ""}}}, {}),
        ({"settings": {"bicepCli": " /b ", "server": {"interpreter": "/p"}}}, {"AITK_BICEP": "/b"}),
        (
            {"settings": {"localCloud": {"folder": "/f", "replicaInterpreter": "/r"}}},
            {"AITK_LOCAL_CLOUD_HOME": "/f", "AITK_REPLICA_PYTHON": "/r"},
        ),
    ],
)
def test_settings_become_variables(options, found):
    """A setting that is empty, or not a text, asks for nothing: what the environment says stays."""
    assert variables(options) == found


@pytest.mark.parametrize(("options", "answer"), [(None, True), ({}, True), ({"trusted": True}, True)])
def test_an_editor_that_does_not_say_so_trusts(options, answer):
    """Only an editor that knows of trust can withhold it."""
    assert trusted(options) is answer


def test_trust_is_withheld_in_restricted_mode():
    """The shell says so in its own words."""
    assert trusted({"trusted": False}) is False


@pytest.mark.parametrize(
    ("options", "expected"), [({"chat": True}, True), ({"chat": "yes"}, False), ({}, False), (None, False)]
)
def test_editor_that_says_nothing_of_a_chat_has_none(options, expected):
    """Older shells, and other editors, get no button that leads nowhere."""
    assert has_chat(options) is expected
