"""A workspace that Microsoft's AI Toolkit made: recognised, offered ours, and respected when that is declined."""

import hashlib
import json

import pytest

from ai_toolkit.errors import Dismissed
from ai_toolkit.provision.installs_at_start import warning
from ai_toolkit.provision.microsoft_template import is_microsofts, offer_ours
from ai_toolkit.workspace.template import templates_folder
from ai_toolkit.workspace.workspace import Workspace

# Its parameters, as published in github.com/microsoft/windows-ai-studio-templates; the resources do not matter here.
EDITED = """param defaultCommands array
param maximumInstanceCount int
param location string = resourceGroup().location

param resourceSuffix string = substring(uniqueString(resourceGroup().id), 0, 5)
param storageAccountName string = 'aistorage${resourceSuffix}'
param fileShareName string = 'aifileshare${resourceSuffix}'
param acaEnvironmentName string = 'aienv${resourceSuffix}'
param acaEnvironmentStorageName string = 'aienvstorage${resourceSuffix}'
param acaAppName string = 'aiacaapp${resourceSuffix}'
param acaLogAnalyticsName string = 'ailog${resourceSuffix}'
// edited by the user
"""
COMMANDS = ["cd /mount/inference", "pip install -r requirements.txt", "python3 gradio_chat.py"]


class Person:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.said = []

    async def pick(self, question):
        self.asked.append(question)
        return self.answers.pop(0)

    def announce(self, message, _tone=None):
        self.said.append(message)


@pytest.fixture
def workspace(tmp_path):
    """As Microsoft's AI Toolkit leaves it: no JSON form, no settings, a chat page of its own."""
    provision, inference = tmp_path / "infra/provision", tmp_path / "inference"
    provision.mkdir(parents=True)
    inference.mkdir()
    (provision / "inference.bicep").write_text(EDITED)
    parameters = {"defaultCommands": {"value": COMMANDS}, "fileShareName": {"value": "theirs"}}
    (provision / "inference.parameters.json").write_text(json.dumps({"parameters": parameters}))
    (inference / "gradio_chat.py").write_text("# theirs")
    (inference / "data.txt").write_text("mine")
    return Workspace(tmp_path)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_edited_template_is_recognised_by_its_parameters_and_ours_is_not():
    """With either line end; ours has parameters that theirs lacks."""
    own = (templates_folder() / "infra/provision/inference.bicep").read_bytes()

    assert is_microsofts(EDITED.encode())
    assert is_microsofts(EDITED.replace("\n", "\r\n").encode())
    assert not is_microsofts(own)
    assert not is_microsofts(b"param location string\n")


def test_a_published_template_is_recognised_by_its_sha256():
    """Whatever it holds: the hash alone is enough, with either line end."""
    published = b"// what Microsoft published\n"
    known = {hashlib.sha256(published).hexdigest()}

    assert not is_microsofts(published)
    assert is_microsofts(published.replace(b"\n", b"\r\n"), known)


async def test_accepted_ours_is_put_in_place_and_the_old_files_are_kept_beside(workspace):
    """Their values stay, but for the commands that would start their app."""
    before = content(workspace.folder)
    person = Person("ours")
    await offer_ours(workspace, person, ask=True)
    after = content(workspace.folder)
    parameters = workspace.parameters()

    assert after["infra/provision/inference.microsoft.bicep"] == before["infra/provision/inference.bicep"]
    assert after["inference/gradio_chat.microsoft.py"] == b"# theirs"
    assert (
        after["infra/provision/inference.parameters.microsoft.json"]
        == before["infra/provision/inference.parameters.json"]
    )
    assert after["inference/data.txt"] == b"mine"
    assert not is_microsofts(after["infra/provision/inference.bicep"])
    assert after["inference/start.py"] == (templates_folder() / "inference/start.py").read_bytes()
    assert parameters.values["fileShareName"] == "theirs"
    assert parameters.values["defaultCommands"][-1] == "python3 start.py"
    assert "inference.microsoft.bicep" in person.said[-1]


async def test_declined_everything_stays(workspace):
    """Not one byte is touched."""
    before = content(workspace.folder)
    await offer_ours(workspace, Person("theirs"), ask=True)

    assert content(workspace.folder) == before


async def test_cancelled_everything_stays(workspace):
    """Dismissed, which says so."""
    before = content(workspace.folder)
    with pytest.raises(Dismissed):
        await offer_ours(workspace, Person("cancel"), ask=True)

    assert content(workspace.folder) == before


async def test_a_preview_asks_nothing(workspace):
    """It says what it found, and changes nothing."""
    before = content(workspace.folder)
    person = Person()
    await offer_ours(workspace, person, ask=False)

    assert content(workspace.folder) == before
    assert "Microsoft's template" in person.said[0]


async def test_a_workspace_of_ours_is_not_asked_about(tmp_path):
    """Nor is one without a template."""
    await offer_ours(Workspace(tmp_path), Person(), ask=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", ["theirs", "ours", None])
async def test_what_its_commands_will_meet_is_told_before_anything_is_sent(workspace, answer):
    """Azure's GPU replicas are not root: a warning with the question and with a preview, never a refusal."""
    person = Person(*([answer] if answer else []))
    await offer_ours(workspace, person, ask=answer is not None)

    assert "install packages when a replica starts" in person.said[0]
    assert "not root" in person.said[0]
    assert (workspace.provision_folder / "inference.bicep").read_text() == EDITED or answer == "ours"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("pip install -r requirements.txt", True),
        ("cd /mount; pip install huggingface-hub==0.22.2; python3 app.py", True),
        ("python3 -m pip install --upgrade peft", True),
        ("apt-get update && apt-get -y install git", True),
        ("conda install -y git", True),
        ("pip install --target /tmp/packages peft", False),
        ("python3 -m venv /tmp/v && /tmp/v/bin/pip install peft", False),
        ("python3 start.py", False),
        ("echo installing", False),
    ],
)
def test_commands_that_install_into_the_image_are_told(command, found):
    """Whoever writes such commands is warned, whatever the template; what may be written elsewhere is fine."""
    assert bool(warning(["cd /mount/inference", command])) is found
