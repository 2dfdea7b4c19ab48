"""What was acknowledged is there after kill -9, and state of another version is migrated or refused."""

import asyncio
import json
import os
import signal
import sqlite3
import sys

import aiohttp
import pytest

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.core.processes import start_time
from ai_toolkit.local_cloud.core.state import STATE_VERSION
from ai_toolkit.local_cloud.faults import FaultInjection

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
WORKSPACE = f"{SUBSCRIPTION}/resourceGroups/one/providers/Microsoft.OperationalInsights/workspaces/kept"


@pytest.fixture
async def home(tmp_path, monkeypatch):
    """A folder whose cloud is stopped after the test."""
    monkeypatch.setenv("AITK_REPLICA_PYTHON", sys.executable)
    yield tmp_path / "home"
    await control.stop(tmp_path / "home")


class Caller:
    """Asks the management API of whichever process serves a folder now."""

    def __init__(self, status):
        self._status = status
        self._headers = {"Authorization": f"Bearer {status.token_file.read_text().strip()}"}

    async def ask(self, method, path, version, body=None):
        url = path if path.startswith("http") else f"{self._status.resource_manager}{path}?api-version={version}"
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.request(method, url, json=body) as answer,
        ):
            content = await answer.read()
            return answer.status, json.loads(content) if content else None, answer.headers


async def kill(home, until):
    pid = int(json.loads((home / "address.json").read_text())["pid"])
    os.kill(pid, signal.SIGKILL)

    async def gone():
        return start_time(pid) is None

    await until(gone)


async def test_acknowledged_resources_survive_kill_9(home, until):
    """Killed right after the answer, started again: everything that was answered is there."""
    caller = Caller(await control.start(home))
    await caller.ask("PUT", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01", {"location": "westus3"})
    acknowledged = []
    for number in range(20):
        path = f"{WORKSPACE}{number}"
        status, _body, _headers = await caller.ask("PUT", path, "2025-02-01", {"location": "westus3"})
        acknowledged.append((path, status))
    await kill(home, until)
    caller = Caller(await control.start(home))
    found = [(await caller.ask("GET", path, "2025-02-01"))[0] for path, _status in acknowledged]

    assert {status for _path, status in acknowledged} == {201}
    assert found == [200] * 20


async def test_acknowledged_ranges_survive_kill_9(clients, share, folder, until):
    """Killed while ranges are written: the file lists what was answered, and it holds those bytes."""
    file = share.get_file_client("big")
    await file.create_file(64 * 4096)
    acknowledged = []

    async def write():
        for number in range(64):
            await file.upload_range(bytes([number]) * 4096, number * 4096, 4096, retry_total=0)
            acknowledged.append(number)

    writing = asyncio.create_task(write())

    async def some():
        return len(acknowledged) > 10

    await until(some)
    await kill(clients.status.home, until)
    await asyncio.gather(writing, return_exceptions=True)
    await control.start(clients.status.home)
    listed = {byte for one in [one async for one in file.list_ranges()] for byte in range(one.start, one.end + 1, 4096)}
    content = (folder / "big").read_bytes()

    assert {number * 4096 for number in acknowledged} <= listed
    assert len(listed) <= len(acknowledged) + 1
    assert all(content[number * 4096 : (number + 1) * 4096] == bytes([number]) * 4096 for number in acknowledged)


async def test_an_interrupted_operation_says_so(home, until):
    """A poll after the restart finds the operation, failed, rather than nothing."""
    caller = Caller(await control.start(home))
    await caller.ask("PUT", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01", {"location": "westus3"})
    app_space = f"{SUBSCRIPTION}/resourceGroups/one/providers/Microsoft.App"
    await caller.ask("PUT", f"{app_space}/managedEnvironments/env", "2025-07-01", {"location": "westus3"})
    app = {
        "location": "westus3",
        "properties": {
            "environmentId": f"{app_space}/managedEnvironments/env",
            "template": {"containers": [{"name": "one", "image": "image", "command": ["true"]}]},
        },
    }

    async def is_provisioned():
        _, found, _ = await caller.ask("GET", f"{app_space}/managedEnvironments/env", "2025-07-01")
        return found["properties"]["provisioningState"] == "Succeeded"

    await until(is_provisioned)
    FaultInjection(home).add("resource-hangs", path="/containerApps/")
    status, _body, headers = await caller.ask("PUT", f"{app_space}/containerApps/app", "2025-07-01", app)
    await kill(home, until)
    again = Caller(await control.start(home))
    polled, body, _headers = await again.ask("GET", headers["Azure-AsyncOperation"], "")

    assert status == 201
    assert (polled, body["status"]) == (200, "Failed")
    assert body["error"]["code"] == "OperationInterrupted"


async def test_lists_come_in_pages(home):
    """At most a hundred at a time, with a link to the rest; `$top` asks for fewer."""
    caller = Caller(await control.start(home))
    for number in range(105):
        await caller.ask("PUT", f"{SUBSCRIPTION}/resourcegroups/g{number:03}", "2025-04-01", {"location": "westus3"})
    _status, first, _headers = await caller.ask("GET", f"{SUBSCRIPTION}/resourcegroups", "2025-04-01")
    _status, second, _headers = await caller.ask("GET", first["nextLink"], "")
    _status, three, _headers = await caller.ask("GET", f"{SUBSCRIPTION}/resourcegroups", "2025-04-01&$top=3")

    assert (len(first["value"]), len(second["value"]), len(three["value"])) == (100, 5, 3)
    assert "nextLink" not in second
    assert "nextLink" in three


async def test_older_state_is_migrated(home):
    """A database of the first version gets what it lacks, and keeps what it has."""
    caller = Caller(await control.start(home))
    await caller.ask("PUT", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01", {"location": "westus3"})
    await control.stop(home)
    with sqlite3.connect(home / "state.sqlite") as database:
        database.execute("DROP TABLE operations")
        database.execute("PRAGMA user_version = 1")
    database.close()
    caller = Caller(await control.start(home))
    status, _body, _headers = await caller.ask("GET", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01")
    await control.stop(home)
    database = sqlite3.connect(home / "state.sqlite")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.close()

    assert status == 200
    assert version == STATE_VERSION


@pytest.mark.parametrize("name", ["state.sqlite", "files.sqlite"])
async def test_newer_state_is_refused_with_a_sentence(home, name):
    """The cloud does not start, says why and what to do, and leaves the state alone."""
    await control.start(home)
    await control.stop(home)
    database = sqlite3.connect(home / name)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(control.LocalCloudError) as refusal:
        await control.start(home)
    database = sqlite3.connect(home / name)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.close()

    assert "state version 99" in refusal.value.message
    assert "local-cloud reset" in refusal.value.message
    assert version == 99


async def test_two_clouds_on_one_computer_do_not_collide(tmp_path, monkeypatch):
    """Each has its own ports, token and resources, and stopping one leaves the other."""
    monkeypatch.setenv("AITK_REPLICA_PYTHON", sys.executable)
    one, two = await asyncio.gather(control.start(tmp_path / "one"), control.start(tmp_path / "two"))
    try:
        await Caller(one).ask("PUT", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01", {"location": "westus3"})
        other, _body, _headers = await Caller(two).ask("GET", f"{SUBSCRIPTION}/resourcegroups/one", "2025-04-01")
        await control.stop(tmp_path / "one")
        still = await control.status(tmp_path / "two")
    finally:
        await control.stop(tmp_path / "one")
        await control.stop(tmp_path / "two")

    assert len({one.resource_manager, one.files, two.resource_manager, two.files}) == 4
    assert one.token_file.read_text() != two.token_file.read_text()
    assert other == 404
    assert still.running
