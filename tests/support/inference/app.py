"""A real process of the app, on a free port, asked over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INFERENCE = Path(__file__).parents[3] / "inference"
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
        return self.ask("GET", path, **headers)

    def ask(self, method, path, body=None, **headers):
        """The same of any request; a body is sent as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers |= {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def measured(self, name):
        """A number at /metrics, summed over its labels."""
        lines = self.get("/metrics", signed_in=True)[2].decode().splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.partition("{")[0].partition(" ")[0] == name]
        assert found, name
        return sum(map(float, found))

    def wait_for(self, *stages, limit_seconds=300):
        """The body of /ready, once its stage is one of these."""
        end = time.monotonic() + limit_seconds
        while time.monotonic() < end:
            try:
                state = json.loads(self.get("/ready")[2])
            except OSError:
                state = {}
            if state.get("stage") in stages:
                return state
            if state.get("stage") == "failed":
                break  # it stays so
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


@contextmanager
def launching(tmp_path_factory):
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
            "OMP_NUM_THREADS": "1",  # threads that wait for one another waste a computer that runs other tests too
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
        endpoint = Endpoint(f"http://127.0.0.1:{given['CONTAINER_APP_PORT']}", key, process, log)
        running.append(endpoint)
        return endpoint

    try:
        yield start
    finally:
        for endpoint in running:
            if endpoint.process.poll() is None:
                endpoint.process.kill()
                endpoint.process.wait()
