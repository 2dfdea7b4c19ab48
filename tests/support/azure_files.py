"""The local cloud's Azure Files in this process, asked over HTTP by the real SDK; its way can be cut or watched."""

import asyncio
import base64
import hashlib
import json
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web
from tests.support.corporate_network import listening

from ai_toolkit.azure.file_share import FileShare, Patience
from ai_toolkit.azure.share_lock import share_lock
from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Origin
from ai_toolkit.deploy.sync import synchronise
from ai_toolkit.deploy.sync_plan import plan_sync
from ai_toolkit.local_cloud.files.service import FileService
from ai_toolkit.local_cloud.files.share_folder import ShareRecords, Shares
from ai_toolkit.local_cloud.files.side_data import SideData

KEY = b"a key of sixty-four bytes, which is as long as Azure's own keys "
DEPLOY = """
import asyncio, base64, sys
from pathlib import Path
from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.share_lock import share_lock
from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.manifest import Origin
from ai_toolkit.deploy.sync_plan import plan_sync
from ai_toolkit.deploy.sync import synchronise

async def main(url, key, folder):
    async with FileShare.open(url, "account", key, "share") as share, share_lock(share, lambda holder: None):
        plan = await plan_sync(share, local_files(Path(folder)))
        await synchronise(share, plan, Origin.now("test", None), lambda sent, files: None)

asyncio.run(main(*sys.argv[1:]))
"""

ORIGIN = Origin("2026-01-01T00:00:00+00:00", "test", None)


def put(folder, **files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


async def deploy(azure_files, workspace, *patience):
    async with azure_files.opened(*patience) as share:
        plan = await plan_sync(share, local_files(workspace))
        if not plan.up_to_date:
            await synchronise(share, plan, ORIGIN, lambda _bytes, _files: None)
    return plan


async def deploy_with_lock(azure_files, workspace):
    """Every request that `aitk deploy` makes to the file service."""
    async with azure_files.opened(Patience(pause_seconds=0.1)) as share, share_lock(share, print):
        plan = await plan_sync(share, local_files(workspace))
        await synchronise(share, plan, ORIGIN, lambda _bytes, _files: None)


async def deploy_process(azure_files, workspace):
    """A deploy in a process of its own, with the lock, as `aitk` makes it; the share must be open."""
    key = base64.b64encode(KEY).decode()
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", DEPLOY, azure_files.url, key, str(workspace), stderr=asyncio.subprocess.PIPE
    )


class AzureFiles:
    """One share on disk.

    `requests_until_refusal` refuses after that many changes, `after_change` hears each. From the request number
    `fault_at` on, `fault_lasts` requests meet the `fault`: a status, or a connection that is "cut" before the request
    was carried out, or "cut after".
    """

    def __init__(self, home):
        self.folder = home / "account" / "share"
        self.folder.mkdir(parents=True)
        self.requests_until_refusal = None
        self.refusal = (403, "AuthorizationFailure")
        self.requests = []
        self.changes = 0
        self.after_change = lambda: None
        self.fault_at, self.fault, self.fault_lasts = None, None, 1
        self.clock_offset_seconds = 0
        self._service = FileService(
            Shares(home, SideData(home / "facts")),
            lambda _account: [KEY],
            ShareRecords(lambda *_: 100, lambda *_: None, lambda *_: None),
        )

    async def answer(self, request):
        if request.method not in {"GET", "HEAD"}:
            if self.changes == self.requests_until_refusal:
                return web.Response(status=self.refusal[0], headers={"x-ms-error-code": self.refusal[1]})
            self.changes += 1
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = self._fault()
        if isinstance(fault, int):
            return web.Response(status=fault, headers={"Retry-After": "1", "x-ms-error-code": "ServerBusy"})
        if fault == "cut":
            request.transport.abort()
            return web.Response()
        answer = await self._service.answer(request)
        if fault == "cut after":
            request.transport.abort()
        now = datetime.now(UTC) + timedelta(seconds=self.clock_offset_seconds)
        if not answer.prepared:
            answer.headers["Date"] = format_datetime(now, usegmt=True)
        if request.method not in {"GET", "HEAD"}:
            self.after_change()
        return answer

    def _fault(self):
        number = len(self.requests) - 1
        is_met = self.fault_at is not None and self.fault_at <= number < self.fault_at + self.fault_lasts
        return self.fault if is_met else None

    @asynccontextmanager
    async def opened(self, *patience):
        """The share as a deploy opens it."""
        async with listening(self.answer) as port:
            self.url = url = f"http://127.0.0.1:{port}/account"
            async with FileShare.open(url, "account", base64.b64encode(KEY).decode(), "share", *patience) as share:
                yield share

    def content(self, path):
        return (self.folder / path).read_text()

    def paths(self):
        """What lies on the share, but for our own bookkeeping."""
        found = [path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()]
        return {path.as_posix() for path in found if path.parts[0] != ".aitk"}

    def as_a_replica_starts(self):
        """The deployed code: what the manifest names, at its place or among the replaced files."""
        files = json.loads(self.content(MANIFEST_PATH))["files"]
        return {path: self._by_hash(path, entry["sha256"]) for path, entry in files.items()}

    def _by_hash(self, path, sha256):
        for candidate in (self.folder / path, self.folder / ".aitk" / "replaced" / sha256):
            if candidate.is_file() and hashlib.sha256(candidate.read_bytes()).hexdigest() == sha256:
                return candidate.read_text()
        raise AssertionError(f"{path} is nowhere as the manifest names it")
