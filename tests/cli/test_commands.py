"""`aitk` as a shell sees it: what it prints where, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, validate
from tests.support.terminal import Terminal

from ai_toolkit.cli.commands import main
from ai_toolkit.cli.dialogs import MACHINES
from ai_toolkit.cli.result_schemas import SCHEMAS, schema

ROOT = Path(__file__).parents[2]
AITK = [sys.executable, "-m", "ai_toolkit.cli.commands"]
LIMIT_SECONDS = 30
AZURE_TARGET = {
    "SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "RESOURCE_GROUP_NAME": "group",
    "STORAGE_ACCOUNT_NAME": "account",
    "FILE_SHARE_NAME": "share",
    "ACA_APP_NAME": "app",
    "ACA_APP_ENDPOINT": "app.example.net",
}


@pytest.fixture
def environment(tmp_path):
    """No local cloud but the test's own, which is never started here."""
    own = {name: value for name, value in os.environ.items() if name not in MACHINES}
    return own | {"AITK_LOCAL_CLOUD_HOME": str(tmp_path / "local-cloud")}


@pytest.fixture
def aitk(tmp_path, environment):
    """Runs a command in an empty folder, without a terminal."""
    (tmp_path / "here").mkdir()

    def run(*arguments):
        return subprocess.run(
            [*AITK, *arguments],
            cwd=tmp_path / "here",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def workspace(tmp_path):
    """A workspace as `aitk init` makes it."""
    folder = tmp_path / "workspace"
    shutil.copytree(ROOT / "infra", folder / "infra")
    (folder / "inference").mkdir()
    return folder


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def error_of(run):
    [line] = run.stdout.splitlines()
    return json.loads(line)["error"]


def test_init_adds_the_folders_and_ends_with_0(aitk, tmp_path):
    """A done command tells what it did."""
    run = aitk("init", "new", "--json")

    assert run.returncode == 0
    done = json.loads(run.stdout)
    assert done["directory"] == str(tmp_path / "here" / "new")
    assert "infra/provision/inference.bicep" in done["added"]
    assert (tmp_path / "here" / "new" / "infra/provision/inference.bicep").is_file()


def test_a_name_that_the_output_has_no_letters_for_is_escaped(aitk, environment, tmp_path):
    """In the locale C, as with a code page of Windows: what was done is told, and not called unforeseen."""
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = aitk("init", "Modéll 模型")

    assert done.returncode == 0, done.stderr
    assert "files added" in done.stdout
    assert done.stdout.isascii()
    assert (tmp_path / "here/Modéll 模型/infra").is_dir()


def test_json_is_the_only_thing_on_stdout(aitk):
    """A program can read it without looking for it."""
    run = aitk("init", "--json")

    assert set(json.loads(run.stdout)) == {"added", "changedByYou", "directory", "updated"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["deploy", "--no-such-option"],
        ["chat"],
        ["local-cloud", "explode"],
        ["provision", "--local", "--subscription", AZURE_TARGET["SUBSCRIPTION_ID"]],
    ],
)
def test_wrong_command_line_ends_with_2(aitk, arguments):
    """The usage goes to stderr, nothing to stdout."""
    run = aitk(*arguments)

    assert (run.returncode, run.stdout) == (2, "")
    assert "Usage:" in run.stderr


@pytest.mark.parametrize("command", ["deploy", "provision", "status", "chat", "key", "link"])
def test_every_command_takes_workspace_and_json(aitk, command):
    """Both options are listed after the command's name."""
    run = aitk(command, "--help")

    assert run.returncode == 0
    assert "--workspace" in run.stdout
    assert "--json" in run.stdout


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["provision", "--local"], "aitk init"),
        (["provision"], "aitk init"),
        (["deploy"], "aitk provision"),
        (["chat", "Hello"], "aitk provision"),
        (["key"], "aitk provision"),
        (["link"], "aitk provision"),
    ],
)
def test_folder_without_infra_gets_one_sentence_and_stays_as_it_is(aitk, tmp_path, command, advice):
    """What is missing and which command adds it; nothing is written, nothing started."""
    run = aitk(*command)

    assert (run.returncode, run.stdout) == (1, "")
    first, *rest = run.stderr.strip().splitlines()
    assert first.endswith("does not exist.")
    assert advice in " ".join(rest)
    assert list((tmp_path / "here").iterdir()) == []
    assert not (tmp_path / "local-cloud").exists()


def test_error_is_one_json_object(aitk, tmp_path):
    """Code, message and advice, for programs; no traceback anywhere."""
    run = aitk("deploy", "--json")

    assert run.returncode == 1
    error = error_of(run)
    assert set(error) == {"code", "message", "advice", "details"}
    assert error["code"] == "file_missing"
    assert str(tmp_path / "here" / "infra" / "inference.config.json") in error["message"]
    assert "Traceback" not in run.stderr


def test_malformed_file_is_said_with_its_place_and_changes_nothing(aitk, workspace, tmp_path):
    """File, line and column, before anything is asked or started."""
    (workspace / "infra" / "inference.config.json").write_text('{\n "ACA_APP_NAME": }')
    before = content(workspace)
    run = aitk("provision", "--local", "--workspace", str(workspace), "--json")

    assert run.returncode == 1
    assert "inference.config.json, line 2, column 18" in error_of(run)["message"]
    assert content(workspace) == before
    assert not (tmp_path / "local-cloud").exists()


def test_impossible_name_is_said_before_anything_is_made(aitk, workspace, tmp_path):
    """The parameter is named, and no cloud hears of it."""
    parameters = workspace / "infra" / "provision" / "inference.parameters.json"
    parameters.write_text(json.dumps({"parameters": {"acaAppName": {"value": "My_App"}}}))
    run = aitk("provision", "--local", "--yes", "--workspace", str(workspace), "--json")

    assert run.returncode == 1
    assert error_of(run)["code"] == "value_impossible"
    assert "acaAppName" in error_of(run)["message"]
    assert not (tmp_path / "local-cloud").exists()


def test_question_without_a_terminal_is_a_usage_error(aitk, workspace):
    """Nobody can be asked, so the message names the options that answer."""
    before = content(workspace)
    run = aitk("provision", "--workspace", str(workspace), "--json")

    assert run.returncode == 2
    assert error_of(run)["code"] == "usage"
    assert "--local or --subscription" in error_of(run)["advice"]
    assert content(workspace) == before


def test_status_of_an_empty_folder_is_no_error(aitk):
    """Nothing is provisioned, which is an answer."""
    run = aitk("status", "--json")

    assert run.returncode == 0
    assert json.loads(run.stdout) == {
        "provisioned": False,
        "local": False,
        "endpoint": None,
        "ready": False,
        "live": None,
    }


def test_status_and_chat_report_a_stopped_local_cloud(aitk, workspace, tmp_path):
    """Both look without starting anything."""
    local = AZURE_TARGET | {
        "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
        "ACA_APP_ENDPOINT": "http://127.0.0.1:9",
    }
    (workspace / "infra" / "inference.config.json").write_text(json.dumps(local))
    status = aitk("status", "--workspace", str(workspace), "--json")
    chat = aitk("chat", "Hello", "--workspace", str(workspace), "--json")

    assert status.returncode == 0
    assert json.loads(status.stdout) == {
        "provisioned": True,
        "local": True,
        "endpoint": "http://127.0.0.1:9",
        "ready": False,
        "live": None,
    }
    assert chat.returncode == 1
    assert "stopped" in error_of(chat)["message"]
    assert aitk("local-cloud", "status", "--json").stdout.startswith('{"running": false')


def test_local_cloud_status_names_its_files(aitk, tmp_path):
    """Also while it does not run, a program learns where it would be."""
    run = aitk("local-cloud", "status", "--json")

    assert json.loads(run.stdout) == {
        "running": False,
        "resourceManager": None,
        "files": None,
        "home": str(tmp_path / "local-cloud"),
        "tokenFile": str(tmp_path / "local-cloud" / "token"),
        "apps": [],
    }


def test_partial_target_names_what_is_missing(aitk, workspace):
    """Deploy needs each of the six names."""
    target = {key: value for key, value in AZURE_TARGET.items() if key != "FILE_SHARE_NAME"}
    (workspace / "infra" / "inference.config.json").write_text(json.dumps(target))
    run = aitk("deploy", "--workspace", str(workspace))

    assert run.returncode == 1
    assert "FILE_SHARE_NAME: missing" in run.stderr


@pytest.fixture
def question(workspace, environment):
    """`aitk provision` at a terminal, which asks where the model should run."""
    command = [*AITK, "provision", "--workspace", str(workspace)]
    terminal = Terminal(command, environment, workspace)
    terminal.wait_for("Number: ")
    yield terminal
    terminal.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_question_ends_with_130(question, number):
    """At once, without Enter, and with the word that nothing was changed."""
    question.interrupt(number)

    assert question.end() == 130
    assert "Cancelled: nothing was changed." in question.shown


def test_closed_terminal_ends_a_question_with_130(question):
    """End of input is no answer."""
    question.type("\x04")

    assert question.end() == 130
    assert "Cancelled" in question.shown


def test_question_is_asked_again_until_it_is_answered(question):
    """A number that is not offered is no answer, and the lines say what is."""
    assert "1. This computer (local cloud, no Azure subscription needed)" in question.shown
    question.type("7\r")
    question.wait_for("7 is not in the range")
    question.interrupt()

    assert question.end() == 130


@pytest.mark.parametrize("variable", ["CI", "CLAUDECODE"])
def test_machine_is_asked_nothing_at_a_terminal(workspace, environment, variable):
    """A question that a CI or an agent would have to answer ends the command at once, and names the option."""
    command = [*AITK, "provision", "--workspace", str(workspace)]
    terminal = Terminal(command, environment | {variable: "true"}, workspace)

    assert terminal.end() == 2
    assert "Number:" not in terminal.shown
    assert f"({variable} is set)" in terminal.shown
    assert "Answer with --local or --subscription." in terminal.shown
    terminal.close()


def test_variable_that_says_no_is_no_machine(workspace, environment):
    """CI=false is how a person asks for questions."""
    terminal = Terminal([*AITK, "provision", "--workspace", str(workspace)], environment | {"CI": "false"}, workspace)
    terminal.wait_for("Number: ")
    terminal.close()


def test_schemas_are_published(aitk):
    """One by its command, or all; each is a JSON schema."""
    everything = json.loads(aitk("schema").stdout)

    assert set(everything) == set(SCHEMAS)
    for one in everything.values():
        Draft202012Validator.check_schema(one)
    assert json.loads(aitk("schema", "deploy").stdout) == everything["deploy"]


def test_every_command_with_json_has_a_schema():
    """A new command's result is published with it."""
    with_json = {name for name, one in main.commands.items() if any(each.name == "as_json" for each in one.params)}

    assert set(SCHEMAS) - {"error"} == with_json


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("init", ["init"]),
        ("status", ["status"]),
        ("models", ["models"]),
        ("local-cloud", ["local-cloud", "status"]),
        ("error", ["deploy"]),
        ("error", ["key"]),
    ],
)
def test_json_fits_its_schema(aitk, name, arguments):
    """Results and errors."""
    validate(json.loads(aitk(*arguments, "--json").stdout), schema(name))


def test_command_interrupted_on_its_way_ends_with_130(environment, workspace, tmp_path):
    """The work is cancelled and cleans up; the words do not claim that nothing was done."""
    bicep = tmp_path / "bin" / "bicep"
    bicep.parent.mkdir()
    os.mkfifo(tmp_path / "pipe")
    bicep.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pipe\nexec sleep 600\n")
    bicep.chmod(0o755)
    (workspace / "infra/provision/inference.bicep").write_text("changed")
    command = [*AITK, "provision", "--local", "--workspace", str(workspace), "--json"]
    path = f"{bicep.parent}:{environment['PATH']}"
    with subprocess.Popen(command, env=environment | {"PATH": path}, stdout=subprocess.PIPE, text=True) as process:
        compiler = int((tmp_path / "pipe").read_text())  # it compiles now, and would for ten minutes
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=LIMIT_SECONDS)

    assert process.returncode == 130
    error = json.loads(printed)["error"]
    assert error["code"] == "cancelled"
    assert "nothing was changed" not in error["message"]
    with pytest.raises(ProcessLookupError):
        os.kill(compiler, 0)
