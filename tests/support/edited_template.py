"""Our template as people rewrite it: the app in a module, in a loop, beside another, without symbolic names."""

import copy

ENVIRONMENT = "[resourceId('Microsoft.App/managedEnvironments', parameters('acaEnvironmentName'))]"


def adds_word(app, name="WORD"):
    """A variable of the first container."""
    app["properties"]["template"]["containers"][0]["env"].append({"name": name, "value": "[toUpper('written')]"})


def _module(content, name="app"):
    """The app taken out of the template, in a module with the same parameters."""
    inner = {key: copy.deepcopy(content[key]) for key in content if key not in {"resources", "outputs", "metadata"}}
    app = content["resources"].pop("app")
    app["properties"]["environmentId"] = ENVIRONMENT
    inner["resources"] = {"app": {**app, "dependsOn": []}}
    inner["outputs"] = {"fqdn": {"type": "string", "value": "[reference('app').configuration.ingress.fqdn]"}}
    return {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2025-04-01",
        "name": name,
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": {key: {"value": f"[parameters('{key}')]"} for key in content["parameters"]},
            "template": inner,
        },
        "dependsOn": ["environmentStorage"],
    }


def into_a_module(content):
    """As Bicep compiles `module`."""
    content["resources"]["module"] = _module(content)
    content["outputs"]["ACA_APP_ENDPOINT"]["value"] = "[reference('module').outputs.fqdn.value]"


def into_a_module_of_a_module(content):
    """Two deep."""
    into_a_module(content)
    module = content["resources"].pop("module")
    inner = {key: copy.deepcopy(content[key]) for key in content if key not in {"resources", "outputs", "metadata"}}
    inner["resources"] = {"module": {**module, "dependsOn": []}}
    outer = {**module, "name": "outer", "properties": {**module["properties"], "template": inner}}
    content["resources"]["outer"] = outer
    del content["outputs"]["ACA_APP_ENDPOINT"]


def into_a_loop_of_modules(content):
    """A module for each of a list of names."""
    module = _module(content, "[format('app-{0}', copyIndex())]")
    module["copy"] = {"name": "modules", "count": 2}
    names = "createArray(parameters('acaAppName'), 'beside')[copyIndex()]"
    module["properties"]["parameters"]["acaAppName"] = {"value": f"[{names}]"}
    content["resources"]["modules"] = module
    del content["outputs"]["ACA_APP_ENDPOINT"]


def into_a_loop(content):
    """Two apps of one resource."""
    app = content["resources"]["app"]
    app["copy"] = {"name": "app", "count": 2}
    app["name"] = "[if(equals(copyIndex(), 1), parameters('acaAppName'), 'beside')]"
    del content["outputs"]["ACA_APP_ENDPOINT"]


def beside_another(content):
    """A second app, which is none of ours."""
    other = copy.deepcopy(content["resources"]["app"])
    other["properties"]["template"] = {"containers": [{"name": "web", "image": "docker.io/library/busybox:1"}]}
    content["resources"]["other"] = {**other, "name": "web"}


def without_symbolic_names(content):
    """As people write templates by hand, with another resource that waits for the app by its id."""
    app = content["resources"]["app"]
    app["properties"]["environmentId"] = ENVIRONMENT
    waits = {
        "type": "Microsoft.App/managedEnvironments/storages",
        "apiVersion": app["apiVersion"],
        "name": "[format('{0}/later', parameters('acaEnvironmentName'))]",
        "properties": {
            "azureFile": {"accountName": "a", "accountKey": "k", "shareName": "s", "accessMode": "ReadOnly"}
        },
        "dependsOn": ["[resourceId('Microsoft.App/containerApps', parameters('acaAppName'))]"],
    }
    content["resources"] = [{**app, "dependsOn": []}, waits]
    content["outputs"] = {}
    del content["languageVersion"]
    for declared in content["parameters"].values():
        declared.pop("items", None)


SHAPES = (
    into_a_module_of_a_module,
    into_a_loop_of_modules,
    into_a_loop,
    beside_another,
    without_symbolic_names,
)
