"""Provision on a cloud that is not this computer: what is asked there, and what an answer does."""

import json
from dataclasses import replace

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.azure_account import RESEARCH, Azure
from tests.support.provisioning import Person

from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.errors import Dismissed, PreflightFailed
from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.faults import FaultInjection
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


def put_model(workspace, gigabytes=2):
    """A base model of that size, of which only the header is there."""
    base = workspace.folder / "model-cache/org/model"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    size = int(gigabytes * 1e9)
    header = json.dumps({"w": {"dtype": "F16", "shape": [size // 2, 1], "data_offsets": [0, size]}}).encode()
    (base / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


async def test_the_cheapest_gpu_that_fits_is_offered_and_written(azure, workspace):
    """A small model needs no A100: what is taken is in the parameters file, previewed with its price, and deployed."""
    put_model(workspace)
    person = Person(Answer.PROPOSED_GPU, "provision")
    await provision(workspace, person, replace(ANSWERS, location="eastus"))

    assert "Use Consumption-GPU-NC8as-T4 in eastus…" in [item.label for item in person.asked[0].items]
    assert "Use Consumption-GPU-NC8as-T4 in eastus…" not in [item.label for item in person.asked[1].items]
    assert "org/model fits: 2.0 GB of weights, 16 GB on the GPU" in person.text
    assert "about 6.35 USD an hour while a replica runs (list of 2026-08-01); nothing while idle" in person.text
    assert "about 1.56 USD an hour while a replica runs (list of 2026-08-01); nothing while idle" in person.text
    assert workspace.parameters().values["workloadProfileType"] == "Consumption-GPU-NC8as-T4"
    assert "location" not in workspace.parameters().values


async def test_a_region_without_a_gpu_is_answered_by_another_one(azure, workspace):
    """Taken, it is written; left, nothing is sent."""
    put_model(workspace)
    answers = replace(ANSWERS, location="northeurope")
    with pytest.raises(PreflightFailed):
        await provision(workspace, Person("leave"), answers)
    assert await group() is None

    person = Person("take", "provision")
    await provision(workspace, person, answers)
    values = workspace.parameters().values

    assert values["workloadProfileType"] == "Consumption-GPU-NC8as-T4"
    assert values["location"] in person.asked[0].items[0].label
    assert "northeurope offers" in person.asked[0].placeholder


async def test_missing_quota_is_named_with_the_words_to_ask_for_it(azure, workspace):
    """Before anything is sent."""
    put_model(workspace)
    person = Person()
    with FaultInjection(azure.home) as faults:
        faults.add("no-gpu-quota", count=None)
        with pytest.raises(PreflightFailed, match="quota is 0"):
            await provision(workspace, person, ANSWERS)

    assert "Missing quota: SubscriptionConsumptionT4Gpus in westus3, 0 now, 1 needed." in person.text
    assert "Please raise Subscription Consumption T4 Gpus" in person.text
