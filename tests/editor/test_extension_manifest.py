"""What the extension promises in package.json, and what its server and its shell do, are the same."""

import json
import re
from pathlib import Path

from ai_toolkit.deploy.status import Live, State, Status
from ai_toolkit.editor import commands, protocol
from ai_toolkit.editor.status_bar import StatusBar
from ai_toolkit.workspace.template import add_to_workspace
from ai_toolkit.workspace.workspace import Workspace

EXTENSION = Path(__file__).parents[2] / "extension"
MANIFEST = json.loads((EXTENSION / "package.json").read_text())
CONTRIBUTED = MANIFEST["contributes"]
COMMANDS = {one["command"] for one in CONTRIBUTED["commands"]}


def test_each_step_of_the_walkthrough_is_ticked_by_what_the_server_tells(tmp_path):
    """One after the other: a project, a target, something deployed that did not fail; the last by its command."""
    shown = []
    bar = StatusBar(shown.append, lambda _work: None)
    workspace = Workspace(tmp_path)

    def done(state, live=None, endpoint=None):
        bar.show(workspace, Status(state, "", True, endpoint, live))
        return set(shown[-1].done)

    live = Live("r", (), "", "2026-01-01", None, (), has_files=True, on_share=None, loaded=None)
    failed = Live("r", (), "It ended.", "2026-01-01", None, (), has_files=True, on_share=None, loaded=None)
    assert done(State.NOT_PROVISIONED) == set()
    add_to_workspace(tmp_path)
    assert done(State.NOT_PROVISIONED) == {"hasProject"}
    assert done(State.PROVISIONED, endpoint="https://e") == {"hasProject", "isProvisioned"}
    assert done(State.FAILED, failed, "https://e") == {"hasProject", "isProvisioned"}
    everything = done(State.LIVE, live, "https://e")

    [walkthrough] = CONTRIBUTED["walkthroughs"]
    events = [event for step in walkthrough["steps"] for event in step["completionEvents"]]
    assert {one.removeprefix("onContext:aiToolkit.") for one in events if one.startswith("onContext:")} == everything
    assert {one.removeprefix("onCommand:") for one in events if one.startswith("onCommand:")} <= COMMANDS


def test_what_menus_and_texts_name_is_a_command():
    """Also the links of the walkthrough and of the empty view; and a command beside a row has an icon."""
    texts = (EXTENSION / "package.nls.json").read_text()
    linked = set(re.findall(r"command:([\w.]+)", texts))
    listed = [one for menu in CONTRIBUTED["menus"].values() for one in menu]
    inline = {one["command"] for one in listed if one["group"].startswith(("inline", "navigation"))}

    assert linked | {one["command"] for one in listed} <= COMMANDS
    assert all("icon" in one for one in CONTRIBUTED["commands"] if one["command"] in inline)
    shell = {"aiToolkit.restartServer"}
    assert COMMANDS - shell == {f"aiToolkit.{name}" for name in protocol.COMMANDS}


def test_the_icon_is_a_picture_that_a_gallery_takes():
    """A PNG of at least 128 by 128."""
    content = (EXTENSION / MANIFEST["icon"]).read_bytes()
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")

    assert content.startswith(b"\x89PNG")
    assert min(width, height) >= 128


def test_the_parameters_file_that_is_added_names_no_schema_to_download(tmp_path):
    """The editor would fetch it, and complain where it cannot; the extension's own describes the file."""
    add_to_workspace(tmp_path)
    added = sorted((tmp_path / "infra").rglob("*.parameters.json"))

    assert added
    assert not [path for path in added if "$schema" in json.loads(path.read_text())]
    for one in CONTRIBUTED["jsonValidation"]:
        assert (EXTENSION / one["url"]).is_file()


def test_nothing_that_installs_or_runs_code_works_without_trust():
    """The sample, which downloads, is refused by name; files are read all the same."""
    assert commands.COMMANDS.keys() >= commands.HARMLESS
    assert not commands.HARMLESS & {
        "createSample",
        "provisionInference",
        "deployInference",
        "deployAllTheSame",
        "bringBack",
    }
