"""The local cloud misbehaves on demand, seen through the real SDKs."""

import asyncio
import dataclasses
import os
import pydoc
import re
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud import faults as faults_module
from ai_toolkit.local_cloud.faults.model import JSON_NAMES, Fault, Kind


async def groups(clients):
    return [found.name async for found in clients.resources.resource_groups.list()]


async def test_throttling_is_obeyed_by_the_sdk(clients, group, faults):
    """429 with Retry-After twice, and the third try is answered."""
    fault = faults.add("status", status=429, retryAfterSeconds=1, path="/resourcegroups", count=2)
    began = time.monotonic()
    found = await groups(clients)

    assert group in found
    assert faults.hits(fault) == 2
    assert time.monotonic() - began >= 2


async def test_the_nth_request_is_struck_whatever_it_is(clients, group, faults):
    """`skip` lets requests pass, the next one fails, and all of them are counted."""
    fault = faults.add("status", status=400, code="Unlucky", skip=2)
    await groups(clients)
    await groups(clients)
    with pytest.raises(HttpResponseError) as struck:
        await groups(clients)
    await groups(clients)

    assert struck.value.error.code == "Unlucky"
    assert (faults.hits(fault), faults.seen(fault)) == (1, 4)


async def test_an_expired_token_is_401_once(clients, group, faults):
    """As Azure says it: ExpiredAuthenticationToken; a faithful client signs in again."""
    faults.add("expired-token", count=None)
    with pytest.raises(ClientAuthenticationError) as refusal:
        await groups(clients)

    assert refusal.value.error.code == "ExpiredAuthenticationToken"


async def test_a_cut_download_is_no_whole_file(share, faults):
    """The SDK notices that the connection ended in the middle; the next download is whole."""
    content = bytes(range(256)) * 4096
    await share.get_file_client("big").upload_file(content)
    fault = faults.add("cut", port="files", method="GET", path="/big", bytes=100_000)
    with pytest.raises(HttpResponseError) as cut:
        await share.get_file_client("big").download_file()
    downloaded = await (await share.get_file_client("big").download_file()).readall()

    assert "interrupted" in cut.value.message
    assert downloaded == content
    assert faults.hits(fault) == 1


async def test_a_cut_upload_leaves_the_range_unwritten(share, faults):
    """The connection ends in the middle of a request's body; the SDK's second try writes it."""
    file = share.get_file_client("cut")
    await file.create_file(100_000)
    fault = faults.add("cut", port="files", method="PUT", path="comp=range", bytes=10, of="request")
    await file.upload_range(b"x" * 100_000, 0, 100_000)

    assert faults.hits(fault) == 1
    assert await (await file.download_file()).readall() == b"x" * 100_000


async def test_a_full_share_and_a_busy_one(share, faults):
    """ShareSizeLimitReached as often as wanted; ServerBusy is tried again by the SDK."""
    faults.add("share-full", port="files", method="PUT")
    with pytest.raises(HttpResponseError) as full:
        await share.get_file_client("one").upload_file(b"1")
    busy = faults.add("status", port="files", status=503, method="HEAD")
    with pytest.raises(HttpResponseError):
        await share.get_file_client("one").get_file_properties(retry_total=0)

    assert full.value.error_code == "ShareSizeLimitReached"
    assert faults.hits(busy) == 1


async def test_latency_is_waited_for(clients, group, faults):
    """The answer comes late and is right."""
    faults.add("latency", seconds=0.5)
    began = time.monotonic()
    found = await groups(clients)

    assert group in found
    assert time.monotonic() - began >= 0.5


async def test_a_resource_fails_and_what_was_done_stays(cloud_group, clients, deploy, faults):
    """The deployment says the injected code innermost; the storage account is there."""
    faults.add("resource-fails", path="/managedEnvironments/[^/]*$", code="OutOfCapacity", message="No room.")
    with pytest.raises(HttpResponseError) as failure:
        await deploy()
    accounts = [found.name async for found in clients.storage.storage_accounts.list_by_resource_group(cloud_group)]

    assert "OutOfCapacity" in str(failure.value)
    assert len(accounts) == 1


async def test_a_hanging_resource_can_be_cancelled(cloud_group, clients, template, faults, until):
    """A deployment that waits for ever is Canceled by cancel."""
    fault = faults.add("resource-hangs", path="/workspaces/")
    values = {"script": "exec sleep 100", "apiKey": "key"}
    properties = {
        "mode": "Incremental",
        "template": template,
        "parameters": {name: {"value": value} for name, value in values.items()},
    }
    operations = clients.deployments.deployments
    await operations.begin_create_or_update(cloud_group, "hangs", {"properties": properties}, polling=False)

    async def is_hanging():
        return faults.hits(fault)

    async def end():
        state = (await operations.get(cloud_group, "hangs")).properties.provisioning_state
        return state if state not in {"Accepted", "Running"} else None

    await until(is_hanging)
    await operations.cancel(cloud_group, "hangs")
    state = await until(end)

    assert state == "Canceled"


async def test_missing_gpu_quota_is_in_the_usages(clients, faults):
    """A preflight sees a limit of 0."""
    faults.add("no-gpu-quota", count=None)
    usages = [found async for found in clients.apps.usages.list("westus3")]

    assert {found.limit for found in usages if "Gpu" in found.name.value} == {0}


@pytest.mark.parametrize("kind", ["replica-crash", "replica-slow"])
async def test_a_replica_misbehaves_once_and_then_serves(deploy, faults, kind):
    """A replica that crashes is started again; one that is slow is waited for."""
    if kind == "replica-slow":
        fault = faults.add(kind, seconds=1)
        deployed = await deploy()
    else:
        deployed = await deploy()
        fault = faults.add(kind, path=deployed.app)
        async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/exit") as answer:
            await answer.read()
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        status = 503
        while status == 503 or not faults.hits(fault):
            async with session.get(f"http://{deployed.endpoint}/health") as answer:
                status = answer.status
            await asyncio.sleep(0.1)

    assert status == 200
    assert faults.hits(fault) == 1


def test_chances_are_repeatable():
    """The same seed strikes the same requests."""

    def struck(seed):
        fault = Fault.read({"kind": "status", "probability": 0.5, "seed": seed, "count": None})
        return [fault.happens_to("GET", "/") for _ in range(40)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 5 < sum(struck(1)) < 35


@pytest.mark.parametrize("fields", [{"kind": "nonsense"}, {"port": "usb"}, {"path": "("}, {"colour": 1}])
def test_a_fault_that_means_nothing_is_refused(faults, fields):
    """400 rather than a fault that never happens."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        faults.add(**{"kind": "status", **fields})

    assert refusal.value.code == 400
    refusal.value.close()


def test_every_field_and_kind_is_documented():
    """What `python -m pydoc ai_toolkit.local_cloud.faults` shows names all of them."""
    document = pydoc.plain(pydoc.render_doc(faults_module))
    names = {JSON_NAMES.get(one.name, one.name) for one in dataclasses.fields(Fault)} | set(Kind)

    assert {name for name in names if name not in document} == set()


def test_the_fixture_of_the_readme_works(clients, tmp_path):
    """The README's example, run by pytest beside a running local cloud."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "FaultInjection" in block]
    (tmp_path / "test_example.py").write_text(example)
    environment = {**os.environ, "AITK_LOCAL_CLOUD_HOME": str(clients.status.home)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "1 passed" in done.stdout, done.stdout + done.stderr


async def test_faults_of_a_file_are_there_from_the_start(tmp_path, monkeypatch):
    """What AITK_LOCAL_CLOUD_FAULTS names happens without anybody asking; a file that means nothing ends the start."""
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "no-replica-list"}, {"kind": "latency", "seconds": 0, "count": null}]')
    monkeypatch.setenv("AITK_LOCAL_CLOUD_FAULTS", str(file))
    await control.start(tmp_path / "home")
    try:
        with faults_module.FaultInjection(tmp_path / "home") as faults:
            found = [one["kind"] for one in faults._ask("GET", "")["value"]]
    finally:
        await control.stop(tmp_path / "home")
    file.write_text('[{"kind": "no-such-fault"}]')
    with pytest.raises(control.LocalCloudError) as refused:
        await control.start(tmp_path / "home")

    assert found == ["no-replica-list", "latency"]
    assert "kind of a fault is one of" in refused.value.message
