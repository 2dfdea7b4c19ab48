"""Replicas: probes and their consequences, the GPU that a revision waits for, and what goes wrong on demand."""

import asyncio
import json
import os
import signal
import sys
from types import SimpleNamespace

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from tests.support import slow_share
from tests.support.local_cloud import WEB_APP

from ai_toolkit.local_cloud.core.processes import start_time

QUICK = {"periodSeconds": 1, "httpGet": {"path": "/health", "port": 7860}}
STARTUP = {**QUICK, "type": "Startup", "failureThreshold": 10}
READINESS = {**QUICK, "type": "Readiness", "failureThreshold": 1}
LIVENESS = {**QUICK, "type": "Liveness", "failureThreshold": 2}


@pytest.fixture
def look(clients):
    """Reads revisions and replicas of a deployed app."""
    revisions, replicas = clients.apps.container_apps_revisions, clients.apps.container_apps_revision_replicas

    async def latest(app):
        return (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name

    async def revision(app, name=None):
        return await revisions.get_revision(app.group, app.app, name or await latest(app))

    async def containers(app, name=None):
        listed = await replicas.list_replicas(app.group, app.app, name or await latest(app))
        return [one.containers[0] for one in listed.value]

    return SimpleNamespace(latest=latest, revision=revision, containers=containers)


async def answer_of(app, path="/health", seconds=20.0):
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"http://{app.endpoint}{path}") as answer:
        return answer.status, await answer.text()


async def changed(clients, app, name, value):
    """A new revision by PATCH: the container with another environment variable; not waited for."""
    body = await clients.raw(
        f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{app.group}"
        f"/providers/Microsoft.App/containerApps/{app.app}",
        "2025-07-01",
    )
    (container,) = body["properties"]["template"]["containers"]
    container["env"].append({"name": name, "value": value})
    patch = {"location": "westus3", "properties": {"template": {"containers": [container]}}}
    return await clients.apps.container_apps.begin_update(app.group, app.app, patch)


async def test_an_unready_replica_gets_no_traffic(deploy, clients, look, until):
    """While readiness fails, a request waits; ready again, it is answered by the same process."""
    app = await deploy(gpu=False, probes=[STARTUP, READINESS])
    sick = clients.status.home / "shares" / app.account / "models" / "sick"
    before = (await answer_of(app, "/about"))[1]
    sick.touch()

    async def unready():
        return not (await look.containers(app))[0].ready

    await until(unready)
    with pytest.raises(TimeoutError):
        await answer_of(app, "/about", seconds=1)
    waiting = asyncio.create_task(answer_of(app, "/about"))
    sick.unlink()
    status, after = await waiting
    (container,) = await look.containers(app)

    assert status == 200
    assert before == after
    assert container.restart_count == 0


async def test_a_failed_liveness_probe_restarts_the_container(deploy, clients, look, until):
    """Another process, one restart counted, and the system log says why."""
    app = await deploy(gpu=False, probes=[STARTUP, LIVENESS])
    sick = clients.status.home / "shares" / app.account / "models" / "sick"
    before = (await answer_of(app, "/about"))[1]
    sick.touch()

    async def restarted():
        found = await look.containers(app)
        return found and found[0].restart_count == 1

    await until(restarted)
    sick.unlink()

    async def answered():
        status, text = await answer_of(app, "/about")
        return text if status == 200 else None

    after = await until(answered)
    log = (clients.status.home / "logs" / app.group / app.app / "system.log").read_text()

    assert after != before
    assert "The liveness probe failed; the container is restarted." in log


async def test_a_failed_startup_probe_fails_the_revision(deploy):
    """A container that never listens is ended, and the deployment says so."""
    with pytest.raises(HttpResponseError) as failure:
        await deploy(gpu=False, script="exec sleep 600", probes=[{**STARTUP, "failureThreshold": 2}])

    assert "Failed to provision revision" in str(failure.value)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({**STARTUP, "failureThreshold": 11}, "must be from 1 to 10"),
        ({**STARTUP, "initialDelaySeconds": 61}, "must be from 0 to 60"),
        ({**STARTUP, "periodSeconds": 241}, "must be from 1 to 240"),
        ({"type": "Startup"}, "either 'httpGet' or 'tcpSocket'"),
    ],
    ids=["threshold", "delay", "period", "nothing"],
)
async def test_probes_out_of_azures_bounds_are_refused(deploy, probe, words):
    """Before anything runs, with the property's place."""
    with pytest.raises(HttpResponseError) as refusal:
        await deploy(gpu=False, probes=[probe])

    assert words in str(refusal.value)


async def test_a_new_revision_waits_for_the_gpu_of_the_old_one(deploy, clients, look, until):
    """One GPU: the old revision serves on, the new one starts when the old one is deactivated."""
    app = await deploy(gpu=True)
    old = await look.latest(app)
    poller = await changed(clients, app, "COLOUR", "red")

    async def created():
        return await look.latest(app) != old

    await until(created)
    waiting = await look.revision(app)
    containers = await look.containers(app)
    status, about = await answer_of(app, "/about")
    usages = [one async for one in clients.apps.usages.list("westus3")]
    await clients.apps.container_apps_revisions.deactivate_revision(app.group, app.app, old)
    await poller.result()
    after = (await answer_of(app, "/about"))[1]

    assert (waiting.running_state, waiting.provisioning_state, containers) == ("Processing", "Provisioning", [])
    assert (status, '"COLOUR"' in about) == (200, False)
    assert {(one.current_value, one.limit) for one in usages if "ConsumptionNCA100" in one.name.value} == {(1, 1)}
    assert '"COLOUR": "red"' in after


async def test_without_quota_an_app_that_needs_a_gpu_is_refused(deploy, faults, clients, group):
    """The deployment fails naming the quota; an app without GPU is made."""
    fault = faults.add("no-gpu-quota")
    with pytest.raises(HttpResponseError) as refusal:
        await deploy(gpu=True)
    await deploy("second", gpu=False)
    (app,) = [one async for one in clients.apps.container_apps.list_by_resource_group(group)]
    faults.remove(fault)

    assert "MaxRegionalQuotaExceeded" in str(refusal.value)
    assert "needs a GPU, and the quota of GPUs in this region is 0" in str(refusal.value)
    assert app.provisioning_state == "Succeeded"


async def test_without_quota_a_running_app_gets_no_new_revision(deploy, faults, clients, look):
    """The PATCH fails naming the quota, and the old revision serves on."""
    app = await deploy(gpu=True)
    before = await look.latest(app)
    faults.add("no-gpu-quota")
    with pytest.raises(HttpResponseError) as refusal:
        await (await changed(clients, app, "COLOUR", "red")).result()

    assert "MaxRegionalQuotaExceeded" in str(refusal.value)
    assert await look.latest(app) == before
    assert (await answer_of(app))[0] == 200


async def test_a_replica_that_hangs_is_ended_by_its_probe_and_started_again(deploy, faults, clients, look, until):
    """The first process never listens; after the startup probe's failures a second one gets ready."""
    fault = faults.add("replica-hang", path="aiacaapp")
    with pytest.raises(HttpResponseError) as failure:
        await deploy(gpu=False, probes=[{**STARTUP, "failureThreshold": 2}])
    (app,) = [one async for one in clients.apps.container_apps.list_by_subscription()]
    named = SimpleNamespace(group=app.id.split("/")[4], app=app.name)

    async def ready():
        found = await look.containers(named)
        return found and found[0].ready and found[0].restart_count == 1

    assert await until(ready)
    assert faults.hits(fault) == 1
    assert "Failed to provision revision" in str(failure.value)


async def test_a_replica_that_is_slow_is_waited_for(deploy, faults):
    """The deployment succeeds when the replica is ready at last."""
    fault = faults.add("replica-slow", seconds=2)
    app = await deploy(gpu=False)

    assert faults.hits(fault) == 1
    assert (await answer_of(app))[0] == 200


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK) or os.geteuid() != 0, reason="only root can mount it slow")
async def test_a_share_can_be_slow_for_a_replica(clients, deploy, faults, until):
    """Each read of the mounted share takes the time that was asked for; on the next start it is quick again."""
    timed = "import time; begun = time.monotonic(); open('$AITK_SHARE/page').read(); print(time.monotonic() - begun)"
    script = f'export TOOK=$(python3 -c "{timed}" || echo 0); exec python3 {WEB_APP}'
    app = await deploy(gpu=False, script=script)
    (clients.status.home / "shares" / app.account / "models" / "page").write_text("x")
    slowed = [sys.executable, "-I", "-S", slow_share.__file__, "{share}", "1.5", "0", "1", "--"]
    fault = faults.add("replica-wrapped", command=slowed)

    async def told():
        status, body = await answer_of(app, "/about")
        return json.loads(body) if status == 200 else None

    took, processes = [], {(await until(told))["pid"]}
    for _ in range(2):
        await answer_of(app, "/exit")
        about = await until(told)
        while about["pid"] in processes:
            about = await until(told)
        processes.add(about["pid"])
        took.append(float(about["TOOK"]))

    assert took[0] > 1.5 > took[1] > 0
    assert faults.hits(fault) == 1


async def test_a_replica_that_crashes_at_start_fails_the_deployment(deploy, faults):
    """The innermost reason is the exit code."""
    faults.add("replica-crash", count=None)
    with pytest.raises(HttpResponseError) as failure:
        await deploy(gpu=False)

    assert "exit code 1" in str(failure.value)


async def test_a_killed_container_leaves_nothing_and_is_started_again(deploy, look, until):
    """kill -9 of the app's own process ends its whole group, children included."""
    script = f"sleep 600 & exec python3 {WEB_APP}"
    app = await deploy(gpu=False, script=script)
    before = int(json.loads((await answer_of(app, "/about"))[1])["pid"])
    group = os.getpgid(before)
    os.kill(before, signal.SIGKILL)

    async def gone():
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    await until(gone)

    async def again():
        found = await look.containers(app)
        return found and found[0].restart_count == 1 and found[0].ready

    await until(again)

    assert start_time(before) is None
    assert (await answer_of(app))[0] == 200


async def test_a_put_without_its_secret_loses_it(deploy, clients):
    """Secrets that the body does not name are gone, once no container refers to them."""
    app = await deploy(gpu=False)
    address = (
        f"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{app.group}"
        f"/providers/Microsoft.App/containerApps/{app.app}"
    )
    body = await clients.raw(address, "2025-07-01")
    del body["properties"]["configuration"]["secrets"]
    (container,) = body["properties"]["template"]["containers"]
    container["env"] = [one for one in container["env"] if "secretRef" not in one]
    await (await clients.apps.container_apps.begin_create_or_update(app.group, app.app, body)).result()
    left = await clients.apps.container_apps.list_secrets(app.group, app.app)

    assert left.value == []


async def test_a_secret_is_read_when_a_replica_starts(deploy, clients, look):
    """A changed secret makes no revision; the replica has it after a restart."""
    app = await deploy(gpu=False)
    revision = await look.latest(app)
    patch = {
        "location": "westus3",
        "properties": {"configuration": {"secrets": [{"name": "api-key", "value": "other"}]}},
    }
    await (await clients.apps.container_apps.begin_update(app.group, app.app, patch)).result()
    before = (await answer_of(app, "/about"))[1]
    same = await look.latest(app)
    await clients.apps.container_apps_revisions.restart_revision(app.group, app.app, revision)
    after = (await answer_of(app, "/about"))[1]

    assert same == revision
    assert '"AITK_API_KEY": "the-key"' in before
    assert '"AITK_API_KEY": "other"' in after
