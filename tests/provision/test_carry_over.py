"""What others added, told apart from what they changed, and written into a template that is not evaluated for it."""

import pytest
from tests.support.local_cloud.plans import plan_of

from ai_toolkit.endpoint.comparison import compare
from ai_toolkit.provision.carry_over import SECRETS, carry_over

GROUP = {"id": "/subscriptions/s/resourceGroups/g", "name": "g", "location": "westus3"}
WANTED = {
    "name": "app",
    "location": "westus3",
    "tags": {"ai-toolkit": "inference"},
    "properties": {
        "configuration": {
            "secrets": [{"name": "api-key", "value": "[parameters('apiKey')]"}],
            "ingress": {"external": True, "targetPort": 7860, "transport": "auto", "ipSecurityRestrictions": []},
        },
        "template": {
            "containers": [{"name": "inference", "image": "a:1", "env": [{"name": "A", "value": "1"}]}],
            "scale": {"minReplicas": 0, "maxReplicas": 1},
        },
    },
}


def live(**below):
    """The app as Azure answers it: what is wanted, Azure's own, and what is given."""
    container = {**WANTED["properties"]["template"]["containers"][0], "probes": [], **below.get("container", {})}
    return {
        "id": "x",
        "identity": {"type": "None"},
        **WANTED,
        "location": "West US 3",
        "tags": {**WANTED["tags"], **below.get("tags", {})},
        **below.get("whole", {}),
        "properties": {
            "provisioningState": "Succeeded",
            "configuration": {
                "activeRevisionsMode": "Single",
                "dapr": {"enabled": False},
                "maxInactiveRevisions": 100,
                "secrets": [{"name": "api-key"}, *below.get("secrets", [])],
                "ingress": {
                    **WANTED["properties"]["configuration"]["ingress"],
                    "transport": "Auto",
                    "clientCertificateMode": "Ignore",
                    "traffic": [{"latestRevision": True, "weight": 100}],
                    **below.get("ingress", {}),
                },
                **below.get("configuration", {}),
            },
            "template": {
                "containers": [container, *below.get("containers", [])],
                "scale": {"minReplicas": None, "maxReplicas": 1, "pollingInterval": 30, **below.get("scale", {})},
                **below.get("template", {}),
            },
        },
    }


@pytest.mark.parametrize(
    ("below", "added", "changed"),
    [
        ({}, [], []),
        ({"tags": {"owner": "me"}}, ["tag owner"], []),
        ({"whole": {"identity": {"type": "SystemAssigned"}}}, ["identity"], []),
        ({"secrets": [{"name": "mine"}]}, ["secret mine"], []),
        ({"containers": [{"name": "helper"}]}, ["container helper"], []),
        (
            {"container": {"env": [{"name": "B"}, {"name": "A", "value": "1"}]}},
            ["environment variable B of inference"],
            [],
        ),
        ({"container": {"volumeMounts": [{"volumeName": "v", "mountPath": "/v"}]}}, ["mount /v of inference"], []),
        ({"ingress": {"customDomains": [{"name": "a.b"}]}}, ["custom domain a.b"], []),
        ({"ingress": {"ipSecurityRestrictions": [{"name": "office"}]}}, ["IP restriction office"], []),
        ({"ingress": {"corsPolicy": {"allowedOrigins": ["*"]}}}, ["CORS policy"], []),
        ({"configuration": {"dapr": {"enabled": True, "appId": "x"}}}, ["Dapr settings"], []),
        ({"configuration": {"registries": [{"server": "r"}]}}, ["registry r"], []),
        (
            {"template": {"volumes": [{"name": "v"}], "initContainers": [{"name": "i"}]}},
            ["volume v", "init container i"],
            [],
        ),
        ({"scale": {"rules": [{"name": "cron"}]}}, ["scale rule cron"], []),
        ({"scale": {"maxReplicas": 3}}, [], ["properties.template.scale.maxReplicas"]),
        ({"scale": {"minReplicas": 1}}, [], ["properties.template.scale.minReplicas"]),
        ({"container": {"image": "b:2"}}, [], ["properties.template.containers.inference.image"]),
        (
            {"container": {"env": [{"name": "A", "value": "2"}]}},
            [],
            ["properties.template.containers.inference.env.A.value"],
        ),
        ({"ingress": {"external": False}}, [], ["properties.configuration.ingress.external"]),
        (
            {"ingress": {"ipSecurityRestrictions": [{"name": "allowed-0"}]}},
            [],
            ["properties.configuration.ingress.ipSecurityRestrictions.allowed-0"],
        ),
    ],
)
def test_an_addition_is_what_the_template_does_not_speak_of(below, added, changed):
    """A change is where it says another value; what Azure fills in by itself is neither."""
    found = compare(live(**below), WANTED)

    assert [one.in_words() for one in found.added] == added
    assert [one.path for one in found.changed] == changed


BELOW = {
    "tags": {"owner": "[me]", "quote": "it's"},
    "whole": {"identity": {"type": "UserAssigned", "userAssignedIdentities": {"/i/d": {"principalId": "p"}}}},
    "secrets": [{"name": "mine"}],
    "container": {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "secretRef": "mine"}, {"name": "C", "value": "[x]"}]
    },
    "containers": [{"name": "helper", "image": "h:1", "resources": {"cpu": 0.5}}],
    "ingress": {"customDomains": [{"name": "a.b", "bindingType": "Disabled"}]},
}


def template(**changes):
    resource = {"type": "Microsoft.App/containerApps", "apiVersion": "2025-07-01", **WANTED, **changes}
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"apiKey": {"type": "securestring"}},
        "variables": {
            "tags": WANTED["tags"],
            "env": WANTED["properties"]["template"]["containers"][0]["env"],
            "secrets": [{"name": "api-key", "value": "a"}],
            "containers": WANTED["properties"]["template"]["containers"],
        },
        "resources": [resource],
    }


def with_expressions(**parts):
    """The template with expressions in the places that are named."""
    properties = WANTED["properties"]
    [container] = properties["template"]["containers"]
    if "env" in parts:
        container = {**container, "env": parts["env"]}
    containers = parts.get("containers", [container])
    return template(
        tags=parts.get("tags", WANTED["tags"]),
        properties={
            "configuration": {
                **properties["configuration"],
                **({"secrets": parts["secrets"]} if "secrets" in parts else {}),
            },
            "template": {**properties["template"], "containers": containers},
        },
    )


@pytest.mark.parametrize(
    ("content", "lost"),
    [
        (template(), []),
        (with_expressions(tags="[variables('tags')]", secrets="[variables('secrets')]"), []),
        (with_expressions(env="[variables('env')]"), []),
        (with_expressions(tags="[union(variables('tags'), createObject('a', 'b'))]"), []),
        (
            with_expressions(containers="[variables('containers')]"),
            ["environment variable B of inference", "environment variable C of inference"],
        ),
    ],
)
def test_what_is_kept_is_in_the_template_as_resource_manager_evaluates_it(content, lost):
    """Literal lists and expressions alike; text stays text, a secret's value is a secure parameter's."""
    added = compare(live(**BELOW), WANTED).added
    carried = carry_over(content, added)
    given = {"apiKey": {"value": "k"}, SECRETS: {"value": {"mine": "its value"}}}
    [app] = plan_of(carried.content, given, GROUP, "d").resources
    body = app.whole_body()

    assert [one.in_words() for one in carried.lost] == lost
    assert {"owner": "[me]", "quote": "it's"}.items() <= body["tags"].items()
    assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {"/i/d": {}}}
    configuration, containers = body["properties"]["configuration"], body["properties"]["template"]["containers"]
    assert {"name": "mine", "value": "its value"} in configuration["secrets"]
    assert configuration["secrets"][0]["name"] == "api-key"
    assert configuration["ingress"]["customDomains"] == [{"name": "a.b", "bindingType": "Disabled"}]
    assert [one["name"] for one in containers] == ["inference", "helper"]
    assert containers[1]["resources"] == {"cpu": 0.5}
    if not lost:
        assert containers[0]["env"] == BELOW["container"]["env"]
    assert "its value" not in str(carried.content)


def module(inner, scope, **more):
    """A module with that template, as Bicep compiles one (`inner`), or as people write one by hand (`outer`)."""
    given = {} if scope == "outer" else {"apiKey": {"value": "[parameters('apiKey')]"}}
    return {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2025-04-01",
        "name": "app",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": scope},
            "parameters": given,
            "template": inner if scope == "inner" else {**inner, "parameters": {}, "variables": {}},
            **more,
        },
    }


@pytest.mark.parametrize(
    "resources",
    [
        [module(template(), "inner")],
        [module(template(), "outer")],
        [module({**template(), "resources": [module(template(), "inner")]}, "inner")],
    ],
    ids=["module", "outer scope", "module in a module"],
)
def test_what_is_kept_reaches_an_app_in_a_module(resources):
    """Also its secret, by a secure parameter that each module hands on."""
    carried = carry_over({**template(), "resources": resources}, compare(live(**BELOW), WANTED).added)
    given = {"apiKey": {"value": "k"}, SECRETS: {"value": {"mine": "its value"}}}
    [app] = [one for one in plan_of(carried.content, given, GROUP, "d").everything() if not one.is_deployment]
    configuration = app.whole_body()["properties"]["configuration"]

    assert not carried.lost
    assert {"name": "mine", "value": "its value"} in configuration["secrets"]
    assert app.whole_body()["tags"]["owner"] == "[me]"


@pytest.mark.parametrize(
    "content",
    [
        {**template(), "resources": []},
        template(copy={"name": "apps", "count": 1}),
        {**template(), "resources": template()["resources"] * 2},
        {**template(), "resources": [{**module(template(), "inner"), "copy": {"name": "modules", "count": 1}}]},
        {**template(), "resources": [module(template(), "inner", parameters="[variables('given')]")]},
    ],
)
def test_an_app_that_is_not_one_resource_of_the_template_keeps_nothing(content):
    """In a loop, one of several, or with parameters that are an expression: it is left, and all is told as lost."""
    added = compare(live(**BELOW), WANTED).added
    carried = carry_over(content, added)

    assert carried.lost == added
    assert carried.content == content
