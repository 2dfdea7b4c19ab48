"""The local cloud as one process: Resource Manager and Files ports, and what runs behind them."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from ai_toolkit.local_cloud import fault_routes, identity
from ai_toolkit.local_cloud.access import resource_manager_access, same_token
from ai_toolkit.local_cloud.container_apps.ground import Ground
from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironments
from ai_toolkit.local_cloud.directory import CALLER, Directory, access_by_tenant
from ai_toolkit.local_cloud.fault_routes import misbehaving
from ai_toolkit.local_cloud.faults import Faults
from ai_toolkit.local_cloud.files.service import FileService
from ai_toolkit.local_cloud.files.share_folder import ShareRecords, Shares
from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.home import Address, HomeFolder
from ai_toolkit.local_cloud.processes import kill_recorded_groups, start_time
from ai_toolkit.local_cloud.resource_manager import subscriptions
from ai_toolkit.local_cloud.resource_manager.container_apps import ContainerApps
from ai_toolkit.local_cloud.resource_manager.deployments import Deployments
from ai_toolkit.local_cloud.resource_manager.jobs import Jobs
from ai_toolkit.local_cloud.resource_manager.managed_environments import (
    EnvironmentStorages,
    ManagedEnvironments,
)
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import Operations
from ai_toolkit.local_cloud.resource_manager.quotas import Quotas
from ai_toolkit.local_cloud.resource_manager.resource_groups import ResourceGroups
from ai_toolkit.local_cloud.resource_manager.resources import Resources
from ai_toolkit.local_cloud.resource_manager.revisions import Revisions
from ai_toolkit.local_cloud.resource_manager.routes import LARGEST_BODY_BYTES, Routes, read_request
from ai_toolkit.local_cloud.resource_manager.storage_accounts import (
    FileServices,
    FileShares,
    StorageAccounts,
)
from ai_toolkit.local_cloud.resource_manager.workspaces import Workspaces
from ai_toolkit.local_cloud.state import ResourceStore
from ai_toolkit.local_cloud.tls import server_context
from ai_toolkit.local_cloud.tokens import issue_token, read_token

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS: Final = 2.0


class AlreadyServedError(Exception):
    """Another process serves this folder."""


class LocalCloud:
    """Everything of one home folder, from the first request to the last replica."""

    def __init__(self, home: HomeFolder, *, tls: bool = False) -> None:
        self._home = home
        self._tls = tls
        self._address: Address | None = None
        self._store = ResourceStore(home.state_file)
        self._side_data = SideData(home.files_state_file)
        self._operations = Operations(self._store)
        self._faults = Faults()
        self._directory = Directory(home.directory_file)
        shares = Shares(home.shares, self._side_data)
        self._accounts = StorageAccounts(self._store, shares, lambda: self._known_address().files)
        self._file_shares = FileShares(self._store, shares)
        environments = ManagedEnvironments(self._store)
        replica_environments = ReplicaEnvironments(home.replica_environments, os.environ)
        ground = Ground(home, self._store, shares, self._accounts.account_keys, replica_environments, self._faults)
        self._apps = ContainerApps(ground, lambda: self._known_address().resource_manager, self._issue_token)
        self._manager = ResourceManager(
            self._store,
            self._operations,
            self._faults,
            (
                self._accounts,
                FileServices(self._store),
                self._file_shares,
                Workspaces(self._store),
                environments,
                EnvironmentStorages(self._store),
                self._apps,
                Jobs(self._store),
            ),
        )
        groups = ResourceGroups(self._manager)
        self._deployments = Deployments(self._manager, groups)
        self._resources = Resources(self._manager)
        self._files = FileService(
            shares,
            self._accounts.account_keys,
            ShareRecords(self._file_shares.quota_gib, self._file_shares.record, self._file_shares.forget),
        )
        self._routes = Routes()
        subscriptions.add_routes(self._routes)
        groups.add_routes(self._routes)
        self._deployments.add_routes(self._routes)
        Quotas(self._manager, environments, self._accounts, ground).add_routes(self._routes)
        Revisions(self._manager, self._apps).add_routes(self._routes)
        operation = "/subscriptions/{subscription}/providers/{namespace}/locations/{location}"
        self._routes.add("GET", f"{operation}/operationStatuses/{{operation}}", self._operations.status)
        self._routes.add("GET", f"{operation}/operationResults/{{operation}}", self._operations.outcome)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Address]:
        """Both ports, open; on leaving, every listener closed and every replica ended."""
        kill_recorded_groups(self._home.replicas)
        management = web.Application(
            middlewares=[
                misbehaving(self._faults, "management"),
                resource_manager_access(self._is_good_token, identity.is_public),
                access_by_tenant(self._directory, self._home.token),
            ],
            client_max_size=LARGEST_BODY_BYTES,
        )
        management.router.add_get("/local-cloud", self._about)
        fault_routes.add_routes(management.router, self._faults)
        identity.add_routes(management.router, self._home.token, self._directory)
        management.router.add_route("*", "/{path:.*}", self._answer)
        files = web.Application(client_max_size=0, middlewares=[misbehaving(self._faults, "files")])
        files.router.add_route("*", "/{path:.*}", self._files.answer)
        before = self._home.address()
        context = await asyncio.to_thread(server_context, self._home.tls) if self._tls else None
        runners = []
        try:
            urls: list[str | None] = []
            for application, last_url, last_tls_url in (
                (
                    management,
                    before.resource_manager if before else None,
                    before.resource_manager_tls if before else None,
                ),
                (files, before.files if before else None, before.files_tls if before else None),
            ):
                runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
                runners.append(runner)
                await runner.setup()
                urls.append(await _listen(runner, last_url, None))
                urls.append(await _listen(runner, last_tls_url, context) if context else None)
            pid = os.getpid()
            self._address = Address(pid, start_time(pid) or "", urls[0] or "", urls[2] or "", urls[1], urls[3])
            self._deployments.fail_interrupted()
            await self._apps.resume()
            self._home.write_address(self._address)
            yield self._address
        finally:
            await self._operations.close()
            await self._apps.close()
            for runner in runners:
                await runner.cleanup()
            self._store.close()
            self._side_data.close()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        request = await read_request(http)
        found = self._routes.find(request.method, request.segments)
        if found is None:
            return await self._resources.answer(request)
        handler, names = found
        return await handler(request.with_names(names))

    async def _about(self, _request: web.Request) -> web.Response:
        address = self._known_address()
        return web.json_response(
            {"pid": address.pid, "resourceManager": address.resource_manager, "files": address.files}
        )

    def _known_address(self) -> Address:
        if self._address is None:
            raise RuntimeError("the local cloud is not serving yet")
        return self._address

    # Tokens: the one of the token file, and short-lived ones made from it.

    def _is_good_token(self, token: str) -> bool:
        own = self._home.token()
        if same_token(token, own):
            return True
        claims = read_token(own, token)
        return claims is not None and "use" not in claims

    def _issue_token(self, life: timedelta) -> str:
        caller = CALLER.get()
        return issue_token(self._home.token(), life, {"tid": caller.tenant} if caller else {})


async def _listen(runner: web.AppRunner, last_url: str | None, context: ssl.SSLContext | None) -> str:
    """The URL that is now listened on: the one of last time where its port is free."""
    scheme = "https" if context else "http"
    for candidate in (urlsplit(last_url).port if last_url else None, 0):
        if candidate is None:
            continue
        site = web.TCPSite(runner, "127.0.0.1", candidate, reuse_address=True, ssl_context=context)
        try:
            await site.start()
        except OSError:
            if not candidate:
                raise
            continue
        break
    return f"{scheme}://127.0.0.1:{runner.addresses[-1][1]}"


async def serve(home: HomeFolder, *, tls: bool = False) -> None:
    """Serve a folder until the process is asked to end.

    Raises AlreadyServedError when another process does.
    """
    home.prepare()
    lock = os.open(home.serving_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServedError(f"Another process serves {home.path} already.") from error
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with LocalCloud(home, tls=tls).serving() as address:
            log.info("the local cloud answers at %s, files at %s", address.resource_manager, address.files)
            await stop.wait()
            log.info("the local cloud ends")
    finally:
        os.close(lock)
