"""The local cloud against a bare Starlette application that writes the same bytes, side by side in one run.

Prints ratios: the transfer of one large file up and down, small files per second, the time from start to
first answer, and the local cloud's memory without replicas. Run: `python benchmarks/local_cloud.py`.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.core.home import HomeFolder

RANGE_BYTES = 4 * 1024 * 1024
SMALL_BYTES = 1000
AT_A_TIME = 4
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
STARLETTE = """
import os, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route

folder = sys.argv[1]

async def write(request):
    path = os.path.join(folder, request.path_params["name"])
    with open(path, "r+b" if os.path.exists(path) else "w+b") as file:
        file.seek(int(request.query_params.get("offset", "0")))
        async for chunk in request.stream():
            file.write(chunk)
    return Response(status_code=201)

async def read(request):
    return FileResponse(os.path.join(folder, request.path_params["name"]))

routes = [Route("/{name}", write, methods=["PUT"]), Route("/{name}", read)]
uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""


class Bare:
    """Starlette on uvicorn: one route that writes what it is sent, one that reads it."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self._base, self._session = base, session

    async def make(self, name: str, size: int) -> None:
        """Nothing: its files need not be made before they are written."""

    async def write(self, name: str, offset: int, data: bytes) -> None:
        async with self._session.put(f"{self._base}/{name}", params={"offset": offset}, data=data) as answer:
            assert answer.status == 201, await answer.text()

    async def read(self, name: str) -> int:
        async with self._session.get(f"{self._base}/{name}") as answer:
            return await counted(answer)


class Local:
    """The local cloud's file service, spoken to with the shared key and nothing else of an SDK."""

    def __init__(self, base: str, account: str, key: bytes, session: aiohttp.ClientSession) -> None:
        self._base, self._account, self._key, self._session = base, account, key, session

    async def make(self, name: str, size: int) -> None:
        headers = {"x-ms-type": "file", "x-ms-content-length": str(size)}
        async with self._ask("PUT", f"/bench/{name}", "", b"", headers) as answer:
            assert answer.status == 201, await answer.text()

    async def write(self, name: str, offset: int, data: bytes) -> None:
        headers = {"x-ms-write": "update", "x-ms-range": f"bytes={offset}-{offset + len(data) - 1}"}
        async with self._ask("PUT", f"/bench/{name}", "comp=range", data, headers) as answer:
            assert answer.status == 201, await answer.text()

    async def read(self, name: str) -> int:
        async with self._ask("GET", f"/bench/{name}", "", b"", {}) as answer:
            return await counted(answer)

    async def share(self) -> None:
        async with self._ask("PUT", "/bench", "restype=share", b"", {}) as answer:
            assert answer.status == 201, await answer.text()

    def _ask(
        self, method: str, path: str, query: str, data: bytes, headers: dict[str, str]
    ) -> "contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]":
        own = {
            "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True),
            "x-ms-version": "2025-11-05",
            **headers,
        }
        lines = [method, "", "", str(len(data)) if data else "", "", "", "", "", "", "", "", ""]
        lines += [f"{name}:{own[name]}" for name in sorted(own)]
        resource = f"/{self._account}/{self._account}{path}"
        resource += "".join(f"\n{part.replace('=', ':')}" for part in query.split("&") if part)
        text = "\n".join([*lines, resource]).encode()
        signature = base64.b64encode(hmac.digest(self._key, text, hashlib.sha256)).decode()
        url = f"{self._base}{path}" + (f"?{query}" if query else "")
        return self._session.request(
            method,
            url,
            data=data or None,
            headers={**own, "Authorization": f"SharedKey {self._account}:{signature}"},
            skip_auto_headers=("Content-Type",),
        )


async def counted(answer: aiohttp.ClientResponse) -> int:
    """How many bytes a good answer holds."""
    assert answer.status == 200, await answer.text()
    total = 0
    async for chunk in answer.content.iter_any():
        total += len(chunk)
    return total


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def upload(side: Bare | Local, name: str, data: bytes) -> None:
    await side.make(name, len(data))
    offsets = iter(range(0, len(data), RANGE_BYTES))

    async def worker() -> None:
        for offset in offsets:
            await side.write(name, offset, data[offset : offset + RANGE_BYTES])

    await side.write(name, 0, data[:RANGE_BYTES])  # the bare side's file has to be there before two open it
    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))


async def small_files(side: Bare | Local, prefix: str, count: int) -> None:
    numbers = iter(range(count))
    data = os.urandom(SMALL_BYTES)

    async def worker() -> None:
        for number in numbers:
            await side.make(f"{prefix}{number}", len(data))
            await side.write(f"{prefix}{number}", 0, data)

    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))


async def download(side: Bare | Local, name: str, size: int) -> None:
    assert await side.read(name) == size


@contextlib.asynccontextmanager
async def bare_server(folder: Path) -> AsyncIterator[tuple[str, float, int]]:
    """Its URL, the seconds from start to first answer, and its pid."""
    script = folder / "bare.py"
    script.write_text(STARLETTE)
    content = folder / "bare"
    content.mkdir()
    (content / "ready").write_bytes(b"")
    port = free_port()
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), str(content), str(port))
    try:
        await answered(port, "/ready")
        yield f"http://127.0.0.1:{port}", time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def local_server(home: Path, port: int) -> AsyncIterator[tuple[float, float, int]]:
    """The seconds from start to first answer and to the first answer about a resource, and its pid."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ai_toolkit.local_cloud", "--home", str(home), stderr=subprocess.DEVNULL
    )
    try:
        token = HomeFolder(home).token()
        await answered(port, "/local-cloud", token)
        first = time.perf_counter() - began
        await answered(port, "/subscriptions?api-version=2022-12-01", token)
        yield first, time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        await process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def answered(port: int, path: str, token: str = "") -> None:
    """Return at the first answer, which has to be a good one."""
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.005)
                continue
            own = f"Authorization: Bearer {token}\r\n" if token else ""
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{own}Connection: close\r\n\r\n".encode())
            first = await reader.read(12)
            writer.close()
            if first:
                assert first == b"HTTP/1.1 200", first
                return


def memory_mib(pid: int) -> float:
    """Resident memory, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


async def account_of(manager: str, token: str, session: aiohttp.ClientSession) -> tuple[str, bytes]:
    """Name and key of a new storage account."""
    group = f"{manager}/subscriptions/{SUBSCRIPTION}/resourcegroups/bench"
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/benchmark"
    headers = {"Authorization": f"Bearer {token}"}
    body = {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {}}
    for method, url, version, content in (
        ("PUT", group, "2025-04-01", {"location": "westus3"}),
        ("PUT", account, "2025-08-01", body),
        ("POST", f"{account}/listKeys", "2025-08-01", {}),
    ):
        async with session.request(
            method, url, params={"api-version": version}, json=content, headers=headers
        ) as answer:
            found = await answer.json()
            assert answer.status < 300, found
    return "benchmark", base64.b64decode(found["keys"][0]["value"])


async def measure(size_mib: int, count: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """For each number, pairs (local cloud, bare Starlette) in seconds, one a round; taken in turns."""
    data = os.urandom(size_mib * 1024 * 1024)
    numbers = ("upload", "download", "small", "start", "resource")
    results: dict[str, list[tuple[float, float]]] = {number: [] for number in numbers}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        home = folder / "home"
        await control.start(home)  # once, so that its port is known and its folder is made
        await control.stop(home)
        address = HomeFolder(home).address()
        assert address is not None
        port = urlsplit(address.resource_manager).port or 0
        for _ in range(rounds):
            async with local_server(home, port) as (local_start, resource_start, pid):
                idle = memory_mib(pid)
            with tempfile.TemporaryDirectory(dir=folder) as other:
                async with bare_server(Path(other)) as (_url, bare_start, _pid):
                    results["start"].append((local_start, bare_start))
                    results["resource"].append((resource_start, bare_start))
        print(f"memory without replicas: {idle:.0f} MiB (wanted: under 80)")
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            bare_server(folder) as (bare_url, _start, _bare_pid),
            local_server(home, port) as (_first, _resource, pid),
            aiohttp.ClientSession(timeout=timeout) as session,
        ):
            token = HomeFolder(home).token()
            account, key = await account_of(address.resource_manager, token, session)
            current = HomeFolder(home).address()
            assert current is not None
            local = Local(f"{current.files}/{account}", account, key, session)
            bare = Bare(bare_url, session)
            await local.share()
            for turn in range(rounds):
                for number, work in (
                    ("upload", lambda side: upload(side, "large", data)),
                    ("download", lambda side: download(side, "large", len(data))),
                    ("small", lambda side, turn=turn: small_files(side, f"s{turn}-", count)),
                ):
                    ours = await timed(lambda work=work: work(local))
                    theirs = await timed(lambda work=work: work(bare))
                    results[number].append((ours, theirs))
            print(f"memory after the transfers: {memory_mib(pid):.0f} MiB")
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=256)
    parser.add_argument("--small-files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    results = asyncio.run(measure(chosen.size_mib, chosen.small_files, chosen.rounds))
    amounts = {"upload": chosen.size_mib, "download": chosen.size_mib, "small": chosen.small_files}
    units = {"upload": "MiB/s", "download": "MiB/s", "small": "files/s"}
    for number in ("upload", "download", "small"):
        ours, theirs = (statistics.median(pair[side] for pair in results[number]) for side in (0, 1))
        print(
            f"{number}: {amounts[number] / ours:.0f} {units[number]}, bare Starlette "
            f"{amounts[number] / theirs:.0f} {units[number]}: {theirs / ours:.2f} times its speed"
            + (" (wanted: at least 0.5)" if number != "small" else " (a file is two signed requests here, one there)")
        )
    for number, what in (("start", "first answer"), ("resource", "first answer about a resource")):
        ours, theirs = (statistics.median(pair[side] for pair in results[number]) for side in (0, 1))
        times = f"{ours:.2f} s, bare Starlette {theirs:.2f} s"
        wanted = " (wanted: under 1.5)" if number == "start" else ""
        print(f"start to {what}: {times}: {ours / theirs:.2f} times as long{wanted}")


if __name__ == "__main__":
    main()
