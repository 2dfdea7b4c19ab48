"""Microsoft's own template, declined ours: compiled by the Bicep CLI and deployed as it is."""

import json
import sys

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.errors import ToolMissing

PARAMETERS = ("storageAccountName", "fileShareName", "acaEnvironmentName", "acaAppName", "acaLogAnalyticsName")
BICEP = "".join(
    f"param {name} string\n"
    for name in ("defaultCommands", "location", "resourceSuffix", "acaEnvironmentStorageName", *PARAMETERS)
)
SUFFIX = "[substring(uniqueString(resourceGroup().id), 0, 5)]"


def name(prefix):
    return {"type": "string", "defaultValue": f"[format('{prefix}{{0}}', parameters('resourceSuffix'))]"}


def reference(kind, parameter):
    return f"resourceId('{kind}', parameters('{parameter}'))"


ACCOUNT = reference("Microsoft.Storage/storageAccounts", "storageAccountName")
ENVIRONMENT = reference("Microsoft.App/managedEnvironments", "acaEnvironmentName")
APP = reference("Microsoft.App/containerApps", "acaAppName")
# The same parameters, outputs and kinds of resources, with defaults of its own and no key.
COMPILED = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {
        "defaultCommands": {"type": "array"},
        "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
        "resourceSuffix": {"type": "string", "defaultValue": SUFFIX},
        "storageAccountName": name("waisstorage"),
        "fileShareName": name("waisfileshare"),
        "acaEnvironmentName": name("waisenv"),
        "acaEnvironmentStorageName": name("waisenvstorage"),
        "acaAppName": name("waisacaapp"),
        "acaLogAnalyticsName": name("waislog"),
    },
    "resources": [
        {
            "type": "Microsoft.Storage/storageAccounts",
            "apiVersion": "2023-01-01",
            "name": "[parameters('storageAccountName')]",
            "location": "[parameters('location')]",
            "kind": "StorageV2",
            "sku": {"name": "Standard_LRS"},
            "properties": {"largeFileSharesState": "Enabled"},
        },
        {
            "type": "Microsoft.App/managedEnvironments",
            "apiVersion": "2023-11-02-preview",
            "name": "[parameters('acaEnvironmentName')]",
            "location": "[parameters('location')]",
            "properties": {
                "workloadProfiles": [
                    {"name": "GPU", "workloadProfileType": "NC24-A100", "minimumCount": 0, "maximumCount": 1}
                ]
            },
        },
        {
            "type": "Microsoft.App/containerApps",
            "apiVersion": "2023-11-02-preview",
            "name": "[parameters('acaAppName')]",
            "location": "[parameters('location')]",
            "dependsOn": [f"[{ENVIRONMENT}]"],
            "properties": {
                "environmentId": f"[{ENVIRONMENT}]",
                "workloadProfileName": "GPU",
                "configuration": {"activeRevisionsMode": "Single", "ingress": {"external": True, "targetPort": 7860}},
                "template": {
                    "containers": [
                        {
                            "name": "chat",
                            "image": "docker.io/pytorch/pytorch:2.3.0-cuda11.8-cudnn8-runtime",
                            "command": ["/bin/bash", "-c", "[join(parameters('defaultCommands'), '; ')]"],
                            "resources": {"cpu": 24, "memory": "220Gi"},
                        }
                    ],
                    "scale": {"minReplicas": 1, "maxReplicas": 1},
                },
            },
        },
    ],
    "outputs": {
        "SUBSCRIPTION_ID": {"type": "string", "value": "[subscription().subscriptionId]"},
        "RESOURCE_GROUP_NAME": {"type": "string", "value": "[resourceGroup().name]"},
        "STORAGE_ACCOUNT_NAME": {"type": "string", "value": "[parameters('storageAccountName')]"},
        "FILE_SHARE_NAME": {"type": "string", "value": "[parameters('fileShareName')]"},
        "ACA_APP_NAME": {"type": "string", "value": "[parameters('acaAppName')]"},
        "ACA_APP_ENDPOINT": {"type": "string", "value": f"[reference({APP}).configuration.ingress.fqdn]"},
    },
}


@pytest.fixture
def theirs(ground, tmp_path, monkeypatch):
    """Their template in the workspace, and a compiler of the test's own that AITK_BICEP names."""
    folder = ground.workspace.provision_folder
    (folder / "inference.json").unlink()
    (folder / "inference.bicep").write_text(BICEP)
    (folder / "inference.parameters.json").write_text(json.dumps({"parameters": {}}))
    ground.give(defaultCommands=["cd /", "exec python3 -m http.server $CONTAINER_APP_PORT"])
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f"#!{sys.executable}\nimport sys\n_program, build, stdout, file = sys.argv\n"
        f"assert (build, stdout) == ('build', '--stdout')\nassert 'resourceSuffix' in open(file).read()\n"
        f"print({json.dumps(COMPILED)!r})\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("AITK_BICEP", str(compiler))
    return ground


async def test_declined_theirs_is_compiled_and_deployed_as_it_is(theirs):
    """With its own default names; the config file gets its outputs; a second run deploys nothing."""
    person = Person("theirs")
    await theirs.provision(person)
    async with theirs.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        app = await client.container_apps.get(theirs.group, theirs.config["ACA_APP_NAME"])
    again = Person("theirs")
    second = await theirs.provision(again)

    assert theirs.config["ACA_APP_NAME"].startswith("waisacaapp")
    assert app.template.scale.min_replicas == 1
    assert app.workload_profile_name == "GPU"
    assert "Nothing changed" in again.text
    assert (second.created, second.updated) == ((), ())
    assert [item.label for item in person.asked[0].items][:2] == [
        "Use our template and app",
        "Deploy Microsoft's as it is",
    ]


async def test_a_named_compiler_that_cannot_run_is_an_error_that_names_it(theirs, monkeypatch):
    """The setting is wrong, so nothing else is tried."""
    monkeypatch.setenv("AITK_BICEP", "/no/such/bicep")

    with pytest.raises(ToolMissing, match="AITK_BICEP names /no/such/bicep"):
        await theirs.provision(Person("theirs"))


async def test_accepted_ours_is_provisioned(theirs):
    """No compiler is needed then."""
    person = Person("ours")
    await theirs.provision(person)

    assert theirs.config["ACA_APP_NAME"].startswith("aiacaapp")
    assert (theirs.workspace.provision_folder / "inference.microsoft.bicep").exists()
