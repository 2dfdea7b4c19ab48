"""A template deployed by the real SDKs ends in an app that answers from its replica."""

import asyncio
import json
import socket

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError

from ai_toolkit.local_cloud import control

DEPLOYMENT = {"mode": "Incremental"}


async def test_a_deployed_app_answers_at_its_output_endpoint(deployed, clients):
    """The six outputs name what was made, and the endpoint reaches the replica's process."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/about") as answer:
        about = await answer.json(content_type=None)

    assert about["CONTAINER_APP_NAME"] == deployed.app
    assert about["AITK_API_KEY"] == "the-key"
    assert about["AITK_SHARE"] == str(clients.status.home / "shares" / deployed.account / "models")
    assert about["CONTAINER_APP_HOSTNAME"] == deployed.endpoint
    assert "PYTHONPATH" not in about


async def test_secrets_are_in_no_get_and_in_list_secrets(deployed, clients):
    """A GET names the app's secrets without values; listSecrets tells them."""
    app = await clients.apps.container_apps.get(deployed.group, deployed.app)
    secrets = await clients.apps.container_apps.list_secrets(deployed.group, deployed.app)
    environment = await clients.apps.managed_environments_storages.list(deployed.group, deployed.environment)

    assert app.configuration.secrets[0].value is None
    assert secrets.value[0].value == "the-key"
    assert environment.value[0].properties.azure_file.account_key is None


async def test_a_second_deployment_of_the_same_makes_no_revision(deployed, clients):
    """Deploying an unchanged template leaves the revision as it is, and what-if says so beforehand."""
    before = (await clients.apps.container_apps.get(deployed.group, deployed.app)).latest_revision_name
    poller = await clients.deployments.deployments.begin_create_or_update(
        deployed.group, "again", {"properties": deployed.properties}
    )
    await poller.result()
    after = (await clients.apps.container_apps.get(deployed.group, deployed.app)).latest_revision_name

    assert after == before


async def test_a_replica_that_ends_at_start_fails_its_revision(cloud_group, clients, deploy):
    """The deployment fails with the innermost reason, and the log stream keeps the last words."""
    with pytest.raises(HttpResponseError) as failure:
        await deploy(script="echo about to end; exit 7")

    app = await anext(clients.apps.container_apps.list_by_resource_group(cloud_group))
    revision = await clients.apps.container_apps_revisions.get_revision(cloud_group, app.name, app.latest_revision_name)
    replicas = await clients.apps.container_apps_revision_replicas.list_replicas(
        cloud_group, app.name, app.latest_revision_name
    )
    token = await clients.apps.container_apps.get_auth_token(cloud_group, app.name)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token.token}"}) as session:
        url = replicas.value[0].containers[0].log_stream_endpoint
        async with session.get(url, params={"tailLines": "50", "output": "text"}) as answer:
            words = await answer.text()
    assert "exit code 7" in json.dumps(
        failure.value.error.as_dict() if hasattr(failure.value.error, "as_dict") else str(failure.value)
    )
    assert revision.running_state == "Failed"
    assert "about to end" in words


async def test_a_restart_starts_a_new_process_at_the_same_address(deployed, clients):
    """After a revision's restart another process answers, and the app's address is the same."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{deployed.endpoint}/about") as answer:
            before = await answer.json(content_type=None)
        await clients.apps.container_apps_revisions.restart_revision(
            deployed.group, deployed.app, before["CONTAINER_APP_REVISION"]
        )
        async with session.get(f"http://{deployed.endpoint}/about") as answer:
            after = await answer.json(content_type=None)

    assert after["pid"] != before["pid"]
    assert after["CONTAINER_APP_REVISION"] == before["CONTAINER_APP_REVISION"]


async def test_a_stopped_app_answers_404_and_a_started_one_again(deployed, clients):
    """Stop ends the replicas; start brings an answer back."""
    async with aiohttp.ClientSession() as session:
        await (await clients.apps.container_apps.begin_stop(deployed.group, deployed.app)).result()
        async with session.get(f"http://{deployed.endpoint}/health") as answer:
            stopped = answer.status
        await (await clients.apps.container_apps.begin_start(deployed.group, deployed.app)).result()
        async with session.get(f"http://{deployed.endpoint}/health") as answer:
            started = answer.status

    assert (stopped, started) == (404, 200)


async def test_an_idle_app_sleeps_and_a_request_wakes_it(clients, deploy, until):
    """After the cooldown no replica is left; the next request waits for a new one."""
    deployed = await deploy(cooldownSeconds=1)
    app = await clients.apps.container_apps.get(deployed.group, deployed.app)

    async def is_asleep():
        listed = await clients.apps.container_apps_revision_replicas.list_replicas(
            deployed.group, deployed.app, app.latest_revision_name
        )
        return not listed.value

    await until(is_asleep, 60)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{deployed.endpoint}/health") as answer,
    ):
        woken = answer.status

    assert woken == 200


async def revision_when(clients, deployed, test):
    """The app's revision, once a condition holds for it."""
    app = await clients.apps.container_apps.get(deployed.group, deployed.app)
    async with asyncio.timeout(30):
        while True:
            revision = await clients.apps.container_apps_revisions.get_revision(
                deployed.group, deployed.app, app.latest_revision_name
            )
            if test(revision):
                return revision
            await asyncio.sleep(0.1)


async def test_a_taken_port_is_named_by_the_revision_until_it_is_free(deployed, clients):
    """The revision has Failed and says the port and what to do; freed, the address answers again."""
    home = clients.status.home
    await control.stop(home)
    with socket.create_server(("127.0.0.1", int(deployed.endpoint.rpartition(":")[2]))):
        await control.start(home)
        failed = await revision_when(clients, deployed, lambda found: found.provisioning_error)
        await clients.apps.container_apps_revisions.restart_revision(deployed.group, deployed.app, failed.name)
        restarted = await revision_when(clients, deployed, lambda found: found.provisioning_error)
    await clients.apps.container_apps_revisions.restart_revision(deployed.group, deployed.app, failed.name)
    healed = await revision_when(clients, deployed, lambda found: not found.provisioning_error)
    async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/health") as answer:
        status = answer.status

    assert (failed.running_state, restarted.running_state) == ("Failed", "Failed")
    assert f"port {deployed.endpoint.rpartition(':')[2]}" in failed.provisioning_error
    assert "end that process" in failed.provisioning_error
    assert healed.running_state != "Failed"
    assert status == 200


async def test_a_stream_arrives_as_it_is_sent(deployed):
    """The first event is readable while the app still holds back the second."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/stream") as answer:
        first = await answer.content.readuntil(b"\n\n")
        async with session.post(f"http://{deployed.endpoint}/release") as released:
            await released.read()
        rest = await answer.content.read()

    assert first == b"data: first\n\n"
    assert rest == b"data: second\n\n"
