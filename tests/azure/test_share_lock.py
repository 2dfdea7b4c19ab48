"""One deploy at a time, told by who and since when; a dead one's lock is broken."""

import asyncio
import base64
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from tests.support.azure_files import KEY, AzureFiles
from tests.support.corporate_network import listening

from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.share_lock import DEAD_AFTER, HEARTBEAT, LOCK_PATH, share_lock
from ai_toolkit.errors import DeployRunning, ResourceMissing


@pytest.fixture
def azure_files(tmp_path):
    return AzureFiles(tmp_path / "shares")


def nobody_died(holder):
    pytest.fail(f"the lock of {holder} was broken")


async def test_second_deploy_is_told_who_and_since_when(azure_files):
    """It changes nothing and names the one that runs."""
    async with azure_files.opened() as mine, share_lock(mine, nobody_died), azure_files.opened() as other:
        with pytest.raises(DeployRunning, match=r"\S+@\S+ has been deploying to this share since 20\d\d-"):
            async with share_lock(other, nobody_died):
                pytest.fail("two deploys at once")


async def test_lock_is_free_afterwards_also_after_a_failure(azure_files):
    """A deploy that ends, however it ends, leaves no lock."""

    class Boom(Exception):
        pass

    async with azure_files.opened() as share:
        with pytest.raises(Boom):
            async with share_lock(share, nobody_died):
                raise Boom
        async with share_lock(share, nobody_died):
            pass


async def test_cancelled_deploy_leaves_no_lock(azure_files):
    """Cancel releases it before it ends."""
    async with azure_files.opened() as share:
        held = asyncio.Event()

        async def hold():
            async with share_lock(share, nobody_died):
                held.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await asyncio.wait_for(held.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with share_lock(share, nobody_died):
            pass


async def test_lock_of_a_dead_deploy_is_broken_and_said_so(azure_files):
    """A heartbeat that is two minutes old belongs to nobody; who it was is told."""
    dead = []
    async with azure_files.opened() as share:
        await share.write(LOCK_PATH, b"")
        lease = await share.file(LOCK_PATH).acquire_lease()
        await share.file(LOCK_PATH).set_file_metadata({"owner": "ann@laptop", "since": "noon"}, lease=lease)
        azure_files.clock_offset_seconds = 121
        async with share_lock(share, dead.append):
            pass

    assert [(holder.owner, holder.since) for holder in dead] == [("ann@laptop", "noon")]


@pytest.mark.skipif(os.name != "posix", reason="a process is looked for in the POSIX way")
async def test_lock_of_a_process_of_this_computer_that_has_ended_is_broken_at_once(azure_files):
    """An editor whose server was killed need not wait; another computer's process cannot be judged."""
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    here = f"ann@{socket.gethostname()}"
    async with azure_files.opened() as share:
        await share.write(LOCK_PATH, b"")
        lease = await share.file(LOCK_PATH).acquire_lease()
        beat = {"owner": "ann@laptop", "since": "noon", "process": str(ended.pid)}
        await share.file(LOCK_PATH).set_file_metadata(beat, lease=lease)
        with pytest.raises(DeployRunning):
            async with share_lock(share, nobody_died):
                pytest.fail("two deploys at once")
        await share.file(LOCK_PATH).set_file_metadata({**beat, "owner": here}, lease=lease)
        dead = []
        async with share_lock(share, dead.append):
            pass

    assert [holder.owner for holder in dead] == [here]


async def test_deploy_whose_lock_was_taken_away_stops(azure_files):
    """Somebody who was taken for dead finds out when it says that it is alive, and writes nothing more."""
    async with azure_files.opened() as share:

        async def take_away():
            azure_files.clock_offset_seconds = 121
            async with azure_files.opened() as other, share_lock(other, lambda _holder: None):
                await asyncio.Event().wait()

        taking = None
        with pytest.raises(DeployRunning):  # noqa: PT012  (the block is what is ended)
            async with share_lock(share, nobody_died, timedelta(seconds=4)):
                taking = asyncio.create_task(take_away())
                await asyncio.wait_for(asyncio.Event().wait(), 30)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


async def test_lock_whose_last_holder_has_let_go_is_not_taken_for_dead(azure_files):
    """The metadata of the deploy before say nothing of the one that has just come: it is waited for."""
    async with azure_files.opened() as share:
        async with share_lock(share, nobody_died):
            pass
        azure_files.clock_offset_seconds = 121
        lease = await share.file(LOCK_PATH).acquire_lease()

        async def claim_a_moment_later():
            await asyncio.sleep(1)
            beat = {"owner": "ann@laptop", "since": "noon"}
            await share.file(LOCK_PATH).set_file_metadata(beat, lease=lease)
            azure_files.clock_offset_seconds = 0

        claiming = asyncio.create_task(claim_a_moment_later())
        with pytest.raises(DeployRunning, match="ann@laptop has been deploying"):
            async with share_lock(share, nobody_died):
                pytest.fail("two deploys at once")
        await claiming


def test_heartbeat_comes_often_enough_to_miss_two():
    """One lost request does not make a deploy look dead."""
    assert HEARTBEAT * 3 < DEAD_AFTER


async def test_a_share_that_is_gone_ends_a_deploy_at_once(azure_files):
    """It is named, and nothing is tried again: no pause would bring it back."""
    async with azure_files.opened() as share:
        azure_files.folder.rmdir()
        with pytest.raises(ResourceMissing, match="file share share does not exist"):
            async with share_lock(share, nobody_died):
                pytest.fail("a lock on nothing")
        for ask in (lambda: share.list_directory(LOCK_PATH.parent), lambda: share.write(LOCK_PATH, b"")):
            with pytest.raises(ResourceMissing, match="file share share does not exist"):
                await ask()

    assert len(azure_files.requests) < 10


@pytest.mark.parametrize("refusal", [(403, "AuthorizationFailure"), (404, "ResourceNotFound"), (400, "InvalidInput")])
async def test_a_lock_that_cannot_be_made_is_an_error_and_no_loop(azure_files, refusal):
    """Whoever may not write learns it from the first refusal."""
    azure_files.refusal = refusal
    azure_files.requests_until_refusal = 0
    async with azure_files.opened() as share:
        with pytest.raises(HttpResponseError):
            async with share_lock(share, nobody_died):
                pytest.fail("a lock that nobody made")

    assert len(azure_files.requests) < 10


@pytest.mark.parametrize("breaking", [(409, "LeaseNotPresentWithLeaseOperation"), (404, "ResourceNotFound"), (202, "")])
async def test_a_lease_that_cannot_be_had_is_no_loop(breaking):
    """It is held, its holder is silent, and breaking it changes nothing: after some rounds the holder is named."""
    requests = []

    async def answer(request):
        requests.append(f"{request.method} {request.headers.get('x-ms-lease-action', '')}")
        status, code = 200, ""
        if request.headers.get("x-ms-lease-action") == "acquire":
            status, code = 409, "LeaseAlreadyPresent"
        if request.headers.get("x-ms-lease-action") == "break":
            status, code = breaking
        headers = {"x-ms-version": "2025-11-05", "Date": format_datetime(datetime.now(UTC), usegmt=True)}
        if code:
            headers["x-ms-error-code"] = code
        if request.method == "HEAD":
            headers |= {
                "Last-Modified": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True),
                "ETag": '"1"',
                "x-ms-meta-owner": "ada@elsewhere",
                "x-ms-meta-since": "2026-01-01T00:00:00+00:00",
            }
        return web.Response(status=status, headers=headers)

    told = []
    async with listening(answer) as port:
        key = base64.b64encode(KEY).decode()
        async with FileShare.open(f"http://127.0.0.1:{port}/account", "account", key, "share") as share:
            with pytest.raises(DeployRunning, match="ada@elsewhere"):
                async with share_lock(share, told.append):
                    pytest.fail("a lock that nobody gave")

    assert requests.count("PUT acquire") < 10
    assert len(told) == 1
