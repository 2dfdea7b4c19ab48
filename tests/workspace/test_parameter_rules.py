"""Parameters are judged by Azure's own rules before anything is sent, and named when they are impossible."""

import json
import re
import string
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ai_toolkit.errors import ValueImpossible
from ai_toolkit.provision.settings import resource_names
from ai_toolkit.workspace.parameter_rules import DEFAULT_PREFIXES, OURS, check
from ai_toolkit.workspace.unique_string import unique_string
from ai_toolkit.workspace.workspace import Parameters

ROOT = Path(__file__).parents[2]
DECLARED = json.loads((ROOT / "infra/provision/inference.json").read_text())["parameters"]
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg"
LOWER = string.ascii_lowercase
DIGITS = string.digits
UPPER = string.ascii_uppercase


def judge(**values):
    check(Parameters(Path("inference.parameters.json"), values), DECLARED)


def judged(**values):
    try:
        judge(**values)
    except ValueImpossible:
        return False
    return True


def text_of(alphabet, least, most):
    return st.text(st.sampled_from(alphabet), min_size=least, max_size=most)


def test_parameters_that_come_with_the_template_are_possible():
    """The file that a new workspace gets passes as it is."""
    shipped = json.loads((ROOT / "infra/provision/inference.parameters.json").read_text())["parameters"]

    judge(**{name: entry["value"] for name, entry in shipped.items() if entry["value"] is not None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("storageAccountName", "My-Storage"),
        ("storageAccountName", "ab"),
        ("storageAccountName", "a" * 25),
        ("storageAccountName", "straße"),
        ("fileShareName", "two--hyphens"),
        ("fileShareName", "-first"),
        ("fileShareName", "Upper"),
        ("acaEnvironmentName", "1first"),
        ("acaEnvironmentName", "last-"),
        ("acaEnvironmentName", "under_score"),
        ("acaEnvironmentStorageName", "Upper"),
        ("acaEnvironmentStorageName", "a" * 33),
        ("acaAppName", "Upper"),
        ("acaAppName", "1first"),
        ("acaAppName", "two--hyphens"),
        ("acaAppName", "a" * 33),
        ("acaAppName", "line\n"),
        ("acaLogAnalyticsName", "abc"),
        ("acaLogAnalyticsName", "-first"),
    ],
)
def test_impossible_name_is_named_with_its_parameter(name, value):
    """The message says which parameter and which file."""
    with pytest.raises(ValueImpossible, match=rf"^inference\.parameters\.json: {name}: "):
        judge(**{name: value})


def test_impossible_name_says_what_is_allowed():
    """The person learns the rule, not only the refusal."""
    with pytest.raises(ValueImpossible) as raised:
        judge(acaAppName="My_App")

    assert '"My_App" is impossible' in raised.value.message
    assert "2 to 32 lower-case letters" in raised.value.message


def test_unknown_parameter_is_named_with_those_that_exist():
    """A misspelt name is an error instead of a value that counts for nothing."""
    with pytest.raises(ValueImpossible, match="acaApName: the template has no such parameter") as raised:
        judge(acaApName="app")

    assert "acaAppName" in raised.value.message
    assert not any(name in raised.value.message for name in OURS)


@pytest.mark.parametrize("name", sorted(OURS & set(DECLARED)))
def test_parameter_that_provision_decides_is_refused(name):
    """A key or a switch in the file would defeat what Provision finds out itself."""
    with pytest.raises(ValueImpossible, match=f"{name}: Provision decides this itself"):
        judge(**{name: "x"})


def test_parameters_that_provision_decides_are_the_template_s():
    """Each switch of the template is among them, beside those that only older templates have."""
    assert {name for name in DECLARED if name.startswith("create")} | {"apiKey"} <= OURS


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("maximumInstanceCount", "1", "int"),
        ("maximumInstanceCount", True, "int"),
        ("maximumInstanceCount", 1.5, "int"),
        ("acaAppName", 5, "string"),
        ("location", ["westus3"], "string"),
        ("defaultCommands", "python3 start.py", "array"),
        ("defaultCommands", {}, "array"),
    ],
)
def test_value_of_the_wrong_type_is_named_with_the_right_one(name, value, kind):
    """As JSON writes them: true is no number, a text is no list."""
    with pytest.raises(ValueImpossible, match=f"{name}: a value of type {kind} is expected"):
        judge(**{name: value})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"maximumInstanceCount": 0}, "maximumInstanceCount: 0 is less than 1"),
        ({"maximumInstanceCount": 301}, "maximumInstanceCount: 301 is more than 300"),
        ({"minimumInstanceCount": -1}, "minimumInstanceCount: -1 is less than 0"),
        ({"minimumInstanceCount": 2}, "minimumInstanceCount: 2 is more than maximumInstanceCount, 1"),
        ({"minimumInstanceCount": 3, "maximumInstanceCount": 2}, "3 is more than maximumInstanceCount, 2"),
        ({"defaultCommands": []}, "defaultCommands: "),
        ({"defaultCommands": ["cd /mount", ""]}, "defaultCommands: "),
        ({"defaultCommands": ["cd /mount", 5]}, "defaultCommands: "),
    ],
)
def test_value_beyond_its_limits_is_named(values, named):
    """The template's own limits, and those between two parameters."""
    with pytest.raises(ValueImpossible, match=named):
        judge(**values)


def test_value_outside_the_allowed_ones_lists_them():
    """A template of the user's own may declare the values that it takes."""
    declared = {"size": {"type": "String", "allowedValues": ["small", "large"]}}

    with pytest.raises(ValueImpossible, match="size: huge is not one of small, large"):
        check(Parameters(Path("p.json"), {"size": "huge"}), declared)


@given(text_of(LOWER + DIGITS, 3, 24))
def test_every_storage_account_name_of_azure_s_rule_passes(name):
    """Letters and digits in any order and number that Azure takes."""
    judge(storageAccountName=name)


@given(text_of(LOWER, 1, 1), text_of(LOWER + DIGITS + "-", 0, 30), text_of(LOWER + DIGITS, 1, 1))
def test_every_app_name_of_azure_s_rule_passes(first, middle, last):
    """First a letter, last a letter or digit, no two hyphens side by side."""
    name = first + middle + last
    assume("--" not in name)

    judge(acaAppName=name)


@given(st.lists(text_of(LOWER + DIGITS, 1, 8), min_size=1, max_size=7))
def test_every_share_name_of_azure_s_rule_passes(words):
    """Words with single hyphens between them, 3 to 63 characters."""
    name = "-".join(words)
    assume(3 <= len(name) <= 63)

    judge(fileShareName=name)


@given(st.sampled_from(sorted(DEFAULT_PREFIXES)), st.text(max_size=70))
def test_no_name_with_other_characters_passes(parameter, name):
    """Whatever passes is made of ASCII letters, digits and hyphens, within 63 characters, with no hyphen at an end."""
    if judged(**{parameter: name}):
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", name, re.ASCII)


@settings(max_examples=500)
@given(
    st.sampled_from(sorted(DEFAULT_PREFIXES)),
    text_of(LOWER + DIGITS, 0, 70) | text_of("abz0-", 0, 8) | text_of("aZ9-_. ", 0, 8) | text_of("Ab-", 50, 70),
)
def test_names_pass_as_azure_documents_them(parameter, name):
    """Each rule, written a second time without patterns, judges alike."""
    small = set(name) <= set(LOWER + DIGITS)
    small_hyphen = set(name) <= set(LOWER + DIGITS + "-")
    any_hyphen = set(name) <= set(LOWER + UPPER + DIGITS + "-")
    ends = bool(name) and "-" not in (name[0], name[-1])
    letter_first = bool(name) and name[0].isalpha()
    expected = {
        "storageAccountName": small and 3 <= len(name) <= 24,
        "fileShareName": small_hyphen and ends and "--" not in name and 3 <= len(name) <= 63,
        "acaEnvironmentName": any_hyphen and ends and letter_first and 2 <= len(name) <= 60,
        "acaEnvironmentStorageName": small_hyphen and ends and 1 <= len(name) <= 32,
        "acaAppName": small_hyphen and ends and letter_first and "--" not in name and 2 <= len(name) <= 32,
        "acaLogAnalyticsName": any_hyphen and ends and 4 <= len(name) <= 63,
    }

    assert judged(**{parameter: name}) == expected[parameter]


def test_default_names_are_those_of_fine_tuning():
    """The prefix and the first five characters of the resource group's uniqueString, so that inference lands beside."""
    suffix = unique_string(GROUP)[:5]

    assert suffix == "bmg7c"
    assert resource_names({}, GROUP) == {
        "storageAccountName": "aistoragebmg7c",
        "fileShareName": "aifilesharebmg7c",
        "acaEnvironmentName": "aienvbmg7c",
        "acaEnvironmentStorageName": "aienvstoragebmg7c",
        "acaAppName": "aiacaappbmg7c",
        "acaLogAnalyticsName": "ailogbmg7c",
    }


def test_given_names_are_kept():
    """A name in the file stands instead of the default; the others stay."""
    names = resource_names({"acaAppName": "mine"}, GROUP)

    assert names["acaAppName"] == "mine"
    assert names["fileShareName"] == "aifilesharebmg7c"


@given(st.text(min_size=1))
def test_every_default_name_is_possible(group):
    """No resource group leads to a default name that Azure refuses."""
    judge(**resource_names({}, f"/subscriptions/x/resourceGroups/{group}"))


def test_default_names_are_the_template_s_own():
    """Left to the template, the same names come out: it has the same prefixes and the same five characters."""
    for name, prefix in DEFAULT_PREFIXES.items():
        assert DECLARED[name]["defaultValue"] == f"[format('{prefix}{{0}}', take(uniqueString(resourceGroup().id), 5))]"
