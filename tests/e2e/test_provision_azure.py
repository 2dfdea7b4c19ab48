"""Provision on a cloud that is not this computer: what is asked there, and what an answer does."""

import json

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.azure_account import RESEARCH, Azure
from tests.support.provisioning import Person

from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.errors import Dismissed
from ai_toolkit.local_cloud import control
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.preview import Answer
from ai_toolkit.provision.run import provision
from ai_toolkit.workspace.template import add_to_workspace
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

ANSWERS = Answers(RESEARCH, "models", "westus3", agreed=True)


@pytest.fixture
async def azure(tmp_path, monkeypatch):
    """The local cloud acting as Azure, with an Azure CLI that is signed in to it."""
    started = await Azure.start(tmp_path)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in started.environment.items():
        monkeypatch.setenv(name, value)
    started.install_cli()
    yield started
    await control.stop(started.home)


@pytest.fixture
def workspace(tmp_path):
    add_to_workspace(tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


async def group():
    async with open_cloud(RESEARCH) as cloud, cloud.resource_manager(RESEARCH) as manager:
        return await manager.resource_group("models")


async def test_the_preview_is_asked_for_before_anything_exists(azure, workspace):
    """Cancelled at the preview, not even the resource group was made; what is billed was said."""
    person = Person("details", "cancel")
    with pytest.raises(Dismissed):
        await provision(workspace, person, ANSWERS)

    assert await group() is None
    assert [item.label for item in person.asked[0].items][:2] == ["Provision", "Show details"]
    assert "What is billed:" in person.text
    assert not workspace.target_path.exists()


async def test_agreed_to_it_is_provisioned_and_the_portal_s_link_is_said_at_once(azure, workspace):
    """The link names the deployment, before its first resource is told."""
    person = Person("provision")
    await provision(workspace, person, ANSWERS)
    link = next(place for place, line in enumerate(person.said) if "DeploymentDetailsBlade" in line)
    first = next(place for place, line in enumerate(person.said) if line.startswith("    queued"))

    assert link < first
    assert json.loads(workspace.target_path.read_text())["SUBSCRIPTION_ID"] == RESEARCH


async def test_only_my_address_is_asked_for_previewed_again_and_deployed(azure, workspace):
    """Chosen in the preview: the address is typed, kept in the parameters, and in the app's rules."""
    person = Person(Answer.ONLY_MY_ADDRESS, "203.0.113.7", "provision")
    await provision(workspace, person, ANSWERS)
    name = json.loads(workspace.target_path.read_text())["ACA_APP_NAME"]
    async with (
        open_cloud(RESEARCH) as cloud,
        cloud.connection.client(ContainerAppsAPIClient, RESEARCH, api_version=APP_API_VERSION) as client,
    ):
        app = await client.container_apps.get("models", name)

    assert [one.ip_address_range for one in app.configuration.ingress.ip_security_restrictions] == ["203.0.113.7"]
    assert "Allow only my address…" not in [item.label for item in person.asked[2].items]
    assert workspace.parameters().values["allowedIpRanges"] == ["203.0.113.7"]


async def test_another_group_than_fine_tuning_s_is_asked_about(azure, workspace):
    """Declined, nothing is made."""
    names = {"SUBSCRIPTION_ID": LOCAL_SUBSCRIPTION, "RESOURCE_GROUP_NAME": "tuning"}
    (workspace.folder / "infra/finetuning.config.json").write_text(json.dumps(names))
    person = Person("no")
    with pytest.raises(Dismissed):
        await provision(workspace, person, ANSWERS)

    assert "its model will not be on the share of models" in person.asked[0].title
    assert await group() is None
