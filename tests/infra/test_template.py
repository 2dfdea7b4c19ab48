"""The Bicep file, its compiled JSON and its parameters say the same, and Azure's own descriptions accept them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pycep import BicepParser
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from tests.support import outside_data
from tests.support.local_cloud.engine import folder as engine_folder
from tests.support.local_cloud.engine import needs_engine, read

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra/provision/inference.bicep"
TEMPLATE = json.loads(BICEP.with_suffix(".json").read_text())
RESOURCES = list(TEMPLATE["resources"].values())
NOT_IN_BODY = {"condition", "dependsOn", "@options"}
DOCUMENTED = [
    "defaultCommands",
    "maximumInstanceCount",
    "location",
    "storageAccountName",
    "fileShareName",
    "acaEnvironmentName",
    "acaEnvironmentStorageName",
    "acaAppName",
    "acaLogAnalyticsName",
]
SCHEMAS = "https://schema.management.azure.com/schemas"
needs_schemas = outside_data.needs("AZURE_SCHEMAS")


@pytest.fixture(scope="module")
def bicep() -> Any:
    return BicepParser().parse(text=BICEP.read_text())


def test_compiled_template_names_the_hash_of_its_source():
    """A Bicep file that was changed without its JSON is noticed."""
    assert TEMPLATE["metadata"]["sourceSha256"] == hashlib.sha256(BICEP.read_bytes()).hexdigest()


def written_type(kind: Any) -> str:
    """A type of the Bicep file as its compiled form calls it: `string[]` is an array."""
    return str(kind["type"] if isinstance(kind, dict) else kind)


def test_parameters_are_the_same(bicep):
    """Both forms declare the same parameters of the same types."""
    declared = {name: body["type"] for name, body in TEMPLATE["parameters"].items()}
    secure = {name for name, body in bicep["parameters"].items() if {"type": "secure"} in body["decorators"]}
    written = {name: written_type(body["type"]) for name, body in bicep["parameters"].items()}

    assert {n: k.lower() for n, k in declared.items()} == {
        n: f"secure{k}" if n in secure else k for n, k in written.items()
    }


def test_resources_have_the_same_types_and_versions(bicep):
    """Both forms deploy the same kinds of resources with the same API versions."""
    compiled = sorted((r["type"].lower(), r["apiVersion"]) for r in RESOURCES)
    written = sorted((r["type"].lower(), r["api_version"]) for r in bicep["resources"].values())

    assert compiled == written


def test_what_exists_is_left_alone():
    """All but the app itself is made only where it is missing."""
    careful = {name for name, one in TEMPLATE["resources"].items() if "onlyIfNotExists" in one.get("@options", {})}

    assert careful == TEMPLATE["resources"].keys() - {"app"}


def test_the_compiler_has_no_finding_and_writes_what_stands_here():
    """The linter, the formatter and the compiler of the Bicep CLI, where there is one: else the script says so."""
    script = [sys.executable, ROOT / "scripts" / "compare-bicep"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("No Bicep CLI"):
        pytest.skip(done.stdout.strip())


# What ours has and the draft in which the compiler, its linter and its formatter found nothing has not, as text.
SWITCH = {
    "@description('False when the environment exists and stays as it is: then no workspace is made beside it "
    "either.')\nparam createEnvironment bool = true\n\n": "",
    "// What exists under a given name stays as it is, property for property: Resource Manager leaves it alone.\n": "",
    "= if (createEnvironment) {": "= {",
    "createEnvironment ? logAnalytics!.properties.customerId : ''": "logAnalytics.properties.customerId",
    "createEnvironment ? logAnalytics!.listKeys().primarySharedKey : ''": "logAnalytics.listKeys().primarySharedKey",
    "@onlyIfNotExists()\nresource environmentStorage ": "resource environmentStorage ",
}
LOOP = """[
{0}  for (range, index) in allowedIpRanges: {{
{0}    name: 'allowed-${{index}}'
{0}    action: 'Allow'
{0}    ipAddressRange: range
{0}  }}
{0}]"""
# The parameter `tags`, and the allowed ranges as a variable: the draft has them in place.
IN_PLACE = {
    "@description('Tags of the resources that are made, and of a resource group that Provision makes: names with their "
    "values.')\nparam tags object = {}\n\n": "",
    "var allTags = union(tags, {\n  'ai-toolkit': 'inference'\n})\n": "var tags = {\n  'ai-toolkit': 'inference'\n}\n",
    "tags: allTags": "tags: tags",
    "// A variable, not a loop in place: Provision can join to it what somebody added in the portal.\n"
    "var allowedOnly = " + LOOP.format("") + "\n\n": "",
    "ipSecurityRestrictions: allowedOnly": f"ipSecurityRestrictions: {LOOP.format(' ' * 8)}",
}


@needs_engine
def test_ours_is_the_draft_without_findings_and_a_switch():
    """Line for line: so the formatter and the linter have nothing to say of what both share."""
    undone = BICEP.read_text()
    for ours, draft in {**SWITCH, **IN_PLACE}.items():
        assert ours in undone
        undone = undone.replace(ours, draft)

    assert undone == (engine_folder() / "cases" / "ours-without-findings" / "main.bicep").read_text()


@needs_engine
def test_the_compiled_form_is_the_compiler_s_but_for_the_switch():
    """Each value of it, and the order of its members."""
    ours = json.loads(BICEP.with_suffix(".json").read_text())
    draft = read("cases/ours-without-findings/main.json")
    resources = ours["resources"]
    switched = resources["environment"]["properties"]["appLogsConfiguration"]["logAnalyticsConfiguration"]
    for name, value in switched.items():
        unconditional = value.removeprefix("[if(parameters('createEnvironment'), ").removesuffix(", '')]")
        switched[name] = f"[{unconditional}]"
    conditions = [resources[name].pop("condition") for name in ("logAnalytics", "environment")]
    of_storage = resources["environmentStorage"].pop("@options")
    switch = ours["parameters"].pop("createEnvironment")
    tags, variables = ours["parameters"].pop("tags"), ours["variables"]
    [allowed] = variables.pop("copy")
    joined = variables.pop("allTags")
    ours["variables"] = {"tags": {"ai-toolkit": "inference"}, **variables}
    for resource in resources.values():
        if "tags" in resource:
            assert resource["tags"] == "[variables('allTags')]"
            resource["tags"] = "[variables('tags')]"
    ingress = resources["app"]["properties"]["configuration"]["ingress"]
    assert ingress.pop("ipSecurityRestrictions") == "[variables('allowedOnly')]"
    in_place = json.loads(json.dumps([allowed]).replace("allowedOnly", "ipSecurityRestrictions"))
    resources["app"]["properties"]["configuration"]["ingress"] = {"copy": in_place, **ingress}
    for one in (ours, draft):
        del one["metadata"]

    assert conditions == ["[parameters('createEnvironment')]"] * 2
    assert (joined, tags["defaultValue"]) == (
        "[union(parameters('tags'), createObject('ai-toolkit', 'inference'))]",
        {},
    )
    assert (of_storage, switch["defaultValue"]) == ({"onlyIfNotExists": []}, True)
    assert json.dumps(ours) == json.dumps(draft)


def test_outputs_are_the_six_names_of_the_config_file(bicep):
    """Both forms end in the six keys of inference.config.json."""
    expected = {
        "SUBSCRIPTION_ID",
        "RESOURCE_GROUP_NAME",
        "STORAGE_ACCOUNT_NAME",
        "FILE_SHARE_NAME",
        "ACA_APP_NAME",
        "ACA_APP_ENDPOINT",
    }

    assert set(TEMPLATE["outputs"]) == expected
    assert set(bicep["outputs"]) == expected


def test_parameters_file_holds_the_documented_parameters():
    """The nine parameters that the documents name are there, and nothing that the template lacks."""
    given = json.loads((BICEP.parent / "inference.parameters.json").read_text())["parameters"]

    assert list(given) == DOCUMENTED
    assert set(given) <= set(TEMPLATE["parameters"])


def test_nothing_is_billed_while_idle_by_default():
    """No replica runs without a request, and one at most."""
    assert TEMPLATE["parameters"]["minimumInstanceCount"]["defaultValue"] == 0
    assert TEMPLATE["parameters"]["maximumInstanceCount"]["defaultValue"] == 1


def _registry(folder: Path) -> Registry:
    registry = Registry()
    for path in folder.rglob("*.json"):
        uri = f"https://schema.management.azure.com/schemas/{path.relative_to(folder).as_posix()}"
        content = json.loads(path.read_text())
        registry = registry.with_resource(uri, Resource(content, DRAFT4))
    return registry


@needs_schemas
@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r["type"])
def test_resource_body_is_what_azure_describes(resource):
    """Every resource body fits the published JSON Schema of its type and version."""
    folder = outside_data.folder("AZURE_SCHEMAS") / "json-schema"
    provider, _, kind = resource["type"].partition("/")
    base = f"https://schema.management.azure.com/schemas/{resource['apiVersion']}/{provider}.json"
    definition = kind.replace("/", "_")
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "$ref": f"{base}#/resourceDefinitions/{definition}"}
    validator = jsonschema.Draft4Validator(schema, registry=_registry(folder))
    body = {key: value for key, value in resource.items() if key not in NOT_IN_BODY}
    body["name"] = "/".join("name" for _ in kind.split("/"))  # the schema's lengths are those of names, not expressions
    if kind.endswith("shares"):
        body["name"] = "sharename"

    errors = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(_no_copy(body))]

    assert not errors


@needs_schemas
def test_template_and_parameters_files_fit_azures_schemas():
    """The files as wholes fit the schemas that they name."""
    folder = outside_data.folder("AZURE_SCHEMAS") / "json-schema"
    registry = _registry(folder)
    # The parameters file names none, which editors would warn of; Azure takes it as one of these.
    parameters = {"$schema": f"{SCHEMAS}/2019-04-01/deploymentParameters.json#"}
    parameters |= json.loads((BICEP.parent / "inference.parameters.json").read_text())
    for document in (TEMPLATE, parameters):
        schema = json.loads((folder / document["$schema"].partition("/schemas/")[2].rstrip("#")).read_text())
        validator = jsonschema.Draft4Validator(
            {"$schema": schema["$schema"], "required": schema["required"]}, registry=registry
        )

        assert validator.is_valid(document)


def _no_copy(value: Any) -> Any:
    """The body as it is after property copies, which the resource schemas do not describe: one element each."""
    if isinstance(value, dict):
        copied = {one["name"]: [one["input"]] for one in value.get("copy", ())}
        return {key: _no_copy(inner) for key, inner in (value | copied).items() if key != "copy"}
    return [_no_copy(inner) for inner in value] if isinstance(value, list) else value


def copy_for_generate(folder: Path) -> Path:
    """What `scripts/generate` reads and writes, in a folder of its own; the script in it."""
    for place in ("infra/provision", "extension/schemas"):
        shutil.copytree(ROOT / place, folder / place)
    (folder / "extension/src").mkdir()
    shutil.copy(ROOT / "extension/src/protocol.ts", folder / "extension/src")
    shutil.copy(ROOT / "extension/generate_schemas.py", folder / "extension")
    (folder / "scripts").mkdir()
    return Path(shutil.copy(ROOT / "scripts/generate", folder / "scripts"))


def test_generated_files_follow_a_new_parameter(tmp_path):
    """Without a Bicep CLI what the compiled template lacks is named; written there, the rest is made by the script."""
    script = copy_for_generate(tmp_path)
    environment = {**os.environ, "PATH": "/nowhere", "HOME": str(tmp_path)}

    def generate(*options):
        command = [sys.executable, script, *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    unchanged = generate()
    bicep, compiled = (tmp_path / "infra/provision" / f"inference.{kind}" for kind in ("bicep", "json"))
    bicep.write_text(f"{bicep.read_text()}\n@description('How it tastes.')\nparam flavour string = 'plain'\n")
    lacks = generate()
    template = json.loads(compiled.read_text())
    template["parameters"]["flavour"] = {
        "type": "string",
        "defaultValue": "plain",
        "metadata": {"description": "How it tastes."},
    }
    compiled.write_text(json.dumps(template))
    by_hand = generate("--by-hand")

    assert (unchanged.returncode, unchanged.stdout) == (0, "")
    assert lacks.returncode == 1
    assert "parameters: flavour stands in inference.bicep and not in inference.json" in lacks.stderr
    assert by_hand.returncode == 0, by_hand.stderr
    written = json.loads(compiled.read_text())
    assert written["metadata"]["sourceSha256"] == hashlib.sha256(bicep.read_bytes()).hexdigest()
    schema = json.loads((tmp_path / "extension/schemas/inference.parameters.schema.json").read_text())
    assert "How it tastes." in schema["properties"]["parameters"]["properties"]["flavour"]["description"]
