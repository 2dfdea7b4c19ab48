"""What a preview shows of a template's values: all that is known, no secret that is given, nothing made up for it."""

import pytest
from tests.support.local_cloud.plans import plan_of

from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document

GROUP = {"id": f"{subscription_document()['id']}/resourceGroups/g", "name": "g", "location": "westus3"}
SECRET = "not-to-be-shown"
PARAMETERS = {
    "key": {"type": "securestring", "defaultValue": "[newGuid()]"},
    "other": {"type": "securestring", "defaultValue": "plain"},
    "from": {"type": "string", "defaultValue": "x"},
    "made": {"type": "securestring", "defaultValue": "[concat(parameters('from'), 'y')]"},
    "when": {"type": "string", "defaultValue": "[dateTimeAdd(utcNow('o'), 'PT1H')]"},
    "later": {"type": "object", "defaultValue": {"at": "[parameters('when')]", "by": "[parameters('from')]"}},
}


def shown(value, given=None, variables=None):
    """The value as a what-if's `after` has it."""
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": PARAMETERS,
        "variables": variables or {},
        "resources": [
            {"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2025-08-01", "name": "store",
             "location": "westus3", "tags": value},
        ],
    }  # fmt: skip
    given = {name: {"value": one} for name, one in (given or {}).items()}
    return plan_of(template, given, GROUP).resources[0].known_body()["tags"]


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("[parameters('key')]", {}, "[newGuid()]"),
        ("[parameters('key')]", {"key": SECRET}, "[parameters('key')]"),
        ("[parameters('other')]", {}, "plain"),
        ("[parameters('other')]", {"other": SECRET}, "[parameters('other')]"),
        ("[parameters('made')]", {}, "[parameters('made')]"),
        ("[parameters('WHEN')]", {}, "[dateTimeAdd(utcNow('o'), 'PT1H')]"),
        ("[concat('a', parameters('when'))]", {}, "[concat('a', dateTimeAdd(utcNow('o'), 'PT1H'))]"),
        ("[parameters('when')]", {"when": "now"}, "now"),
        ("[parameters('later')]", {}, {"at": "[dateTimeAdd(utcNow('o'), 'PT1H')]", "by": "x"}),
        ("[parameters('later').by]", {}, "x"),
        ("[parameters('later').at]", {}, "[dateTimeAdd(utcNow('o'), 'PT1H')]"),
    ],
)
def test_a_parameter_is_shown_as_azure_shows_it(value, given, expected):
    """A default that stands in the template, the expression of one that is another each time, no given secret."""
    found = shown(value, given)

    assert found == expected
    assert SECRET not in str(found)


def test_a_module_that_is_given_what_is_another_each_time_shows_so():
    """As the expression of the template around it; what is secure there stays hidden."""
    inner = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"at": {"type": "string"}, "plain": {"type": "string"}, "secret": {"type": "securestring"}},
        "resources": [
            {"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2025-08-01", "name": "store",
             "location": "westus3", "tags": {name: f"[parameters('{name}')]" for name in ("at", "plain", "secret")}},
        ],
    }  # fmt: skip
    given = {"at": "when", "plain": "from", "secret": "key"}
    properties = {
        "mode": "Incremental",
        "expressionEvaluationOptions": {"scope": "inner"},
        "parameters": {name: {"value": f"[parameters('{of}')]"} for name, of in given.items()},
        "template": inner,
    }
    module = {
        "type": "Microsoft.Resources/deployments", "apiVersion": "2025-04-01", "name": "m", "properties": properties,
    }  # fmt: skip
    outer = {**inner, "parameters": PARAMETERS, "resources": [module]}
    [store] = plan_of(outer, {"key": {"value": SECRET}}, GROUP).everything()

    assert store.known_body()["tags"] == {
        "at": "[dateTimeAdd(utcNow('o'), 'PT1H')]", "plain": "x", "secret": "[parameters('secret')]",
    }  # fmt: skip


def test_a_variable_that_is_known_in_part_keeps_its_shape():
    """Its known parts have their values, also when one of them is asked for."""
    variables = {"tags": {"a": "[parameters('from')]", "b": "[parameters('key')]", "c": ["[parameters('key')]", 1]}}
    given = {"key": SECRET}

    assert shown("[variables('tags')]", given, variables) == {
        "a": "x", "b": "[parameters('key')]", "c": ["[parameters('key')]", 1],
    }  # fmt: skip
    assert shown({"x": "[variables('tags').a]"}, given, variables) == {"x": "x"}
    assert shown({"x": "[variables('tags').c[1]]"}, given, variables) == {"x": 1}
    assert shown({"x": "[variables('tags').b]"}, given, variables) == {"x": "[parameters('key')]"}
