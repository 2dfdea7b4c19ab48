"""The local cloud as one process: its ports are open at once, and what runs behind them is loaded then."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import sqlite3
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web

from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.core.access import resource_manager_access, same_token
from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.core.home import Address, HomeFolder
from ai_toolkit.local_cloud.core.processes import kill_recorded_groups, start_time
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.faults import routes as fault_routes
from ai_toolkit.local_cloud.faults.model import Fault, Faults, Port
from ai_toolkit.local_cloud.faults.routes import management_refusal, misbehaving
from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.files.storage_error import injected_refusal
from ai_toolkit.local_cloud.identity import routes as identity_routes
from ai_toolkit.local_cloud.identity.directory import CALLER, Directory, access_by_tenant
from ai_toolkit.local_cloud.identity.tokens import issue_token, read_token
from ai_toolkit.operating_system import on_interruption, take_lock

if TYPE_CHECKING:
    from ai_toolkit.local_cloud.services import Services

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS: Final = 2.0
LARGEST_BODY_BYTES: Final = 4 * 1024 * 1024  # Azure's own limit for a template


@dataclass(frozen=True)
class CloudSettings:
    """How the local cloud behaves: seconds that a minute of Azure's takes, and faults that are there from the start."""

    minute_seconds: float = 1.0
    faults: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """As `AITK_LOCAL_CLOUD_MINUTE` and the file that `AITK_LOCAL_CLOUD_FAULTS` names say; ValueError, OSError."""
        file = environment.get("AITK_LOCAL_CLOUD_FAULTS")
        faults = json.loads(Path(file).read_text(encoding="utf-8")) if file else []
        return cls(float(environment.get("AITK_LOCAL_CLOUD_MINUTE") or 1), tuple(faults))


DEFAULTS: Final = CloudSettings()


class AlreadyServedError(Exception):
    """Another process serves this folder."""


class LocalCloud:
    """Everything of one home folder, from the first request to the last replica."""

    def __init__(self, home: HomeFolder, *, tls: bool = False, settings: CloudSettings = DEFAULTS) -> None:
        self._home = home
        self._tls = tls
        self._settings = settings
        self._address: Address | None = None
        self._store = ResourceStore(home.state_file)
        self._side_data = SideData(home.files_state_file)
        self._faults = Faults()
        for fault in settings.faults:
            self._faults.add(Fault.read(dict(fault)), lasts=True)
        self._services: Services | None = None
        self._loaded = asyncio.Event()
        self._directory = Directory(home.directory_file)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Address]:
        """Both ports, open; on leaving, every listener closed and every replica ended.

        The ports answer before what is behind them is loaded: a request that needs it waits.
        """
        kill_recorded_groups(self._home.replicas)
        management = web.Application(
            middlewares=[
                misbehaving(self._faults, Port.MANAGEMENT, management_refusal),
                resource_manager_access(self._is_good_token, identity_routes.is_public),
                access_by_tenant(self._directory, self._home.token),
            ],
            client_max_size=LARGEST_BODY_BYTES,
        )
        management.router.add_get("/local-cloud", self._about)
        fault_routes.add_routes(management.router, self._faults)
        identity_routes.add_routes(management.router, self._home.token, self._directory)
        management.router.add_route("*", "/{path:.*}", self._answer_management)
        files = web.Application(
            client_max_size=0, middlewares=[misbehaving(self._faults, Port.FILES, injected_refusal)]
        )
        files.router.add_route("*", "/{path:.*}", self._answer_files)
        before = self._home.address()
        context = await asyncio.to_thread(_server_context, self._home) if self._tls else None
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
            address = self._address = Address(
                pid, start_time(pid) or "", urls[0] or "", urls[2] or "", urls[1], urls[3]
            )
            self._home.write_address(address)
            services = await asyncio.to_thread(_services)
            self._services = services(
                self._home,
                store=self._store,
                side_data=self._side_data,
                faults=self._faults,
                address=address,
                issue_token=self._issue_token,
                minute_seconds=self._settings.minute_seconds,
            )
            await self._services.resume()
            self._loaded.set()
            yield address
        finally:
            if self._services is not None:
                await self._services.close()
            for runner in runners:
                await runner.cleanup()
            self._store.close()
            self._side_data.close()

    async def _answer_management(self, http: web.Request) -> web.StreamResponse:
        services = await self._ready_services()
        try:
            return await services.answer_management(http)
        except (OSError, sqlite3.Error, ExceptionGroup) as error:
            if not full_disk.is_full(error):
                raise
            told = full_disk.in_words(self._home.path)
            raise ArmError(full_disk.CODE, told, status=full_disk.NO_RETRY_STATUS) from error

    async def _answer_files(self, http: web.Request) -> web.StreamResponse:
        return await (await self._ready_services()).answer_files(http)

    async def _ready_services(self) -> "Services":
        await self._loaded.wait()
        if self._services is None:
            raise RuntimeError("the services are gone")
        return self._services

    async def _about(self, _request: web.Request) -> web.Response:
        address = self._known_address()
        return web.json_response(
            {
                "pid": address.pid,
                "resourceManager": address.resource_manager,
                "files": address.files,
                "ready": self._loaded.is_set(),
                "apps": self._services.addresses() if self._services and self._loaded.is_set() else [],
            }
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


def _services() -> "type[Services]":
    """The class, whose modules take as long to load as all the rest."""
    from ai_toolkit.local_cloud.services import Services  # noqa: PLC0415  # while the ports already answer

    return Services


def _server_context(home: HomeFolder) -> ssl.SSLContext:
    from ai_toolkit.local_cloud.tls import server_context  # noqa: PLC0415  # only with --tls

    return server_context(home.tls)


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


async def serve(home: HomeFolder, *, tls: bool = False, settings: CloudSettings = DEFAULTS) -> None:
    """Serve a folder until the process is asked to end.

    Raises AlreadyServedError when another process does.
    """
    home.prepare()
    lock = os.open(home.serving_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not take_lock(lock):
            raise AlreadyServedError(f"Another process serves {home.path} already.")
        stop = asyncio.Event()
        on_interruption(asyncio.get_running_loop(), stop.set)
        async with LocalCloud(home, tls=tls, settings=settings).serving() as address:
            gc.freeze()  # what was imported lives as long as the process
            gc.enable()
            log.info("the local cloud answers at %s, files at %s", address.resource_manager, address.files)
            await stop.wait()
            log.info("the local cloud ends")
    finally:
        os.close(lock)
