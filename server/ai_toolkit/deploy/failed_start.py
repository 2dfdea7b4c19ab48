"""Remembers on the share that what was deployed did not start, so that a look knows it without waking anything."""

import json
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import AzureError

from ai_toolkit.deploy.manifest import Manifest
from ai_toolkit.errors import NetworkProblem, ReplicaFailed

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.azure.file_share import FileShare

log = logging.getLogger(__name__)

_PATH: Final = PurePosixPath(".aitk/failed-start.json")


@asynccontextmanager
async def remembered(
    share: "FileShare", manifest: Manifest, apps: "ContainerApps", app: str, revisions: Collection[str]
) -> AsyncIterator[None]:
    """Notes a ReplicaFailed of what it surrounds, with the replicas that it was of, and forgets one that is over."""
    before = await share.read(_PATH)
    try:
        yield
    except ReplicaFailed as error:
        try:
            replicas = [one.name for revision in revisions for one in await apps.replicas(app, revision)]
            note = {
                "deployed": _when(manifest),
                "reason": error.message.removesuffix(" The last lines of its log:"),
                "replicas": replicas,
            }
            await share.write(_PATH, json.dumps(note).encode())
        except (AzureError, NetworkProblem) as second:
            log.warning("That the start failed could not be noted on the share: %s", second)
        raise
    if before is not None:
        with suppress(AzureError, NetworkProblem):
            await share.delete(_PATH)


async def failed_start(share: "FileShare", manifest: Manifest, replicas: Collection[str]) -> str:
    """Why what is deployed did not start at the last deploy; empty where it did, or where another replica runs now."""
    content = await share.read(_PATH)
    try:
        note = json.loads(content or b"{}")
        is_of_these = note.get("deployed") == _when(manifest) and (
            not replicas or set(replicas) & set(note["replicas"])
        )
        return str(note["reason"]) if is_of_these else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _when(manifest: Manifest) -> str:
    return manifest.origin.deployed if manifest.origin else ""
