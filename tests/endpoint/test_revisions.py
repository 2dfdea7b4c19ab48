"""Waiting for a revision ends: a state that never changes is told after a limit, with a pause between two looks."""

from datetime import timedelta

import pytest
from aiohttp import web
from tests.support.corporate_network import listening
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.container_apps import ContainerApps
from ai_toolkit.azure.credential import LocalCredential
from ai_toolkit.endpoint.revisions import wait_until_it_serves
from ai_toolkit.errors import RevisionFailed


@pytest.mark.parametrize("state", ["Processing", "Activating", "SomethingNew"])
async def test_a_revision_that_never_starts_is_told_after_the_limit(state):
    """Whatever the platform calls it: each look is a request, and there are as many as the limit has pauses."""
    looks = []

    async def answer(request):
        looks.append(request.path)
        properties = {"runningState": state, "active": True}
        return web.json_response({"name": "app--1", "properties": properties})

    async with listening(answer) as port:
        connection = Connection(f"http://127.0.0.1:{port}", LocalCredential("token"), "local/.default")
        async with ContainerApps.open(connection, "s", "g") as apps:
            with pytest.raises(RevisionFailed, match=r"app--1.*has not started within"):
                await wait_until_it_serves(apps, "app", "app--1", Person(), timedelta(seconds=1))

    assert 1 <= len(looks) <= 4
