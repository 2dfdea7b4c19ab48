"""The Bicep CLI, played by a program that prints what the real one was seen to print, and what is made of it."""

import json
import sys

import pytest
from tests.support.local_cloud.engine import cases, folder, needs_engine

from ai_toolkit.errors import FileMalformed, ToolMissing, ValueImpossible
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.bicep import compile_bicep
from ai_toolkit.workspace.diagnostics import diagnose
from ai_toolkit.workspace.given_parameters import given_parameters
from ai_toolkit.workspace.template import add_to_workspace, workspace_template
from ai_toolkit.workspace.workspace import KeyVaultReference, Workspace

PROGRAM = """#!{python}
import json, os, pathlib, sys
told = json.loads(pathlib.Path(__file__).with_name("told.json").read_text())
pathlib.Path(__file__).with_name("asked.json").write_text(json.dumps([sys.argv[1:], os.getcwd()]))
if told["needs_languages"] and os.environ.get("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT") != "1":
    sys.stderr.write("Process terminated. Couldn't find a valid ICU package installed on the system.\\n")
    sys.exit(134)
sys.stdout.write(told["output"])
sys.stderr.write(told["errors"])
sys.exit(told["code"])
"""


@pytest.fixture
def workspace(tmp_path):
    add_to_workspace(tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def bicepparam(workspace):
    """A parameters file of the user's, beside the template."""
    path = workspace.provision_folder / "inference.bicepparam"
    path.write_text("using 'inference.bicep'\n\nparam maximumInstanceCount = 2\n  param image = 'x'\n")
    return path


@pytest.fixture
def bicep(tmp_path, monkeypatch):
    """Says what the CLI prints; the function that it gives tells how it was asked."""
    program = tmp_path / "cli" / "bicep"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("AITK_BICEP", str(program))
    monkeypatch.delenv("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", raising=False)

    def tell(output="", errors="", code=0, *, needs_languages=False):
        told = {"output": output, "errors": errors, "code": code, "needs_languages": needs_languages}
        program.with_name("told.json").write_text(json.dumps(told))
        return lambda: json.loads(program.with_name("asked.json").read_text())

    return tell


def answer(parameters, template=None):
    """What `bicep build-params FILE --stdout` prints: one line, with JSON in strings."""
    document = {"parametersJson": json.dumps(parameters), "templateJson": template, "templateSpecId": None}
    return json.dumps(document) + "\n"


@needs_engine
@pytest.mark.parametrize("case", cases())
async def test_a_bicepparam_file_gives_what_the_cli_makes_of_it(workspace, bicepparam, bicep, case):
    """The value of each parameter, and none for what is null."""
    of_case = folder() / "cases" / case
    document = json.loads((of_case / "parameters.json").read_text())
    asked = bicep(answer(document, (of_case / "main.json").read_text()))
    given = await given_parameters(workspace)
    wanted = {name: one["value"] for name, one in document["parameters"].items() if one.get("value") is not None}

    assert given.values == wanted
    assert given.path == bicepparam
    assert asked() == [["build-params", "--stdout", str(bicepparam)], str(bicepparam.parent)]


async def test_using_none_is_no_mistake(workspace, bicepparam, bicep):
    """Then the CLI knows no template; what the parameters are called is checked against the workspace's."""
    bicep(answer({"parameters": {"maximumInstanceCount": {"value": 3}, "location": {"value": None}}}))
    given = await given_parameters(workspace)

    assert given.values == {"maximumInstanceCount": 3}
    assert given.path == bicepparam


async def test_the_cli_s_errors_are_shown_with_file_line_and_column(workspace, bicepparam, bicep):
    """The first error first, the others below it, warnings and links left out; also of another file."""
    part = bicepparam.parent / "parts" / "share.bicep"
    bicep(
        code=1,
        errors=(
            f"{bicepparam}(1,1) : Warning no-unused-params: never used [https://aka.ms/bicep/linter#no-unused-params]\n"
            f"{bicepparam}(3,29) : Error BCP427: Environment variable 'COUNT' does not exist, and there's no default "
            "value set. [https://aka.ms/bicep/core-diagnostics#BCP427]\n"
            f"{part}(7,12) : Error BCP258: The following parameters are declared but not assigned: 'b' [x].\n"
        ),
    )
    with pytest.raises(ValueImpossible) as refusal:
        await given_parameters(workspace)

    assert refusal.value.message == (
        f"{bicepparam}, line 3, column 29: BCP427: Environment variable 'COUNT' does not exist, and there's no default "
        "value set."
    )
    assert refusal.value.details == (
        f"{part}, line 7, column 12: BCP258: The following parameters are declared but not assigned: 'b' [x].",
    )


async def test_a_file_that_is_missing_is_told_in_the_cli_s_words(workspace, bicepparam, bicep):
    """Its only line without a place."""
    said = f"An error occurred reading file. Could not find file '{bicepparam.parent / 'other.bicep'}'."
    bicep(code=1, errors=f"{said}\n")
    with pytest.raises(ValueImpossible) as refusal:
        await given_parameters(workspace)

    assert refusal.value.message == f"{bicepparam}: bicep build-params: {said}"


async def test_a_computer_without_icu_compiles_too(workspace, bicepparam, bicep):
    """The CLI is asked again without languages where it ends for want of them."""
    bicep(answer({"parameters": {"image": {"value": "y"}}}), needs_languages=True)

    assert (await given_parameters(workspace)).values == {"image": "y"}


async def test_a_value_that_is_wrong_is_told_with_its_line(workspace, bicepparam, bicep):
    """Where the `.bicepparam` file gives it."""
    template = await workspace_template(workspace)
    bicep(answer({"parameters": {"image": {"value": 5}}}))
    given = await given_parameters(workspace)
    with pytest.raises(ValueImpossible, match=r"line 4, column 9: image: a value of type string is expected"):
        parameter_rules.check(given, template.parameters)
    assert bicepparam.name in str(given.wrong("image", "x"))


async def test_a_secret_of_a_key_vault_is_for_resource_manager_to_read(workspace, bicepparam, bicep):
    """`az.getSecret(…)` becomes a reference, which goes on as one; to what is not secret it cannot be given."""
    vault = {"keyVault": {"id": "/subscriptions/x"}, "secretName": "s"}
    bicep(answer({"parameters": {"image": {"reference": vault}}}))
    given = await given_parameters(workspace)
    parameter_rules.check(given, {"image": {"type": "securestring"}})
    with pytest.raises(
        ValueImpossible, match=r"inference\.bicepparam, line 4, column 9: image: a secret of a key vault"
    ):
        parameter_rules.check(given, {"image": {"type": "string"}})

    assert isinstance(given.values["image"], KeyVaultReference)
    assert given.values == {"image": vault}


@pytest.mark.parametrize("output", ["", "no JSON", "[]", '{"parametersJson": "{}"}', '{"parametersJson": null}'])
async def test_another_form_of_answer_is_told(workspace, bicepparam, bicep, output):
    """In one sentence that names the file, and no traceback."""
    bicep(output)
    with pytest.raises(FileMalformed, match="bicep build-params"):
        await given_parameters(workspace)
    assert bicepparam.is_file()


async def test_the_json_file_beside_it_is_not_read(workspace, bicepparam, bicep):
    """Which is said where it gives values, and shown in the editor."""
    beside = workspace.provision_folder / "inference.parameters.json"
    silent = beside.read_text()
    bicep(answer({"parameters": {"image": {"value": "y"}}}))
    quiet = await given_parameters(workspace)
    beside.write_text(json.dumps({"parameters": {"image": {"value": "z"}}}))
    warned = await given_parameters(workspace)

    assert json.loads(silent)["parameters"]
    assert quiet.warnings == ()
    assert warned.values == {"image": "y"}
    assert warned.warnings == (f"{beside} is not read, because {bicepparam} exists too.",)
    assert "This file is not read, because infra/provision/inference.bicepparam exists too." in {
        one.message for one in diagnose(workspace, beside, beside.read_text())
    }


async def test_without_the_cli_it_is_said_what_helps(workspace, bicepparam, monkeypatch, tmp_path):
    """Where it was looked for, how to install it, and that a JSON file needs none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AITK_BICEP", raising=False)
    monkeypatch.delenv("AZURE_CONFIG_DIR", raising=False)
    with pytest.raises(ToolMissing) as refusal:
        await given_parameters(workspace)

    assert str(bicepparam) in refusal.value.message
    assert "inference.parameters.json" in refusal.value.advice


async def test_modules_are_looked_for_beside_their_file(workspace, bicep):
    """The CLI is asked in the folder of the template, and its errors in a module name the module."""
    template = workspace.provision_folder / "inference.bicep"
    asked = bicep(code=1, errors='parts/app.bicep(2,5) : Error BCP018: Expected the "=" character. [https://x/y]\n')
    with pytest.raises(ValueImpossible) as refusal:
        await compile_bicep(template)

    assert asked() == [["build", "--stdout", str(template)], str(template.parent)]
    assert refusal.value.message == (
        f'{template.parent / "parts" / "app.bicep"}, line 2, column 5: BCP018: Expected the "=" character.'
    )
