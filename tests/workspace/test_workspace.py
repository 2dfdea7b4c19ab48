"""The files of a workspace: what is read, what is refused in words, and that a write is whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from ai_toolkit.errors import FileMalformed, FileMissing, ValueImpossible, WorkspaceError
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Target, Workspace, write_atomically

KEYS = [
    "SUBSCRIPTION_ID",
    "RESOURCE_GROUP_NAME",
    "STORAGE_ACCOUNT_NAME",
    "FILE_SHARE_NAME",
    "ACA_APP_NAME",
    "ACA_APP_ENDPOINT",
]
TARGET = Target("11111111-2222-3333-4444-555555555555", "group", "account", "share", "app", "https://app.example.net")
DOCUMENT = dict(zip(KEYS, astuple(TARGET), strict=True))


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "infra" / "provision").mkdir(parents=True)
    return Workspace(tmp_path)


def put(workspace, document):
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    workspace.target_path.write_bytes(text.encode() if isinstance(text, str) else text)


def put_parameters(path, **values):
    path.write_text(json.dumps({"parameters": {name: {"value": value} for name, value in values.items()}}))


def test_target_is_written_with_the_six_documented_keys(workspace):
    """Documents and other programs read exactly these names."""
    workspace.write_target(TARGET)

    assert json.loads(workspace.target_path.read_text()) == DOCUMENT


def test_written_target_is_read_back(workspace):
    """What Provision writes is what Deploy reads."""
    workspace.write_target(TARGET)

    assert workspace.target() == TARGET


def test_hand_written_file_is_a_target(workspace):
    """Deploy needs no Provision: a person may write the six names."""
    put(workspace, DOCUMENT)

    assert workspace.target() == TARGET


def test_unknown_keys_survive_a_write(workspace):
    """Keys of other tools, and their order before ours, stay in the file."""
    put(workspace, {"MINE": {"nested": [1, None]}, "ACA_APP_NAME": "old"})
    workspace.write_target(TARGET)

    written = json.loads(workspace.target_path.read_text())
    assert written == {"MINE": {"nested": [1, None]}, **DOCUMENT}
    assert next(iter(written)) == "MINE"


def test_write_makes_the_folder(tmp_path):
    """A workspace without `infra/` gets it with its first target."""
    Workspace(tmp_path / "new").write_target(TARGET)

    assert Workspace(tmp_path / "new").target() == TARGET


def test_malformed_file_is_not_overwritten(workspace):
    """A file that cannot be read holds the user's work: a write refuses instead of replacing it."""
    put(workspace, "{broken")

    with pytest.raises(FileMalformed):
        workspace.write_target(TARGET)
    assert workspace.target_path.read_text() == "{broken"


def test_failed_write_leaves_the_old_file_and_nothing_else(workspace):
    """A text that cannot be encoded fails in the middle: the old content stays, no temporary file is left."""
    put(workspace, DOCUMENT)

    with pytest.raises(UnicodeEncodeError):
        write_atomically(workspace.target_path, "x" * 100_000 + "\ud800")
    assert json.loads(workspace.target_path.read_text()) == DOCUMENT
    assert [path.name for path in workspace.target_path.parent.iterdir() if path.is_file()] == [
        workspace.target_path.name
    ]


WRITES_FOR_EVER = """
import sys
from pathlib import Path
from ai_toolkit.workspace.workspace import write_atomically

texts = [letter * 300_000 + "\\n" for letter in "ab"]
print("started", flush=True)
while True:
    for text in texts:
        write_atomically(Path(sys.argv[1]), text)
        print("w", end="", flush=True)
"""


@pytest.mark.parametrize("writes", [1, 2, 5, 9])
def test_killed_write_leaves_the_old_file_or_the_new(workspace, writes):
    """A process that is killed while it writes never leaves a part of a file."""
    path = workspace.target_path
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.stdout.read(writes)  # it is now on its way with a later one
        process.send_signal(signal.SIGKILL)

    content = path.read_text()
    assert content in {"a" * 300_000 + "\n", "b" * 300_000 + "\n"}


STOPS_BEFORE_THE_RENAME = """
import os, signal, sys
from pathlib import Path
from ai_toolkit.workspace.workspace import write_atomically

def kill_when_written(event, arguments):
    if event == "os.rename":
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill_when_written)
write_atomically(Path(sys.argv[1]), "new")
"""


def test_write_killed_just_before_its_last_step_changes_nothing(workspace):
    """Everything is on disk but the rename: the old file is still the file."""
    put(workspace, DOCUMENT)
    command = [sys.executable, "-c", STOPS_BEFORE_THE_RENAME, str(workspace.target_path)]
    killed = subprocess.run(command, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert workspace.target() == TARGET


def test_file_is_readable_for_others(workspace):
    """A temporary file's mode 0600 does not stay on the file that a team shares."""
    workspace.write_target(TARGET)

    assert workspace.target_path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("app.kindhill.westus3.azurecontainerapps.io", "https://app.kindhill.westus3.azurecontainerapps.io"),
        ("app.example.net/", "https://app.example.net"),
        ("localhost:7860", "https://localhost:7860"),
        ("http://127.0.0.1:40123", "http://127.0.0.1:40123"),
        ("https://app.example.net/", "https://app.example.net"),
        ("HTTPS://App.example.net", "https://app.example.net"),
        ("https://app.example.net:443", "https://app.example.net"),
        ("http://app.example.net:80/", "http://app.example.net"),
        ("app.example.net.", "https://app.example.net"),
        ("https://app.example.net/v1/", "https://app.example.net"),
        (" https://app.example.net:8443 ", "https://app.example.net:8443"),
        ("http://[::1]:7860", "http://[::1]:7860"),
    ],
)
def test_endpoint_is_read_as_a_full_url(workspace, written, read):
    """A bare host means https, and the URL has no trailing slash."""
    put(workspace, DOCUMENT | {"ACA_APP_ENDPOINT": written})

    assert workspace.target().endpoint == read


def test_names_that_azure_writes_in_lower_case_are_read_so(workspace):
    """Accounts, shares and ids are the same in any case, and asked for in one."""
    shouted = {key: DOCUMENT[key].upper() for key in ("SUBSCRIPTION_ID", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME")}
    put(workspace, DOCUMENT | shouted)

    assert workspace.target() == TARGET


@pytest.mark.parametrize(
    "written", ["Research", "11111111-2222", "/subscriptions/11111111-2222-3333-4444-555555555555"]
)
def test_a_subscription_that_is_no_id_is_said(workspace, written):
    """Every request names it: where its id is to be had, before the first."""
    put(workspace, DOCUMENT | {"SUBSCRIPTION_ID": written})

    with pytest.raises(ValueImpossible, match="SUBSCRIPTION_ID") as raised:
        workspace.target()
    assert "az account list" in raised.value.message


@pytest.mark.parametrize(
    "written",
    [
        "ftp://app.example.net",
        "https://",
        "not a host",
        "https://[broken",
        "https://app:port",
        "https://proxy.example.net/model/",
    ],
)
def test_impossible_endpoint_is_named(workspace, written):
    """What cannot be an endpoint is said with its key and value, before anything is asked of it."""
    put(workspace, DOCUMENT | {"ACA_APP_ENDPOINT": written})

    with pytest.raises(ValueImpossible, match="ACA_APP_ENDPOINT") as raised:
        workspace.target()
    assert written in raised.value.message


@pytest.mark.parametrize(
    "written",
    [
        "https://app.example.net/#aitk=1.s3cr3t",
        "https://app.example.net/?key=s3cr3t",
        "https://me:s3cr3t@app.example.net",
        "https://:s3cr3t@app.example.net",
        "me:s3cr3t@app.example.net",
        "https://app.example.net/?a=1\ns3cr3t",
    ],
)
def test_secret_in_an_endpoint_is_refused_and_not_shown(workspace, written):
    """A link that signs in, a password: the host is named, and nothing of the secret."""
    put(workspace, DOCUMENT | {"ACA_APP_ENDPOINT": written})

    with pytest.raises(ValueImpossible, match=r"app\.example\.net") as raised:
        workspace.target()
    assert "s3cr3t" not in raised.value.message


def test_file_with_a_byte_order_mark_is_read(workspace):
    """Editors on Windows put one at the front."""
    put(workspace, b"\xef\xbb\xbf" + json.dumps(DOCUMENT).encode())

    assert workspace.target() == TARGET


def test_malformed_json_is_said_with_line_and_column(workspace):
    """The message leads to the place, counted from 1."""
    put(workspace, '{\n  "ACA_APP_NAME": "app"\n  "FILE_SHARE_NAME": "share"\n}')

    with pytest.raises(FileMalformed) as raised:
        workspace.target()
    assert f"{workspace.target_path}, line 3, column 3" in raised.value.message


@pytest.mark.parametrize("content", ["", "[]", "null", '"text"', b"\xff\xfe{"])
def test_file_that_is_no_json_object_is_malformed(workspace, content):
    """Another kind of content is refused with the file's name, never with a traceback."""
    put(workspace, content)

    with pytest.raises(FileMalformed, match=r"inference\.config\.json"):
        workspace.target()


@pytest.mark.parametrize("gone", [None, ""])
def test_missing_names_are_all_listed(workspace, gone):
    """A null or empty name counts as missing, and all missing ones are said at once."""
    document = DOCUMENT | {"FILE_SHARE_NAME": gone}
    del document["ACA_APP_NAME"]
    put(workspace, document)

    with pytest.raises(ValueImpossible, match="FILE_SHARE_NAME, ACA_APP_NAME: missing"):
        workspace.target()


def test_name_that_is_no_string_is_named(workspace):
    """A number where a name belongs is said with its key."""
    put(workspace, DOCUMENT | {"FILE_SHARE_NAME": 5})

    with pytest.raises(ValueImpossible, match="FILE_SHARE_NAME: a string is expected"):
        workspace.target()


@pytest.mark.parametrize("document", [{}, dict.fromkeys(KEYS), {"OTHER": "x"}])
def test_nulls_mean_not_provisioned(workspace, document):
    """A file without values is a workspace that was not provisioned yet; the message says how to go on."""
    put(workspace, document)

    assert workspace.target_or_none() is None
    with pytest.raises(ValueImpossible, match="nothing is provisioned yet") as raised:
        workspace.target()
    assert "aitk provision" in raised.value.message


def test_no_file_means_not_provisioned(workspace):
    """Without the file there is no target, and Deploy says to provision first."""
    assert workspace.target_or_none() is None
    with pytest.raises(FileMissing, match="aitk provision"):
        workspace.target()


def test_partly_written_target_is_an_error_even_for_a_look(workspace):
    """Half a target is a mistake to correct, not a workspace that was never provisioned."""
    put(workspace, {"ACA_APP_NAME": "app"})

    with pytest.raises(ValueImpossible):
        workspace.target_or_none()


def test_local_target_is_known_by_its_subscription():
    """This computer is the subscription of zeros."""
    assert replace(TARGET, subscription=LOCAL_SUBSCRIPTION).local
    assert not TARGET.local


@pytest.mark.parametrize("folder", ["infra/provision", "infra"])
def test_parameters_are_read_at_both_documented_paths(workspace, folder):
    """Users' documents name both places."""
    path = workspace.folder / folder / "inference.parameters.json"
    put_parameters(path, acaAppName="mine", location=None)
    given = workspace.parameters()

    assert given.values == {"acaAppName": "mine"}
    assert given.path == path
    assert given.warnings == ()


def test_second_parameters_file_is_warned_about(workspace):
    """With both files the one beside the template counts, and the other is named."""
    other = workspace.folder / "infra" / "inference.parameters.json"
    put_parameters(workspace.provision_folder / other.name, acaAppName="counts")
    put_parameters(other, acaAppName="ignored")
    given = workspace.parameters()

    assert given.values == {"acaAppName": "counts"}
    [warning] = given.warnings
    assert warning.startswith(str(other))


def test_missing_parameters_say_how_to_get_them(workspace):
    """A workspace without the file gets the command that adds it."""
    with pytest.raises(FileMissing, match="aitk init"):
        workspace.parameters()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, "parameters"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"acaAppName": "bare"}}, "acaAppName"),
        ({"parameters": {"acaAppName": {"reference": {}}}}, "acaAppName"),
    ],
)
def test_parameters_of_another_form_are_named(workspace, document, named):
    """A value that is not written as Azure wants it is said with its name."""
    (workspace.provision_folder / "inference.parameters.json").write_text(json.dumps(document))

    with pytest.raises(ValueImpossible, match=f"{named}: "):
        workspace.parameters()


def test_names_of_fine_tuning_are_read_where_given(workspace):
    """Only names that are strings become defaults; the rest of the file is not ours."""
    path = workspace.folder / "infra" / "finetuning.config.json"
    path.write_text(json.dumps(DOCUMENT | {"STORAGE_ACCOUNT_NAME": None, "COMMANDS": ["x"]}))

    assert workspace.finetuning() == {
        key: DOCUMENT[key] for key in ("SUBSCRIPTION_ID", "RESOURCE_GROUP_NAME", "FILE_SHARE_NAME")
    }


def test_no_fine_tuning_gives_no_names(workspace):
    """A workspace that was never fine-tuned has no defaults from it."""
    assert workspace.finetuning() == {}


def test_unreadable_path_names_the_file(workspace):
    """A folder in the file's place is an error with its name."""
    workspace.target_path.mkdir()

    with pytest.raises(OSError, match=r"inference\.config\.json") as raised:
        workspace.target()
    assert raised.value.filename == os.fspath(workspace.target_path)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_made(tmp_path):
    """By its path; one that can be is left as it was."""
    (tmp_path / "infra").mkdir()
    Workspace(tmp_path).raise_if_read_only()
    (tmp_path / "file").write_text("")

    with pytest.raises(WorkspaceError, match="infra cannot be written"):
        Workspace(tmp_path / "file").raise_if_read_only()
    with pytest.raises(WorkspaceError, match="infra cannot be written"):
        Workspace(Path("/proc/self")).raise_if_read_only()
    assert list((tmp_path / "infra").iterdir()) == []
