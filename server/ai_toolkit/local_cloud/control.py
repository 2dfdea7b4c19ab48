"""Start, stop, look at and reset the local cloud from another process. Cheap to import."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from platformdirs import user_data_path

from ai_toolkit.local_cloud.core.home import Address, HomeFolder
from ai_toolkit.local_cloud.core.processes import is_alive, kill_group, kill_recorded_groups, reap, start_time
from ai_toolkit.operating_system import CANNOT_RUN_HERE, take_lock

START_LIMIT = timedelta(seconds=30)
STOP_LIMIT = timedelta(seconds=15)
ANSWER_LIMIT = timedelta(seconds=5)
LOOK_AGAIN = 0.05  # seconds between two looks at a file or process that cannot be waited for


class LocalCloudError(Exception):
    """What could not be done with the local cloud, and what to do next."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


@dataclass(frozen=True)
class LocalApp:
    """A container app, and the port of this computer that the local cloud itself listens on for it; None for none.

    `workspace` is the folder that its resource group was made for, as far as that was said.
    """

    resource_group: str
    name: str
    port: int | None
    workspace: str | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.port else "no address"


@dataclass(frozen=True)
class LocalCloudStatus:
    """Whether the local cloud runs, and where it answers."""

    running: bool
    resource_manager: str | None
    files: str | None
    home: Path
    token_file: Path
    resource_manager_tls: str | None = None
    certificate: Path | None = None  # what a client has to trust for the https addresses
    apps: tuple["LocalApp", ...] = ()


def home() -> Path:
    """The local cloud's folder: `AITK_LOCAL_CLOUD_HOME`, else one in the user's data folder."""
    named = os.environ.get("AITK_LOCAL_CLOUD_HOME")
    if named:
        return Path(named).expanduser().absolute()
    return user_data_path("ai-toolkit") / "local-cloud"


def has_replica_packages(home: Path, requirements: Path) -> bool:
    """Whether a replica with these requirements starts without downloading packages, PyTorch among them."""
    from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironments  # noqa: PLC0415  # rarely

    return ReplicaEnvironments(HomeFolder(home).replica_environments, os.environ).installed(requirements)


async def replica_python(home: Path, requirements: Path, say: Callable[[str], None]) -> Path:
    """The Python of replicas with these requirements, made where there is none. Raises LocalCloudError."""
    from ai_toolkit.local_cloud.container_apps.replica_environment import (  # noqa: PLC0415  # rarely
        ReplicaEnvironmentError,
        ReplicaEnvironments,
    )

    try:
        environments = ReplicaEnvironments(HomeFolder(home).replica_environments, os.environ)
        return await environments.binaries(requirements, say) / "python3"
    except ReplicaEnvironmentError as error:
        raise LocalCloudError(str(error), "Check the network and the package index, and run it again.") from error


def raise_if_impossible() -> None:
    """Raises LocalCloudError on a system that has no local cloud, before anything is downloaded for one."""
    if CANNOT_RUN_HERE is not None:
        raise LocalCloudError(*CANNOT_RUN_HERE)


async def status(home: Path) -> LocalCloudStatus:
    """Whether a local cloud answers for this folder now."""
    folder = HomeFolder(home)
    address = folder.address()
    alive = address is not None and is_alive(address.pid, address.process_started)
    about = await _about(folder) if alive else None
    if address is None or about is None:
        return LocalCloudStatus(
            running=False, resource_manager=None, files=None, home=home, token_file=folder.token_file
        )
    return LocalCloudStatus(
        running=True,
        resource_manager=address.resource_manager,
        files=address.files,
        home=home,
        token_file=folder.token_file,
        resource_manager_tls=address.resource_manager_tls,
        certificate=folder.tls / "ca.pem" if address.resource_manager_tls else None,
        apps=tuple(
            LocalApp(str(app["resourceGroup"]), str(app["app"]), app["port"], app["workspace"])
            for app in about.get("apps") or ()
        ),
    )


async def start(home: Path, *, tls: bool = False) -> LocalCloudStatus:
    """A local cloud that answers, started detached when none runs; two callers get the same one.

    One that runs without https is started again where that is asked for. Raises LocalCloudError.
    """
    raise_if_impossible()
    folder = HomeFolder(home)
    try:
        folder.prepare()
    except OSError as error:
        raise LocalCloudError(
            f"The local cloud's folder {home} cannot be written: {error.strerror}.",
            "Make the folder writable, or name another in AITK_LOCAL_CLOUD_HOME.",
        ) from error
    async with _alone(folder):
        now = await status(home)
        if now.running and (now.resource_manager_tls or not tls):
            return now
        if (address := folder.address()) is not None and now.running:
            await _end(address)
        pid = _spawn(folder, tls=tls)
        try:
            async with asyncio.timeout(START_LIMIT.total_seconds()):
                while not (now := await status(home)).running:
                    if start_time(pid) is None:
                        reap(pid)
                        raise LocalCloudError(
                            f"The local cloud ended while it started: {_last_words(folder)}",
                            f"The whole log is {folder.log_file}.",
                        )
                    await asyncio.sleep(LOOK_AGAIN)
        except TimeoutError as error:
            kill_group(pid)
            reap(pid)
            raise LocalCloudError(
                f"The local cloud did not answer within {START_LIMIT.total_seconds():.0f} seconds.",
                f"Its log is {folder.log_file}.",
            ) from error
        except asyncio.CancelledError:
            kill_group(pid)
            reap(pid)
            raise
        return now


async def stop(home: Path) -> bool:
    """Whether it ran; afterwards no process of the local cloud or of its replicas is left."""
    folder = HomeFolder(home)
    if not await asyncio.to_thread(home.is_dir):
        return False
    async with _alone(folder):
        address = folder.address()
        ran = address is not None and is_alive(address.pid, address.process_started)
        if address is not None and ran:
            await _end(address)
        kill_recorded_groups(folder.replicas)
        return ran


async def reset(home: Path) -> None:
    """Stop, and delete every resource, share and log; the token and Python environments stay."""
    folder = HomeFolder(home)
    await stop(home)
    for path in (folder.shares, folder.logs):
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
    for database in (folder.state_file, folder.files_state_file):
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
    folder.address_file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Held:
    """What a reset would delete: the names of container apps, and the files of every share."""

    apps: tuple[str, ...]
    files: int
    bytes: int


def held(home: Path) -> Held:
    """What the folder holds, read without starting anything."""
    folder = HomeFolder(home)
    apps: tuple[str, ...] = ()
    with contextlib.suppress(sqlite3.Error):
        database = sqlite3.connect(f"{folder.state_file.as_uri()}?mode=ro", uri=True)
        with contextlib.closing(database):
            ids = [str(row[0]) for row in database.execute("SELECT id FROM resources ORDER BY id")]
        apps = tuple(one.rpartition("/")[2] for one in ids if one.lower().split("/")[-2:-1] == ["containerapps"])
    sizes = [file.lstat().st_size for file in folder.shares.rglob("*") if file.is_file()]
    return Held(apps, len(sizes), sum(sizes))


async def _end(address: Address) -> None:
    """End the process politely, then by force."""
    if sys.platform == "win32":  # where the local cloud does not run
        raise NotImplementedError
    with contextlib.suppress(ProcessLookupError):
        os.kill(address.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_LIMIT.total_seconds()):
            await _gone(address)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(address.pid, signal.SIGKILL)
        await _gone(address)
    reap(address.pid)


async def _gone(address: Address) -> None:
    """Return when the process has ended; it need not be a child of ours, so nothing tells us."""
    while is_alive(address.pid, address.process_started):  # noqa: ASYNC110  # nothing to wait for
        await asyncio.sleep(LOOK_AGAIN)


def _spawn(folder: HomeFolder, *, tls: bool) -> int:
    """The pid of a new process with its own session and none of our streams."""
    if sys.platform == "win32":  # where the local cloud does not run
        raise NotImplementedError
    command = [sys.executable, "-m", "ai_toolkit.local_cloud", "--home", str(folder.path), *(["--tls"] if tls else [])]
    package_root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (package_root, os.environ.get("PYTHONPATH")) if part)
    return os.posix_spawn(
        sys.executable,
        command,
        {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (
                os.POSIX_SPAWN_OPEN,
                1,
                str(folder.log_file),
                os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                0o600,
            ),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


@contextlib.asynccontextmanager
async def _alone(folder: HomeFolder) -> AsyncIterator[None]:
    """Hold the lock that keeps two from starting or stopping at once."""
    folder.path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.starting_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        async with asyncio.timeout((START_LIMIT + STOP_LIMIT).total_seconds()):
            while True:
                if take_lock(descriptor):
                    break
                await asyncio.sleep(LOOK_AGAIN)
        yield
    except TimeoutError as error:
        raise LocalCloudError(
            "Another process has been starting or stopping the local cloud for too long.",
            f"End the process that holds {folder.starting_lock}, then try again.",
        ) from error
    finally:
        os.close(descriptor)


async def _about(folder: HomeFolder) -> dict[str, Any] | None:
    """What the recorded address says of itself; None unless it is this folder's local cloud, with everything loaded."""
    address = folder.address()
    if address is None:
        return None
    location = urlsplit(address.resource_manager)
    request = (
        f"GET /local-cloud HTTP/1.1\r\nHost: {location.netloc}\r\n"
        f"Authorization: Bearer {folder.token()}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(ANSWER_LIMIT.total_seconds()):
            reader, writer = await asyncio.open_connection(location.hostname, location.port)
            try:
                writer.write(request.encode())
                await writer.drain()
                answer = await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return None
    body = answer.partition(b"\r\n\r\n")[2]
    try:
        document = json.loads(body)
    except ValueError:
        return None
    is_ready = isinstance(document, dict) and document.get("pid") == address.pid and bool(document.get("ready"))
    return document if is_ready else None


def _last_words(folder: HomeFolder) -> str:
    """The last line of the log."""
    try:
        lines = folder.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing."
