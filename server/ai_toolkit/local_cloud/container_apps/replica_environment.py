"""The Python environment of replicas: never the server's own, into which their pip must not write."""

import asyncio
import codecs
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import sys
import sysconfig
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from ai_toolkit.local_cloud.container_apps.guarded_process import guarded

log = logging.getLogger(__name__)

APP_PACKAGES = ("torch", "transformers", "gradio", "fastapi")
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
PIP = '#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n'


class ReplicaEnvironmentError(Exception):
    """No Python environment could be made for a replica."""


class ReplicaEnvironments:
    """Makes environments once, and hands out the folder that comes first on a replica's PATH."""

    def __init__(self, folder: Path, settings: Mapping[str, str], app_packages: tuple[str, ...] = APP_PACKAGES) -> None:
        self._folder = folder
        self._app_packages = app_packages
        self._named = settings.get("AITK_REPLICA_PYTHON")
        self._locks: dict[str, asyncio.Lock] = {}

    async def binaries(self, requirements: Path | None, say: Callable[[str], None]) -> Path:
        """The folder with `python3`, `python` and `pip`.

        `requirements` are installed into an environment of their own, unless the app's packages are
        installed beside the server: then an environment that sees those, read-only, is enough.
        Raises ReplicaEnvironmentError.
        """
        if self._named:
            return await self._named_binaries(self._named)
        if all(importlib.util.find_spec(package) for package in self._app_packages):
            return await self._seeing_server_packages()
        return await self._with_requirements(requirements, say)

    def installed(self, requirements: Path) -> bool:
        """Whether a replica with these requirements starts without downloading packages."""
        if self._named or all(importlib.util.find_spec(package) for package in self._app_packages):
            return True
        return (self._folder / _requirements_key(requirements) / "complete").exists()

    async def _named_binaries(self, named: str) -> Path:
        """A folder of links to an interpreter that the user named."""
        interpreter = await asyncio.to_thread(lambda: str(Path(named).expanduser()))
        if not os.access(interpreter, os.X_OK):
            raise ReplicaEnvironmentError(
                f"AITK_REPLICA_PYTHON names {interpreter}, which is no program. Name a Python interpreter."
            )
        key = _key("named", interpreter)
        async with self._making(key) as (final, building):
            if building is not None:
                binaries = building / "bin"
                binaries.mkdir(parents=True)
                for name in ("python3", "python"):
                    # A script, not a link: a virtual environment is recognised by the path of its python.
                    _write_script(binaries / name, f'#!/bin/sh\nexec "{interpreter}" "$@"\n')
                _write_script(binaries / "pip", f'#!/bin/sh\nexec "{interpreter}" -m pip "$@"\n')
        return final / "bin"

    async def _seeing_server_packages(self) -> Path:
        server_packages = sysconfig.get_path("purelib")
        key = _key("beside", sys.base_prefix, server_packages, platform.python_version())
        async with self._making(key) as (final, building):
            if building is not None:
                own_pip = importlib.util.find_spec("pip") is None
                await _make_environment(building, with_pip=own_pip)
                packages = next((building / "lib").glob("python*/site-packages"))
                (packages / "server-packages.pth").write_text(f"{server_packages}\n", encoding="utf-8")
                if not own_pip:
                    _write_script(building / "bin" / "pip", PIP)
        return final / "bin"

    async def _with_requirements(self, requirements: Path | None, say: Callable[[str], None]) -> Path:
        text = await asyncio.to_thread(_read, requirements)
        key = _requirements_key(requirements)
        async with self._making(key) as (final, building):
            if building is not None:
                say("Making a Python environment for replicas.")
                await _make_environment(building, with_pip=True)
                if text:
                    say(f"Installing {requirements}; this happens once for these requirements.")
                    constraints = building / "constraints.txt"
                    constraints.write_text("\n".join(_locked(requirements)), encoding="utf-8")
                    await _run(
                        [str(building / "bin" / "python3"), "-m", "pip", "install", "--disable-pip-version-check",
                         "--requirement", str(requirements), "--constraint", str(constraints)],
                        say,
                    )  # fmt: skip
        return final / "bin"

    @asynccontextmanager
    async def _making(self, key: str) -> AsyncIterator[tuple[Path, Path | None]]:
        """The environment's folder, and where to build it when it is not there yet.

        An environment remembers where it was made, so it is built in place; a mark says that it is whole.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            final = self._folder / key
            mark = final / "complete"
            if mark.exists():
                yield final, None
                return
            await asyncio.to_thread(shutil.rmtree, final, ignore_errors=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            yield final, final
            mark.touch()


async def _make_environment(folder: Path, *, with_pip: bool) -> None:
    command = [_base_interpreter(), "-m", "venv", *([] if with_pip else ["--without-pip"]), str(folder)]
    await _run(command, lambda _line: None)


def _base_interpreter() -> str:
    """The interpreter that the server's environment was made with: one environment is not put on another."""
    return getattr(sys, "_base_executable", None) or sys.executable


async def _run(command: list[str], say: Callable[[str], None]) -> None:
    """Run to the end, saying each line; ReplicaEnvironmentError with the last line when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    lines: deque[str] = deque(maxlen=1)

    def add(line: str) -> None:
        lines.append(line)
        say(line)

    async with guarded(command, environment, add) as process:  # so that no installation outlives the local cloud
        status = await process.wait()
    if status:
        raise ReplicaEnvironmentError(f"`{' '.join(command)}` failed: {lines[0] if lines else f'status {status}'}")


def replica_variables(
    binaries: Path, work: Path, *, writes_home: bool = True, user: int | None = None
) -> dict[str, str]:
    """The clean environment that every replica starts from.

    A replica that may not write into its HOME has a folder `app` beside it to start in. `user` owns what it may write.
    """
    home, temporary, app = work / "home", work / "tmp", work / "app"
    for folder in (home, temporary, app):
        folder.mkdir(parents=True, exist_ok=True)
        if sys.platform != "win32" and user is not None and folder != home:
            os.chown(folder, user, user)
    home.chmod(0o755 if writes_home else 0o555)
    return {
        "PATH": os.pathsep.join((str(binaries), *SYSTEM_PATH)),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **_network(os.environ),
    }


def _network(own: Mapping[str, str]) -> dict[str, str]:
    """How this computer reaches the network, for pip and for the hub's client, which read different variables."""
    given = {name: own[name] for name in _NETWORK_VARIABLES if own.get(name)}
    bundle = given.get("REQUESTS_CA_BUNDLE") or given.get("CURL_CA_BUNDLE") or given.get("SSL_CERT_FILE")
    if bundle:
        given = {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, **given}
    if any(name.lower().endswith("_proxy") for name in given):  # what a replica asks of itself takes no way around
        listed = given.get("no_proxy") or given.get("NO_PROXY") or ""
        given["NO_PROXY"] = given["no_proxy"] = ",".join([*filter(None, [listed]), "127.0.0.1", "localhost"])
    return given


# How this computer reaches the network, which a container's host would know by itself.
_NETWORK_VARIABLES = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL",
    "PIP_CERT", "PIP_PROXY", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH", "OMP_NUM_THREADS",
)  # fmt: skip


def _requirements_key(requirements: Path | None) -> str:
    return _key("own", _read(requirements), *_locked(requirements), platform.python_version())


def _locked(requirements: Path | None) -> list[str]:
    """The versions of requirements.lock beside it; none where that was made for other requirements.

    Without the hashes, which are those of one system's wheels.
    """
    if requirements is None or not requirements.is_file():
        return []
    lock = _read(requirements.with_suffix(".lock"))
    if hashlib.sha256(_read(requirements).encode()).hexdigest() not in lock:
        return []
    return [line.partition(" --hash=")[0] for line in lock.splitlines() if line and not line.startswith("#")]


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _read(requirements: Path | None) -> str:
    if requirements is None or not requirements.is_file():
        return ""
    content = requirements.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, errors="replace").replace("\r\n", "\n")


def _write_script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
