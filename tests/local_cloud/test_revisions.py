"""Activation of revisions, and what an app loses with its secrets; jobs are kept and read."""

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError


async def answer_of(deployed):
    async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/health") as answer:
        return answer.status


async def test_a_deactivated_revision_answers_no_more_and_an_activated_one_again(deploy, clients):
    """Without an active revision 404; activated, it starts a replica and answers."""
    deployed = await deploy(gpu=False)
    revisions = clients.apps.container_apps_revisions
    name = (await clients.apps.container_apps.get(deployed.group, deployed.app)).latest_revision_name
    await revisions.deactivate_revision(deployed.group, deployed.app, name)
    stopped = await revisions.get_revision(deployed.group, deployed.app, name)
    without = await answer_of(deployed)
    await revisions.activate_revision(deployed.group, deployed.app, name)
    again = await answer_of(deployed)
    active = await revisions.get_revision(deployed.group, deployed.app, name)

    assert (stopped.active, stopped.running_state, stopped.replicas) == (False, "Stopped", 0)
    assert (without, again) == (404, 200)
    assert active.active


async def test_a_put_without_its_secret_is_refused_while_it_is_used(deploy, clients):
    """What a GET returns has no secret values, so putting it back loses them: Azure says so, too."""
    deployed = await deploy(gpu=False)
    app = await clients.raw(
        f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{deployed.group}"
        f"/providers/Microsoft.App/containerApps/{deployed.app}",
        "2025-07-01",
    )
    del app["properties"]["configuration"]["secrets"]
    with pytest.raises(HttpResponseError) as refusal:
        await clients.apps.container_apps.begin_create_or_update(deployed.group, deployed.app, app)

    assert refusal.value.error.code == "ContainerAppSecretRefNotFound"


async def test_a_job_is_read_as_it_was_put(clients, group):
    """Fine-tuning's job is there to be looked at, without its secrets' values."""
    environment = {"location": "westus3", "properties": {}}
    made = await (await clients.apps.managed_environments.begin_create_or_update(group, "env", environment)).result()
    body = {
        "location": "westus3",
        "properties": {
            "environmentId": made.id,
            "configuration": {
                "triggerType": "Manual",
                "replicaTimeout": 60,
                "secrets": [{"name": "key", "value": "hidden"}],
            },
            "template": {"containers": [{"name": "train", "image": "image"}]},
        },
    }
    await (await clients.apps.jobs.begin_create_or_update(group, "train", body)).result()
    path = f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{group}/providers/Microsoft.App/jobs"
    job = await clients.raw(f"{path}/train", "2025-07-01")

    assert job["properties"]["template"]["containers"][0]["name"] == "train"
    assert "hidden" not in str(job)
