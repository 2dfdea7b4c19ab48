"""Which folder a command of the editor is for, whether it may run there, and what the shell's settings decide."""

import json
import sys
from pathlib import Path

import pytest
from pygls.exceptions import JsonRpcException
from tests.support.language_client import editor
from tests.support.road import environment


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders; only the second has a target."""
    first, second = tmp_path / "first", tmp_path / "second å"
    for folder in (first, second):
        (folder / "infra").mkdir(parents=True)
    names = ("RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    target = dict.fromkeys(names, "some") | {"SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000"}
    target["ACA_APP_ENDPOINT"] = "http://127.0.0.1:9"
    (second / "infra/inference.config.json").write_text(json.dumps(target))
    return first, second


async def test_the_only_open_folder_is_taken(folders, tmp_path):
    """From the palette comes no folder; with one open nobody is asked."""
    first, _ = folders
    async with editor(environment(tmp_path / "cloud"), {}, set(), folders=[first]) as seen:
        with pytest.raises(JsonRpcException) as failed:
            await seen.command("copyExample", None, "c1")

    assert str(first) in failed.value.message
    assert seen.asked == []
    [button] = failed.value.data["actions"]
    assert button == {
        "title": "Provision",
        "command": "aiToolkit.provisionInference",
        "workspaceFolder": first.as_uri(),
    }


async def test_with_several_open_the_person_is_asked(folders, tmp_path):
    """The names are told apart by their paths, and the chosen one is worked on."""
    first, second = folders
    answers = {"Which folder": second.as_uri(), "In which language?": None}
    async with editor(environment(tmp_path / "cloud"), answers, set(), folders=folders) as seen:
        with pytest.raises(JsonRpcException, match="Cancelled"):
            await seen.command("copyExample", None, "c1")

    question, language = seen.asked
    assert [(one["label"], one["description"]) for one in question["items"]] == [
        ("first", str(first)),
        ("second å", str(second)),
    ]
    assert language["placeholder"] == "In which language?"


async def test_without_a_folder_the_person_is_offered_to_open_one(tmp_path):
    """An empty window says what is missing, with the button that helps."""
    async with editor(environment(tmp_path / "cloud"), {}, set()) as seen:
        with pytest.raises(JsonRpcException) as failed:
            await seen.command("deployInference", None, "d1")

    assert failed.value.message == "No folder is open. Open the folder of your fine-tuning project first."
    [button] = failed.value.data["actions"]
    assert button == {"title": "Open folder", "command": "workbench.action.files.openFolder"}


@pytest.mark.parametrize("command", ["provisionInference", "deployInference", "openEndpoint", "copyKey", "addSecret"])
async def test_a_folder_that_is_not_trusted_runs_nothing(folders, tmp_path, command):
    """The command explains, and offers to manage trust; nothing is asked and nothing is started."""
    cloud = tmp_path / "cloud"
    async with editor(environment(cloud), {}, set(), folders=folders[1:], options={"trusted": False}) as seen:
        with pytest.raises(JsonRpcException) as failed:
            await seen.command(command, None, "c1")

    assert "the folder must be trusted first" in failed.value.message
    assert [one["command"] for one in failed.value.data["actions"]] == ["workbench.trust.manage"]
    assert seen.asked == []
    assert not cloud.exists()


async def test_what_runs_nothing_from_the_folder_works_without_trust(folders, tmp_path):
    """The status, from the files alone."""
    async with editor(
        environment(tmp_path / "cloud"), {}, set(), folders=folders[1:], options={"trusted": False}
    ) as seen:
        await seen.command("showStatus", None, "s1")

    assert any("Inference: provisioned" in line for line in seen.log)


async def test_the_editors_settings_reach_what_they_are_for(folders, tmp_path):
    """The local cloud starts in the folder that the setting names, and its replicas get the interpreter."""
    home = tmp_path / "from the setting"
    settings = {"bicepCli": "", "localCloud": {"folder": f" {home} ", "replicaInterpreter": sys.executable}}
    options = {"trusted": True, "settings": settings}
    async with editor(environment(tmp_path / "other"), {}, set(), folders=folders[:1], options=options) as seen:
        await seen.command("startLocalCloud", None, "s1")
        try:
            assert (home / "address.json").is_file()
        finally:
            await seen.command("stopLocalCloud", None, "s2")

    assert not (tmp_path / "other").exists()
