"""No process is left, whichever one is killed."""

import asyncio
import json
import os
import signal

import aiohttp
import pytest

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.core.processes import start_time

pytestmark = pytest.mark.usefixtures("clients")


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while start_time(pid) is not None:  # noqa: ASYNC110  # the end of another's child sends no event
            await asyncio.sleep(0.01)


async def about(deployed) -> dict[str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{deployed.endpoint}/about") as answer:
        return await answer.json(content_type=None)


def guards(home) -> list[int]:
    return [int(record.name) for record in (home / "replicas").iterdir()]


async def test_a_replica_dies_with_its_guard_and_is_started_again(deployed, clients):
    """Killing the process that guards a replica ends the replica; a new one answers."""
    before = int((await about(deployed))["pid"])
    (guard,) = guards(clients.status.home)
    os.kill(guard, signal.SIGKILL)
    await gone(before)
    async with asyncio.timeout(30):
        while True:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{deployed.endpoint}/about") as answer,
            ):
                if answer.status == 200:
                    after = await answer.json(content_type=None)
                    break
            await asyncio.sleep(0.1)

    assert int(after["pid"]) != before


async def test_replicas_die_with_a_killed_cloud_and_the_address_survives(deployed, clients):
    """After kill -9 of the cloud its replicas are gone; started again, the app has the same address."""
    replica = int((await about(deployed))["pid"])
    home = clients.status.home
    cloud = int(json.loads((home / "address.json").read_text())["pid"])
    os.kill(cloud, signal.SIGKILL)
    await gone(replica)
    await gone(cloud)
    again = await control.start(home)
    woken = await about(deployed)

    assert again.resource_manager == clients.status.resource_manager
    assert woken["AITK_API_KEY"] == "the-key"


async def test_stop_leaves_no_process(deployed, clients):
    """Stop ends the cloud and its replicas."""
    home = clients.status.home
    replica = int((await about(deployed))["pid"])
    (guard,) = guards(home)
    cloud = int(json.loads((home / "address.json").read_text())["pid"])
    await control.stop(home)
    left = [pid for pid in (replica, guard, cloud) if start_time(pid) is not None]
    await control.start(home)

    assert left == []
