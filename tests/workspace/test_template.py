"""The folders that a workspace gets: the same bytes in the wheel and in a checkout, copied beside what is there."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ai_toolkit.errors import FileMalformed, FileMissing, ToolMissing, ValueImpossible, WorkspaceError
from ai_toolkit.workspace.template import add_to_workspace, templates_folder, workspace_template
from ai_toolkit.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
SHIPPED = json.loads((ROOT / "infra/provision/inference.json").read_text())
NOT_SHIPPED = {"__pycache__", ".ruff_cache", ".mypy_cache"}


def tracked(*folders):
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for path in listed.stdout.split("\0") if path]


def shipped_files():
    found = [path for folder in ("infra", "inference") for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in found if not NOT_SHIPPED & set(path.parts)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout with a compiled leftover beside its sources, built without a network."""
    source = tmp_path_factory.mktemp("source")
    for path in [*tracked("server", "infra", "inference"), "pyproject.toml", "README.md", "LICENSE", ".gitignore"]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    for path in ("inference/__pycache__/start.pyc", "server/ai_toolkit/__pycache__/left.pyc"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(b"left over")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "out"), str(source)]
    built = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"PIP_NO_INDEX": "1"})
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = (source / "out").glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture
def workspace(tmp_path):
    provision = tmp_path / "infra" / "provision"
    provision.mkdir(parents=True)
    for name in ("inference.bicep", "inference.json"):
        shutil.copyfile(ROOT / "infra/provision" / name, provision / name)
    return Workspace(tmp_path)


@pytest.fixture
def no_bicep(tmp_path_factory, monkeypatch):
    """A person without any Bicep CLI; returns their home."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.delenv("AZURE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("AITK_BICEP", raising=False)
    return home


def install_bicep(path, body):
    """A compiler of the test's own, which knows `bicep build --stdout FILE` and nothing else."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\nimport sys\n_program, build, stdout, file = sys.argv\n{body}\n")
    path.chmod(0o755)


COMPILES = """
assert (build, stdout) == ("build", "--stdout")
print('{"parameters": {"lines": {"type": "int", "defaultValue": %d}}}' % len(open(file).readlines()))
"""


def test_wheel_holds_the_templates_byte_for_byte(wheel):
    """Whoever installs the package gets the same infra/ and inference/ as whoever clones it."""
    names = wheel.namelist()
    for path in tracked("infra", "inference"):
        assert wheel.read(f"ai_toolkit/templates/{path}") == (ROOT / path).read_bytes(), path

    inside = {name.removeprefix("ai_toolkit/templates/") for name in names if name.startswith("ai_toolkit/templates/")}
    assert inside == set(tracked("infra", "inference"))


def test_wheel_holds_the_package_and_no_leftovers(wheel):
    """Every module, nothing compiled, no test."""
    names = set(wheel.namelist())

    assert {path.removeprefix("server/") for path in tracked("server")} <= names
    assert not [name for name in names if name.endswith(".pyc") or "tests/" in name]


def test_package_from_the_wheel_finds_its_templates(wheel, tmp_path):
    """Without the checkout, an installed package adds the folders to a workspace."""
    wheel.extractall(tmp_path / "site")
    program = (
        "import sys; from pathlib import Path; from ai_toolkit.workspace.template import add_to_workspace; "
        "print(*add_to_workspace(Path(sys.argv[1])), sep='\\n')"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program, str(tmp_path / "new")]
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path)

    assert run.stdout.split() == sorted(tracked("infra", "inference"))


def test_checkout_s_own_folders_are_the_templates():
    """An editable install uses the folders of the checkout."""
    assert templates_folder() == ROOT


def test_empty_folder_gets_every_file(tmp_path):
    """A new workspace has infra/ and inference/ as they are shipped, and learns which files were added."""
    added = add_to_workspace(tmp_path / "new")

    assert set(added) == shipped_files()
    assert added == sorted(added)
    for path in added:
        assert (tmp_path / "new" / path).read_bytes() == (ROOT / path).read_bytes()


def test_existing_files_are_never_overwritten(tmp_path):
    """What the user wrote stays; only what is missing is added."""
    mine = tmp_path / "infra" / "provision" / "inference.bicep"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    added = add_to_workspace(tmp_path)

    assert mine.read_text() == "mine"
    assert set(added) == shipped_files() - {"infra/provision/inference.bicep"}


def test_second_run_adds_nothing(tmp_path):
    """Creating a project twice changes nothing."""
    add_to_workspace(tmp_path)

    assert add_to_workspace(tmp_path) == []


def test_dangling_link_is_not_written_through(tmp_path):
    """A link of the user's that leads nowhere is theirs: nothing appears where it leads."""
    place = tmp_path / "workspace" / "infra" / "provision" / "inference.bicep"
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    added = add_to_workspace(tmp_path / "workspace")

    assert "infra/provision/inference.bicep" not in added
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("path", ["infra", "infra/provision"])
def test_file_in_a_folder_s_place_is_named(tmp_path, path):
    """The person learns which path stands in the way."""
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("")

    with pytest.raises((WorkspaceError, FileExistsError), match=path):
        add_to_workspace(tmp_path)


async def test_unchanged_template_needs_no_compiler(workspace, no_bicep):
    """The compiled JSON beside the Bicep file is used while it fits."""
    assert (await workspace_template(workspace)).content == SHIPPED


async def test_unchanged_template_without_its_json_needs_no_compiler(workspace, no_bicep):
    """A workspace that has only the shipped Bicep file uses the package's compiled JSON."""
    (workspace.provision_folder / "inference.json").unlink()

    assert (await workspace_template(workspace)).content == SHIPPED


async def test_windows_line_ends_are_no_change(workspace, no_bicep):
    """A checkout that turned LF into CRLF has the same template."""
    bicep = workspace.provision_folder / "inference.bicep"
    bicep.write_bytes(bicep.read_bytes().replace(b"\n", b"\r\n"))

    assert (await workspace_template(workspace)).content == SHIPPED


async def test_template_compiled_by_the_user_is_used(workspace, no_bicep):
    """A JSON form that names the hash of the changed Bicep file counts, wherever it was compiled."""
    bicep = workspace.provision_folder / "inference.bicep"
    bicep.write_text("param mine int")
    own = {"metadata": {"sourceSha256": hashlib.sha256(b"param mine int").hexdigest()}, "parameters": {}}
    bicep.with_suffix(".json").write_text(json.dumps(own))

    assert (await workspace_template(workspace)).content == own


@pytest.mark.parametrize("place", ["bin/bicep", ".azure/bin/bicep", ".azd/bin/bicep"])
async def test_changed_template_is_compiled(workspace, no_bicep, place):
    """The Bicep CLI is found on PATH, in the Azure CLI's folder and in azd's; its output is the template."""
    install_bicep(no_bicep / place, COMPILES)
    (workspace.provision_folder / "inference.bicep").write_text("param a int\nparam b int\n")
    template = await workspace_template(workspace)

    assert template.parameters == {"lines": {"type": "int", "defaultValue": 2}}


async def test_compiler_of_a_named_azure_folder_is_found(workspace, no_bicep, monkeypatch):
    """AZURE_CONFIG_DIR moves the Azure CLI's folder."""
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(no_bicep / "moved"))
    install_bicep(no_bicep / "moved/bin/bicep", COMPILES)
    (workspace.provision_folder / "inference.bicep").write_text("")

    assert (await workspace_template(workspace)).parameters["lines"]["defaultValue"] == 0


async def test_compiler_that_the_setting_names_wins(workspace, no_bicep, monkeypatch):
    """AITK_BICEP names the program; one on PATH is not used then."""
    install_bicep(no_bicep / "bin/bicep", "sys.exit(7)")
    install_bicep(no_bicep / "mine/compiler", COMPILES)
    monkeypatch.setenv("AITK_BICEP", str(no_bicep / "mine/compiler"))
    (workspace.provision_folder / "inference.bicep").write_text("param a int\n")

    assert (await workspace_template(workspace)).parameters["lines"]["defaultValue"] == 1


async def test_same_content_has_the_same_hash(workspace, no_bicep):
    """The order of keys in the JSON form does not count: the deployment of before is found again."""
    first = await workspace_template(workspace)
    compiled = workspace.provision_folder / "inference.json"
    compiled.write_text(json.dumps(dict(reversed(SHIPPED.items()))))
    second = await workspace_template(workspace)

    assert list(second.content) != list(first.content)
    assert second.sha256 == first.sha256


async def test_missing_compiler_says_where_it_was_looked_for(workspace, no_bicep):
    """The message names the changed file, the places, and how to install it."""
    bicep = workspace.provision_folder / "inference.bicep"
    bicep.write_text("changed")

    with pytest.raises(ToolMissing) as raised:
        await workspace_template(workspace)
    for said in (str(bicep), "PATH", str(no_bicep / ".azure/bin/bicep"), str(no_bicep / ".azd/bin/bicep")):
        assert said in raised.value.message
    assert "az bicep install" in raised.value.advice
    assert "AITK_BICEP" in raised.value.advice


async def test_template_that_does_not_compile_is_said_in_the_compiler_s_words(workspace, no_bicep):
    """The first error counts, not a warning before it."""
    install_bicep(
        no_bicep / "bin/bicep",
        """
print(f"{file}(1,7) : Warning no-unused-params: Parameter a is declared but never used.", file=sys.stderr)
print(f"{file}(2,1) : Error BCP007: This declaration type is not recognized.", file=sys.stderr)
sys.exit(1)
""",
    )
    (workspace.provision_folder / "inference.bicep").write_text("changed")

    with pytest.raises(ValueImpossible, match=r"line 2, column 1: BCP007: This declaration type is not recognized\."):
        await workspace_template(workspace)


async def test_compiler_that_says_nothing_is_told_by_its_exit_code(workspace, no_bicep):
    """Even a silent failure has words."""
    install_bicep(no_bicep / "bin/bicep", "sys.exit(7)")
    (workspace.provision_folder / "inference.bicep").write_text("changed")

    with pytest.raises(ValueImpossible, match="exit code 7"):
        await workspace_template(workspace)


@pytest.mark.parametrize("output", ["", "not JSON", "[]"])
async def test_compiler_s_odd_output_is_refused(workspace, no_bicep, output):
    """What is no template is never sent to Azure."""
    install_bicep(no_bicep / "bin/bicep", f"print({output!r})")
    (workspace.provision_folder / "inference.bicep").write_text("changed")

    with pytest.raises(FileMalformed, match=r"inference\.bicep"):
        await workspace_template(workspace)


async def test_malformed_json_form_is_named(workspace, no_bicep):
    """A compiled form that was cut is said with its path."""
    (workspace.provision_folder / "inference.json").write_text('{"cut')

    with pytest.raises(FileMalformed, match=r"inference\.json.*line 1 column 2"):
        await workspace_template(workspace)


async def test_workspace_without_template_says_how_to_get_one(tmp_path):
    """No infra/ gives one sentence and the command that adds it."""
    with pytest.raises(FileMissing, match="aitk init"):
        await workspace_template(Workspace(tmp_path))
    assert list(tmp_path.iterdir()) == []
