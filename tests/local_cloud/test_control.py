"""Starting, stopping and resetting the local cloud, and who may call it."""

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.core.processes import start_time


@pytest.fixture
async def home(tmp_path, monkeypatch):
    """A folder whose cloud is stopped after the test."""
    monkeypatch.setenv("AITK_REPLICA_PYTHON", sys.executable)
    yield tmp_path / "home"
    await control.stop(tmp_path / "home")


def pid_of(home: Path) -> int:
    return int(json.loads((home / "address.json").read_text())["pid"])


async def test_two_starts_at_once_get_the_same_cloud(home):
    """Whoever comes second waits and finds it running."""
    one, two = await asyncio.gather(control.start(home), control.start(home))

    assert one == two
    assert one.running
    assert (await control.status(home)) == one


async def test_the_token_file_is_private_and_the_token_opens_the_door(home):
    """Mode 0600, one line, a valid bearer token; without it 401 in ARM's shape."""
    status = await control.start(home)
    token = status.token_file.read_text()
    url = f"{status.resource_manager}/subscriptions?api-version=2022-12-01"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as without:
            refusal = await without.json()
        async with session.get(url, headers={"Authorization": f"Bearer {token.strip()}"}) as with_token:
            pass
        headers = {"Authorization": f"Bearer {token.strip()}", "Origin": "https://example.org"}
        async with session.get(url, headers=headers) as from_page:
            pass
        headers = {"Authorization": f"Bearer {token.strip()}", "Host": "example.org"}
        async with session.get(url, headers=headers) as foreign:
            pass

    assert stat.S_IMODE(status.token_file.stat().st_mode) == 0o600
    assert token.count("\n") == 1
    assert (without.status, with_token.status, from_page.status, foreign.status) == (401, 200, 403, 403)
    assert refusal["error"]["code"] == "AuthenticationFailed"


async def test_a_restarted_cloud_has_the_same_address(home):
    """Both ports are the same again where they are free."""
    before = await control.start(home)
    stopped = await control.stop(home)
    after = await control.start(home)

    assert stopped
    assert after == before


async def test_stop_says_whether_it_ran(home):
    """False for a cloud that does not run, or never did."""
    never = await control.stop(home)
    await control.start(home)
    ran = await control.stop(home)
    again = await control.stop(home)

    assert (never, ran, again) == (False, True, False)
    assert not (await control.status(home)).running


async def test_a_killed_cloud_is_started_anew(home, until):
    """After kill -9 status says stopped, and start starts."""
    await control.start(home)
    first = pid_of(home)
    os.kill(first, signal.SIGKILL)

    async def gone():
        return start_time(first) is None

    await until(gone)
    status = await control.status(home)
    again = await control.start(home)

    assert not status.running
    assert again.running
    assert pid_of(home) != first


async def test_reset_forgets_everything_but_the_token(home):
    """Resources and shares are gone, the token stays valid."""
    status = await control.start(home)
    token = status.token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    path = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/one?api-version=2025-04-01"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.put(f"{status.resource_manager}{path}", json={"location": "westus3"}) as made:
            pass
        await control.reset(home)
        status = await control.start(home)
        async with session.get(f"{status.resource_manager}{path}") as gone:
            pass

    assert (made.status, gone.status) == (201, 404)


async def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    """An error for people, with a way on."""
    (tmp_path / "file").write_text("")

    with pytest.raises(control.LocalCloudError) as refusal:
        await control.start(tmp_path / "file" / "home")
    assert "AITK_LOCAL_CLOUD_HOME" in refusal.value.advice


async def test_what_is_not_emulated_is_501_with_its_path(home):
    """Never a polite 200."""
    status = await control.start(home)
    token = status.token_file.read_text().strip()
    path = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Compute/virtualMachines"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.get(f"{status.resource_manager}{path}?api-version=2024-01-01") as answer:
            body = await answer.json()
        async with session.get(f"{status.resource_manager}{path}") as without_version:
            missing = await without_version.json()

    assert answer.status == 501
    assert path in body["error"]["message"]
    assert missing["error"]["code"] == "MissingApiVersionParameter"
