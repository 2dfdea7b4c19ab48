import json
from dataclasses import fields

import pytest

from ai_toolkit.workspace.create import create_project
from ai_toolkit.workspace.diagnostics import Weight, diagnose
from ai_toolkit.workspace.json_positions import members
from ai_toolkit.workspace.settings_values import BOUNDS, CHOICES
from ai_toolkit.workspace.workspace import Workspace
from aitk_app.settings import Settings

PARAMETERS = "infra/provision/inference.parameters.json"
CONFIG = "infra/inference.config.json"
SETTINGS = "inference/settings.toml"
SIX = {
    "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
    "RESOURCE_GROUP_NAME": "group",
    "STORAGE_ACCOUNT_NAME": "aistorage12345",
    "FILE_SHARE_NAME": "aifileshare12345",
    "ACA_APP_NAME": "aiacaapp12345",
    "ACA_APP_ENDPOINT": "https://aiacaapp12345.example.azurecontainerapps.io",
}


class Silent:
    def announce(self, _message, _tone=None):
        pass


@pytest.fixture
async def workspace(tmp_path):
    await create_project(tmp_path, Silent(), sample=False)
    return Workspace(tmp_path)


def parameters(**values):
    return json.dumps({"parameters": {name: {"value": value} for name, value in values.items()}}, indent=2)


def found(workspace, path, text, on_share=None):
    """Each finding as (the text it is about, its message, the text that its fix writes)."""
    return [
        (text[one.span.start : one.span.end], one.message, one.fix and one.fix.text)
        for one in diagnose(workspace, workspace.folder / path, text, on_share)
    ]


@pytest.mark.parametrize("path", [PARAMETERS, SETTINGS])
def test_what_comes_with_a_project_is_right(workspace, path):
    """The shipped files have no findings."""
    assert found(workspace, path, (workspace.folder / path).read_text()) == []


def test_an_unknown_parameter_is_named_and_its_likely_name_offered(workspace):
    """A typo in a parameter's name has a quick fix; a name like no other has none."""
    [typo] = found(workspace, PARAMETERS, parameters(acaAppNam="one"))
    [strange] = found(workspace, PARAMETERS, parameters(colour="red"))

    assert typo == ('"acaAppNam"', "acaAppNam is not known here: is acaAppName meant?", '"acaAppName"')
    assert strange == ('"colour"', "colour is not known here.", None)


def test_an_impossible_name_is_found_with_azures_rule(workspace):
    """The server's own rules speak, at the value's place; capital letters are fixed by small ones."""
    capital, hopeless = found(workspace, PARAMETERS, parameters(storageAccountName="AiStorage", acaAppName="-"))

    assert capital[0] == '"AiStorage"'
    assert "lower-case" in capital[1]
    assert capital[2] == '"aistorage"'
    assert hopeless[0] == '"-"'
    assert hopeless[2] is None


def test_values_out_of_bounds_are_found(workspace):
    """Types and bounds come from the template."""
    text = parameters(maximumInstanceCount=0, defaultCommands=[], location=7)

    assert [one[0] for one in found(workspace, PARAMETERS, text)] == ["0", "[]", "7"]


def test_the_minimum_is_judged_by_the_files_own_maximum(workspace):
    """Two of two is no error, three of two and two of the default are."""
    assert found(workspace, PARAMETERS, parameters(minimumInstanceCount=2, maximumInstanceCount=2)) == []
    assert found(workspace, PARAMETERS, parameters(minimumInstanceCount=2, MaximumInstanceCount=3)) == []
    for values in ({"minimumInstanceCount": 3, "maximumInstanceCount": 2}, {"minimumInstanceCount": 2}):
        [finding] = found(workspace, PARAMETERS, parameters(**values))
        assert "is more than maximumInstanceCount" in finding[1]


def test_an_endpoint_that_deploy_looks_up_is_no_error(workspace):
    """Of a hand-written config file five names are enough."""
    names = ("RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    written = dict.fromkeys(names, "abc") | {"SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000"}
    path, text = "infra/inference.config.json", json.dumps(written)
    [finding] = diagnose(workspace, workspace.folder / path, text, None)

    assert finding.weight is Weight.INFORMATION
    assert "Deploy looks it up" in finding.message


def test_the_file_that_is_not_read_says_so(workspace):
    """With both documented paths present, the one that loses tells the person who edits it."""
    [finding] = found(workspace, "infra/inference.parameters.json", parameters())

    assert "not read, because infra/provision/inference.parameters.json exists" in finding[1]


def test_a_changed_template_is_not_guessed_at(workspace):
    """When only the Bicep file knows the parameters, none is called unknown."""
    bicep = workspace.folder / "infra/provision/inference.bicep"
    bicep.write_text(bicep.read_text() + "param mine string\n")

    assert found(workspace, PARAMETERS, parameters(mine="x")) == []


@pytest.mark.parametrize(
    ("change", "about", "fix"),
    [
        ({"STORAGE_ACCOUNT_NAME": "AIStorage"}, '"AIStorage"', '"aistorage"'),
        ({"SUBSCRIPTION_ID": "my subscription"}, '"my subscription"', None),
        ({"ACA_APP_ENDPOINT": "http://example.com"}, '"http://example.com"', '"https://example.com"'),
        ({"ACA_APP_NAME": 7}, "7", None),
        ({"ACA_APP_NAME": None}, "{", None),
        ({"ACA_APP_NAMES": "x"}, '"ACA_APP_NAMES"', '"ACA_APP_NAME"'),
    ],
)
def test_a_config_file_that_no_deploy_can_use_is_found(workspace, change, about, fix):
    """Impossible values, missing names and misspelt ones."""
    findings = found(workspace, CONFIG, json.dumps(SIX | change))

    assert [(where, text) for where, _, text in findings] == [(about, fix)]


@pytest.mark.parametrize("text", [json.dumps(SIX), json.dumps(SIX | {"mine": 1}), "{}", "{", "[1]"])
def test_a_config_file_that_is_right_or_no_json_gives_nothing(workspace, text):
    """Keys of the person's own are fine, nothing provisioned is fine, and JSON's errors are the editor's."""
    assert found(workspace, CONFIG, text) == []


def test_an_adapter_that_is_neither_here_nor_there_is_found(workspace):
    """A folder here or on the share is fine; else the only adapter here is offered."""
    adapter = workspace.folder / "models/qlora/adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    text = 'adapters = ["qlora/adaptor"]\n'

    [finding] = found(workspace, SETTINGS, text)
    assert finding[0] == '"qlora/adaptor"'
    assert finding[2] == '"qlora/adapter"'
    assert found(workspace, SETTINGS, text.replace("adaptor", "adapter")) == []
    assert found(workspace, SETTINGS, text, ["models/qlora/adaptor/adapter_config.json"]) == []


def test_a_share_that_nobody_saw_is_not_accused(workspace):
    """Fine-tuning may have left the adapter there alone: before a look it is an information, after one a warning."""
    text = 'adapters = ["mine"]\nbase_model = "org/base"\n'
    path = workspace.folder / SETTINGS

    unseen = diagnose(workspace, path, text)
    assert [one.weight for one in unseen] == [Weight.INFORMATION] * 2
    assert all("is not known yet" in one.message for one in unseen)
    seen = diagnose(workspace, path, text, frozenset())
    assert [one.weight for one in seen] == [Weight.WARNING] * 2
    assert (
        diagnose(workspace, path, text, {"models/mine/adapter_config.json", "model-cache/org/base/config.json"}) == []
    )


def test_settings_that_are_no_toml_or_unknown_are_found(workspace):
    """The line of a syntax error, a misspelt key, a base model that is not there."""
    assert found(workspace, SETTINGS, "ok = 1\nbase_model = \n")[0][0] == "base_model ="
    assert found(workspace, SETTINGS, "max_bach = 3\n") == [
        ("max_bach", "max_bach is not known here: is max_batch meant?", "max_batch")
    ]
    assert found(workspace, SETTINGS, 'base_model = "org/none"\n')[0][0] == '"org/none"'


@pytest.mark.parametrize(
    ("line", "place", "told", "better"),
    [
        ('quantization = "int4"  # smaller', '"int4"', "'int4' is not one of none, nf4, int8", ...),
        ('quantization = "nf4,int8"', '"nf4,int8"', "is not one of none, nf4, int8", ...),
        ('quantization = ["nf4", "int8"]', '["nf4", "int8"]', "is not one of none, nf4, int8", None),
        ('dtype = "bfloat"', '"bfloat"', "is not one of auto, float32", ...),
        ('device = "cuda"\nquantization = "int8"', '"int8"', "int8 is for a processor, and device is", '"nf4"'),
        ('quantization = "int8"\ndtype = "float32"', '"float32"', "computes in bfloat16", '"auto"'),
        ("max_batch = 0", "0", "0 is less than 1", "1"),
        ("max_batch = 4000", "4000", "4000 is more than 1024", "1024"),
        ('serve_base = "yes"', '"yes"', "'yes' is not true or false", None),
        ("max_queue = true", "true", "True is not a whole number", None),
        ('engine = "vlm"', "engine", "engine is not known here", None),
    ],
)
def test_values_that_the_app_would_refuse_are_underlined(workspace, line, place, told, better):
    """Where they stand, in one sentence, with what was meant where that is one thing."""
    [(where, message, fix)] = found(workspace, SETTINGS, line + "\n")

    assert where == place
    assert told in message
    assert better is ... or fix == better


def test_int8_over_weights_in_few_bits_is_underlined(workspace):
    """The base model that lies here says so itself."""
    base = workspace.folder / "model-cache/org/base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"quantization_config": {"quant_method": "bitsandbytes"}}')

    [(where, message, _)] = found(workspace, SETTINGS, 'quantization = "int8"\n')
    assert where == '"int8"'
    assert "in few bits already (bitsandbytes)" in message


def test_the_editor_knows_the_values_that_the_app_takes():
    """Both tables are the app's own."""
    own = {each.name: each.metadata for each in fields(Settings)}

    assert {key: value["choices"] for key, value in own.items() if "choices" in value} == CHOICES
    assert {key: (value["minimum"], value.get("maximum")) for key, value in own.items() if "minimum" in value} == BOUNDS


def test_places_are_those_of_nested_members():
    """Keys and values are found whatever the white space, escapes and nesting."""
    text = '\n{ "a\\u0041" : {"b":\t[1, {"c": 2}] , "d" : "}" } }'
    places = members(text)

    assert [(key, text[m.value.start : m.value.end]) for key, m in places.items()] == [
        (("aA", "b"), '[1, {"c": 2}]'),
        (("aA", "d"), '"}"'),
        (("aA",), '{"b":\t[1, {"c": 2}] , "d" : "}" }'),
    ]


def test_what_fine_tuning_wrote_is_judged_where_provision_takes_it(workspace):
    """Impossible names, likely typos, both places; what is fine-tuning's own is left alone."""
    path = "infra/finetuning.parameters.json"
    text = parameters(storageAccountName="MyStorage", acaEnviromentName="one", timeout=3600, acaJobName="job")
    (workspace.folder / "infra/provision/finetuning.parameters.json").write_text("{}")

    both, name, typo = found(workspace, path, text)
    assert both[1] == "infra/provision/finetuning.parameters.json takes precedence over this file."
    assert (name[0], name[2]) == ('"MyStorage"', '"mystorage"')
    assert (typo[0], typo[2]) == ('"acaEnviromentName"', '"acaEnvironmentName"')


def test_the_config_file_of_fine_tuning_is_judged(workspace):
    """Its own keys are known, and nothing need be there."""
    path = "infra/finetuning.config.json"
    config = {"SUBSCRIPTION_ID": "mine", "FILE_SHARE_NAM": "s", "COMMANDS": ["a"], "ACA_JOB_NAME": "job"}

    subscription, typo = found(workspace, path, json.dumps(config))
    assert "an id such as" in subscription[1]
    assert typo[2] == '"FILE_SHARE_NAME"'


@pytest.mark.parametrize(
    ("path", "text", "on_share", "weight"),
    [
        (PARAMETERS, parameters(colour="red"), None, Weight.ERROR),
        (PARAMETERS, parameters(acaAppName="Not-A-Name-"), None, Weight.ERROR),
        (PARAMETERS, parameters(apiKey="mine"), None, Weight.ERROR),
        (PARAMETERS, parameters(maximumInstanceCount="many"), None, Weight.ERROR),
        (CONFIG, json.dumps({**SIX, "STORAGE_ACCOUNT_NAME": "Not A Name"}), None, Weight.ERROR),
        (SETTINGS, 'adapters = ["mine"]\n', None, Weight.INFORMATION),
        (SETTINGS, 'adapters = ["mine"]\n', [], Weight.WARNING),
        (SETTINGS, 'base_model = "model-cache/org/name"\n', [], Weight.WARNING),
    ],
)
def test_how_much_a_finding_weighs(workspace, path, text, on_share, weight):
    """An error stops a command; what only the share can tell is a warning, and before it was seen a hint."""
    findings = diagnose(workspace, workspace.folder / path, text, on_share)

    assert [one.weight for one in findings] == [weight]


def test_a_file_that_is_not_read_is_a_warning(workspace):
    """Two files of one meaning are no error: the other one counts."""
    text = parameters(acaAppName="mine")

    findings = diagnose(workspace, workspace.folder / "infra/inference.parameters.json", text, None)

    assert [one.weight for one in findings] == [Weight.WARNING]
