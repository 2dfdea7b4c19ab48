"""Every recorded request that the local cloud serves, asked of it: what differs is mended, or told in FIDELITY.md."""

import os

import aiohttp
import pytest
from tests.azure_recordings import fidelity, management_replay, storage_replay
from tests.local_cloud.conftest import account, clients, cloud, group  # noqa: F401  (fixtures)
from tests.support.recordings import needs_recordings

pytestmark = needs_recordings
LEAST_SEEN = 114  # kinds of answers; it only grows
LIMIT = aiohttp.ClientTimeout(total=30)


async def test_the_page_tells_what_was_seen_and_what_differs(clients, account, recordings):  # noqa: F811  (fixtures)
    """Written anew by AITK_WRITE_FIDELITY=1."""
    seen: dict[str, fidelity.Seen] = {}
    headers = {"Authorization": f"Bearer {clients.token}"}
    async with (
        aiohttp.ClientSession(timeout=LIMIT) as files_session,
        aiohttp.ClientSession(timeout=LIMIT, headers=headers) as session,
    ):
        files = storage_replay.Account(files_session, f"{clients.status.files}/{account[0]}", *account)
        manager = management_replay.Manager(session, clients.status.resource_manager)
        for exchange in recordings:
            if exchange.topic == "files-data-plane":
                kind, found = storage_replay.kind_of(exchange), await storage_replay.replay(files, exchange)
            elif kind := management_replay.kind_of(exchange) or "":
                found = await management_replay.replay(manager, exchange)
            else:
                continue
            seen.setdefault(kind, fidelity.Seen()).add(exchange, found)
    page = fidelity.PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(fidelity.BEGIN)
    written = f"{before}{fidelity.section(seen)}{rest.partition(fidelity.END)[2]}"
    if os.environ.get("AITK_WRITE_FIDELITY") == "1":
        fidelity.PAGE.write_text(written, encoding="utf-8")
        pytest.skip("written")

    assert fidelity.count(seen) >= LEAST_SEEN
    assert written == page
