"""The packed extension: what is in it, and that what was generated fits its sources."""

import importlib.util
import json
import re
import tomllib
import zipfile

import pytest
from tests.support.packing import EXTENSION, ROOT, packed_extension

from ai_toolkit.command_titles import Title
from ai_toolkit.editor.protocol import COMMANDS

MOST_BYTES = 5_000_000
CONTENT = {
    "[Content_Types].xml",
    "extension.vsixmanifest",
    "extension/LICENSE.txt",
    "extension/readme.md",
    "extension/package.json",
    "extension/package.nls.json",
    "extension/dist/extension.js",
    "extension/images/icon.png",
    "extension/l10n/bundle.l10n.json",
    "extension/python/make_environment.py",
    "extension/schemas/evaluation.case.schema.json",
    "extension/schemas/finetuning.config.schema.json",
    "extension/schemas/finetuning.parameters.schema.json",
    "extension/schemas/inference.config.schema.json",
    "extension/schemas/inference.parameters.schema.json",
    "extension/server/ai_toolkit_server-0.2.0-py3-none-any.whl",
    "extension/server/key",
    "extension/server/requirements.txt",
    "extension/walkthrough/chat.md",
    "extension/walkthrough/deploy.md",
    "extension/walkthrough/project.md",
    "extension/walkthrough/provision.md",
}


@pytest.fixture(scope="session")
def vsix():
    """The extension, packed anew."""
    return packed_extension()


def test_it_holds_what_it_should_and_is_small(vsix):
    """Every file by name: no source, no test, no picture that nobody needs; under 5 MB."""
    with zipfile.ZipFile(vsix) as packed:
        names = set(packed.namelist())

    assert names == CONTENT
    assert vsix.stat().st_size < MOST_BYTES


def test_the_wheel_in_it_has_the_templates(vsix):
    """One file carries the server, its templates and the sample adapter."""
    with zipfile.ZipFile(vsix) as packed, packed.open(next(n for n in CONTENT if n.endswith(".whl"))) as wheel:
        names = zipfile.ZipFile(wheel).namelist()

    assert "ai_toolkit/editor/main.py" in names
    assert "ai_toolkit/templates/infra/provision/inference.bicep" in names
    assert "ai_toolkit/templates/inference/start.py" in names


def test_every_package_of_the_server_is_pinned_with_hashes_and_no_address():
    """The lock covers what pyproject.toml names, and says nothing of where packages come from."""
    lock = (EXTENSION / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==[^\n]+((?:\n    --hash=sha256:\w{64}.*)+)", lock, re.MULTILINE))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    assert {re.match(r"[\w-]+", one)[0] for one in wanted} <= set(pinned)
    assert len(pinned) == len(re.findall(r"^[\w-]+==", lock, re.MULTILINE))
    assert "://" not in lock


def test_the_schemas_are_what_the_template_and_the_rules_say():
    """Generated files are committed as generated."""
    specification = importlib.util.spec_from_file_location("generate_schemas", EXTENSION / "generate_schemas.py")
    generator = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generator)

    assert {path.name: path.read_text() for path in (EXTENSION / "schemas").iterdir()} == generator.schemas()


def test_every_command_of_the_server_is_in_the_palette_under_our_category():
    """The shell's ids are the server's, and the category is the documented one."""
    manifest = json.loads((EXTENSION / "package.json").read_text())
    commands = {one["command"]: one["category"] for one in manifest["contributes"]["commands"]}

    assert set(commands) == {f"aiToolkit.{name}" for name in COMMANDS} | {"aiToolkit.restartServer"}
    assert set(commands.values()) == {"AI Toolkit"}
    hidden = manifest["contributes"].get("menus", {}).get("commandPalette", [])
    assert not {"aiToolkit.provisionInference", "aiToolkit.deployInference"} & {one["command"] for one in hidden}


def test_every_setting_has_a_default_and_a_description():
    """And none of them can be decided by a workspace that is not trusted."""
    manifest = json.loads((EXTENSION / "package.json").read_text())
    settings = manifest["contributes"]["configuration"]["properties"]
    restricted = manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]

    assert all("default" in one and one["markdownDescription"] for one in settings.values())
    assert all(one["scope"] in {"machine", "machine-overridable"} for one in settings.values())
    assert set(settings) == set(restricted)


def test_the_palette_and_the_server_call_a_command_the_same():
    """A button, an advice and the palette's entry have one title."""
    words = json.loads((EXTENSION / "package.nls.json").read_text())

    palette = {text for key, text in words.items() if key.startswith("command.")}

    assert set(Title) <= palette
