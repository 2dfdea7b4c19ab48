"""How a deploy compares with the plain loop over the SDK: `python benchmarks/deploy.py`.

The same tree (1 000 files of 8 KiB, one of 256 MiB) goes to the local cloud's file service, a process of its own,
once by a deploy's synchronisation and once by a sequential `upload_file` per file; each runs in a process of its own,
so that its memory is its own. Requests are counted, and delayed, in the service. Seconds count from when the Azure SDK
is loaded, which the editor's server has done once; a command loads it each time, and that stands beside.
"""

import asyncio
import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path, PurePosixPath

from aiohttp import web

KEY = base64.b64encode(b"a key of sixty-four bytes, which is as long as Azure's own keys ").decode()
FILES = 1000
SMALL_BYTES = 8 * 1024
LARGE_BYTES = 256 * 1024 * 1024
DELAY_SECONDS = 0.020
_STARTED = time.monotonic()


def make_tree(folder: Path) -> None:
    code = folder / "inference"
    code.mkdir(parents=True)
    for number in range(FILES):
        (code / f"file{number:04}.py").write_bytes(os.urandom(SMALL_BYTES))
    with (code / "large.bin").open("wb") as stream:
        for _ in range(LARGE_BYTES // (1 << 20)):
            stream.write(os.urandom(1 << 20))


async def serve(home: Path) -> None:
    from ai_toolkit.local_cloud.files.service import FileService
    from ai_toolkit.local_cloud.files.share_folder import ShareRecords, Shares
    from ai_toolkit.local_cloud.files.side_data import SideData

    key = base64.b64decode(KEY)
    service = FileService(
        Shares(home, SideData(home / "facts")),
        lambda _account: [key],
        ShareRecords(lambda *_: 5120, lambda *_: None, lambda *_: None),
    )
    seen = {"requests": 0, "content": 0, "delay": 0.0}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/seen":
            told = dict(seen)
            seen.update(requests=0, content=0, delay=float(request.query["delay"]))
            return web.json_response(told)
        seen["requests"] += 1
        if "comp=range" in request.query_string:
            seen["content"] += request.content_length or 0
        if seen["delay"]:
            await asyncio.sleep(seen["delay"])
        return await service.answer(request)

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def synchronise(url: str, share: str, folder: Path) -> None:
    from ai_toolkit.azure.file_share import FileShare
    from ai_toolkit.azure.share_lock import share_lock
    from ai_toolkit.deploy.local_files import local_files
    from ai_toolkit.deploy.manifest import Origin
    from ai_toolkit.deploy.sync import synchronise as carry_out
    from ai_toolkit.deploy.sync_plan import plan_sync

    loaded = time.monotonic() - _STARTED
    began = time.monotonic()
    files = local_files(folder)
    async with FileShare.open(url, "account", KEY, share) as opened, share_lock(opened, print):
        plan = await plan_sync(opened, files)
        if not plan.up_to_date:
            await carry_out(opened, plan, Origin.now("benchmark", None), lambda _bytes, _files: None)
    tell(began, loaded)


async def loop(url: str, share: str, folder: Path) -> None:
    from azure.core.credentials import AzureNamedKeyCredential
    from azure.storage.fileshare.aio import ShareClient

    loaded = time.monotonic() - _STARTED
    began = time.monotonic()
    credential = AzureNamedKeyCredential("account", KEY)
    async with ShareClient(url, share_name=share, credential=credential) as client:
        await client.create_directory("inference")
        for source in sorted((folder / "inference").iterdir()):
            path = PurePosixPath("inference") / source.name
            with source.open("rb") as stream:
                await client.get_file_client(str(path)).upload_file(stream)
    tell(began, loaded)


def tell(began: float, loaded: float) -> None:
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.monotonic() - began, "loaded": loaded, "peak_mib": peak_mib}))


class Service:
    def __init__(self, home: Path) -> None:
        self.home = home
        command = [sys.executable, __file__, "serve", str(home)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def seen(self, delay: float = 0.0) -> dict:
        with urllib.request.urlopen(f"{self.url}/seen?delay={delay}") as answer:
            return json.load(answer)

    def run(self, how: str, share: str, folder: Path, cache: Path, delay: float = 0.0) -> dict:
        (self.home / "account" / share).mkdir(parents=True, exist_ok=True)
        self.seen(delay)
        command = [sys.executable, __file__, how, f"{self.url}/account", share, str(folder)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment, text=True)
        return {**json.loads(done.stdout), **self.seen()}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        make_tree(base / "tree")
        service = Service(base / "shares")

        def run(how: str, share: str, delay: float = 0.0) -> dict:
            found = service.run(how, share, base / "tree", base / "cache", delay)
            print(
                f"  {how:12} {share:10} {found['seconds']:8.2f} s  {found['requests']:6} requests"
                f"  {found['content'] / 1e6:8.1f} MB  {found['peak_mib']:6.0f} MiB peak"
            )
            return found

        try:
            print(f"first upload, {DELAY_SECONDS * 1000:.0f} ms of latency")
            slow_loop = run("loop", "delayed1", DELAY_SECONDS)
            slow = run("synchronise", "delayed2", DELAY_SECONDS)
            print("first upload, no latency")
            plain = run("loop", "plain1")
            first = run("synchronise", "plain2")
            print("nothing changed")
            nothing = run("synchronise", "plain2")
            print("one file of 8 KiB changed")
            (base / "tree/inference/file0500.py").write_bytes(os.urandom(SMALL_BYTES))
            one = run("synchronise", "plain2")
        finally:
            service.process.stdin.close()
            service.process.wait(timeout=30)
        print()
        print(f"first upload with latency: {slow_loop['seconds'] / slow['seconds']:.1f} times the loop (promised: 3)")
        print(f"first upload without:      {plain['seconds'] / first['seconds']:.1f} times the loop")
        print(
            f"nothing changed: {nothing['requests']} requests (5), {nothing['content']} bytes (0), "
            f"{nothing['seconds']:.2f} s (0.5), and {nothing['loaded']:.2f} s to load the SDK"
        )
        print(f"one file changed: {one['requests']} requests (12), {one['content']} bytes of content")
        print(f"memory: {max(slow['peak_mib'], first['peak_mib']):.0f} MiB (150)")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)
    match sys.argv[1:]:
        case ["serve", home]:
            Path(home).mkdir(parents=True, exist_ok=True)
            asyncio.run(serve(Path(home)))
        case ["synchronise", url, share, folder]:
            asyncio.run(synchronise(url, share, Path(folder)))
        case ["loop", url, share, folder]:
            asyncio.run(loop(url, share, Path(folder)))
        case _:
            main()
