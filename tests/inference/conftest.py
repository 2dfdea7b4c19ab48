"""A real process of the app with the sample, for every test that asks it something."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai_toolkit.sample.workspace import place_sample

INFERENCE = Path(__file__).parents[2] / "inference"
KEY = "a key for tests"


@dataclass(frozen=True)
class Endpoint:
    url: str
    key: str | None
    process: subprocess.Popen
    log: Path

    def get(self, path, *, signed_in=False, **headers):
        """Status, headers and body of a GET request."""
        if signed_in:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def wait_for(self, *stages, limit_seconds=120):
        """The body of /ready, once its stage is one of these."""
        end = time.monotonic() + limit_seconds
        while time.monotonic() < end:
            try:
                state = json.loads(self.get("/ready")[2])
            except OSError:
                state = {}
            if state.get("stage") in stages:
                return state
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"not {stages} in time:\n{self.log.read_text()[-4000:]}")

    def stop(self):
        """The process's exit code after SIGTERM."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Starts the app of a workspace on a free port; everything started is ended."""
    running = []

    def start(workspace, *, key=KEY, script="start.py", environment=None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        folder = tmp_path_factory.mktemp("replica")
        given = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(folder),
            "AITK_SHARE": str(workspace),
            "CONTAINER_APP_PORT": str(port),
            "AITK_HOST": "127.0.0.1",
        }
        given |= ({"AITK_API_KEY": key} if key else {}) | (environment or {})
        log = folder / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, script],
                cwd=workspace / "inference",
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        endpoint = Endpoint(f"http://127.0.0.1:{port}", key, process, log)
        running.append(endpoint)
        return endpoint

    yield start
    for endpoint in running:
        if endpoint.process.poll() is None:
            endpoint.process.kill()
            endpoint.process.wait()


@pytest.fixture(scope="session")
def put_code():
    """Puts the app's code into a workspace, as Deploy would."""

    def put(workspace):
        shutil.copytree(INFERENCE, workspace / "inference", ignore=shutil.ignore_patterns("__pycache__"))

    return put


@pytest.fixture(scope="session")
def sample_workspace(tmp_path_factory, put_code):
    workspace = tmp_path_factory.mktemp("workspace")
    place_sample(workspace)
    put_code(workspace)
    return workspace


@pytest.fixture(scope="session")
def endpoint(launch, sample_workspace):
    """The sample, ready to answer."""
    started = launch(sample_workspace)
    started.wait_for("ready")
    return started
