"""Parameters of templates: types, defaults, allowed values and limits; secure ones are never echoed."""

from typing import Any

import pytest
from tests.support.local_cloud.plans import plan_of as planned

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template.evaluation import evaluate
from ai_toolkit.local_cloud.template.parameters import shown_parameters
from ai_toolkit.local_cloud.template.planned import Plan

GROUP = {"id": f"{subscription_document()['id']}/resourceGroups/one", "name": "one", "location": "westus3"}
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def plan_of(definition: dict[str, Any], *given: Any, **more: Any) -> Plan:
    """The plan of a template with the parameter `p`, given a value or none."""
    template = {"$schema": SCHEMA, "parameters": {"p": definition}, "resources": [], **more}
    return planned(template, {"p": {"value": given[0]}} if given else {}, GROUP)


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        ({"type": "string"}, 1, "Expected a value of type 'string'"),
        ({"type": "int"}, "1", "Expected a value of type 'int'"),
        ({"type": "int"}, True, "Expected a value of type 'int'"),
        ({"type": "bool"}, "true", "Expected a value of type 'bool'"),
        ({"type": "array"}, {}, "Expected a value of type 'array'"),
        ({"type": "object"}, [], "Expected a value of type 'object'"),
        ({"type": "string", "allowedValues": ["a", "b"]}, "c", "not part of the allowed value(s): 'a,b'"),
        ({"type": "array", "allowedValues": ["a", "b"]}, ["a", "c"], "not part of the allowed value(s)"),
        ({"type": "string", "minLength": 3}, "ab", "The length 2 of the value is less than '3'"),
        ({"type": "string", "maxLength": 3}, "abcd", "The length 4 of the value is greater than '3'"),
        ({"type": "array", "maxLength": 1}, [1, 2], "The length 2 of the value"),
        ({"type": "int", "minValue": 1}, 0, "The value '0' is less than '1'"),
        ({"type": "int", "maxValue": 9}, 10, "The value '10' is greater than '9'"),
        ({"type": "number"}, 1, "parameter type 'number' is not valid"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(definition: dict[str, Any], value: Any, words: str):
    """InvalidTemplate naming the parameter."""
    with pytest.raises(ArmError) as refusal:
        plan_of(definition, value)

    assert refusal.value.code == "InvalidTemplate"
    assert words in refusal.value.message
    assert refusal.value.target in {"p", "parameters.p"}


@pytest.mark.parametrize(
    ("definition", "given", "expected"),
    [
        ({"type": "string", "defaultValue": "x"}, (), "x"),
        ({"type": "string", "defaultValue": "x"}, (None,), "x"),
        ({"type": "string", "defaultValue": "[resourceGroup().name]"}, (), "one"),
        ({"type": "string", "defaultValue": "x"}, ("y",), "y"),
        ({"type": "string", "nullable": True}, (), None),
        ({"type": "string"}, ("[not evaluated]",), "[not evaluated]"),
        ({"type": "secureObject"}, ({"a": 1},), {"a": 1}),
        ({"$ref": "#/definitions/short"}, ("abc",), "abc"),
    ],
)
def test_a_value_or_its_default_is_taken(definition: dict[str, Any], given: tuple[Any, ...], expected: Any):
    """A null counts as not given; a given value is never evaluated."""
    plan = plan_of(definition, *given, definitions={"short": {"type": "string", "maxLength": 3}})

    assert plan.parameters["p"] == expected


def test_missing_and_unknown_parameters_are_named():
    """Each in Azure's words."""
    with pytest.raises(ArmError) as missing:
        plan_of({"type": "string"})
    template = {"$schema": SCHEMA, "parameters": {"p": {"type": "string"}}, "resources": []}
    with pytest.raises(ArmError) as unknown:
        planned(template, {"p": {"value": "x"}, "q": {"value": 1}}, GROUP)

    assert "The value for the template parameter 'p' is not provided" in missing.value.message
    assert "do not correspond to any parameters defined in the template: 'q'" in unknown.value.message


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "securestring", "minLength": 100},
        {"type": "securestring", "allowedValues": ["other"]},
        {"type": "secureObject"},
    ],
)
def test_a_secure_value_is_in_no_refusal(definition: dict[str, Any]):
    """Wrong as it may be, it is not repeated."""
    with pytest.raises(ArmError) as refusal:
        plan_of(definition, "my-secret-word")

    assert "my-secret-word" not in str(refusal.value.body())


def test_a_secure_value_is_not_shown():
    """Neither among a deployment's parameters, given or by default, nor as an output."""
    definition = {"type": "securestring", "defaultValue": "my-secret-word"}
    plan = plan_of(definition)

    assert shown_parameters({"parameters": {"p": definition}}, dict(plan.parameters)) == {"p": {"type": "SecureString"}}


def test_a_template_may_bring_functions_of_its_own():
    """Called by namespace and name, with its own parameters and nothing of the template's."""
    function = {
        "parameters": [{"name": "word", "type": "string"}],
        "output": {"type": "string", "value": "[concat(toLower(parameters('word')), '!')]"},
    }
    plan = plan_of(
        {"type": "string", "defaultValue": "outer"},
        functions=[{"namespace": "own", "members": {"shout": function}}],
    )

    assert evaluate("[own.shout('HELLO')]", plan.scope, "outputs.x") == "hello!"
