"""How late `/health` is beside six large bodies: `python benchmarks/large_bodies.py`.

The sample serves as a process of its own. `/health` is asked again and again, first alone, then while six clients send
conversations one after the other: as long as the context could hold at most (they are made tokens, and then refused),
and far longer (refused by their length). Beside it: how late an answer of one token is.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIENTS = 6
sys.path[:0] = [str(ROOT), str(ROOT / "inference")]


class Folders:
    """Makes temporary folders as pytest does."""

    def __init__(self, base):
        self._base = Path(base)

    def mktemp(self, name):
        return Path(tempfile.mkdtemp(prefix=name, dir=self._base))


def ask(endpoint, body):
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(endpoint.url + "/v1/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def body_of(length):
    text = ("a word " * (length // 7 + 1))[:length]
    return json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 1}).encode()


def delays(action, seconds):
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        action()
        found.append((time.monotonic() - begun) * 1000)
    return found


def beside(endpoint, body, seconds):
    """Delays of /health in ms while the clients send `body`, and how many were refused."""
    over, refused = threading.Event(), []

    def send():
        while not over.is_set():
            status, told = ask(endpoint, body)
            assert (status, told["error"]["code"]) == (400, "context_length_exceeded"), told
            refused.append(status)

    clients = [threading.Thread(target=send) for _ in range(CLIENTS if body else 0)]
    for each in clients:
        each.start()
    try:
        found = delays(lambda: endpoint.get("/health"), seconds)
        small = delays(lambda: ask(endpoint, body_of(10)), seconds / 2)
    finally:
        over.set()
        for each in clients:
            each.join()
    return found, small, len(refused)


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=10.0)
    seconds = asked.parse_args().seconds
    from tests.support.inference.app import INFERENCE, launching

    from ai_toolkit.workspace.sample.workspace import place_sample
    from aitk_app.web.body_reading import longest_body_bytes

    with tempfile.TemporaryDirectory() as base, launching(Folders(base)) as start:
        workspace = Path(base) / "workspace"
        workspace.mkdir()
        place_sample(workspace)
        shutil.copytree(INFERENCE, workspace / "inference", ignore=shutil.ignore_patterns("__pycache__"))
        endpoint = start(workspace)
        endpoint.wait_for("ready")
        listed = json.loads(endpoint.get("/v1/models", signed_in=True)[2])
        longest = longest_body_bytes(listed["data"][0]["max_model_len"]) - 1000
        alone = None
        for name, length in (("alone", 0), ("as long as may be", longest), ("15 MB", 15_000_000)):
            found, small, refused = beside(endpoint, body_of(length) if length else b"", seconds)
            middle, worst = statistics.median(found), max(found)
            alone = alone or middle
            print(
                f"{name:18} {length / 1e6:6.2f} MB  /health median {middle:7.1f} ms ({middle / alone:5.1f} times), "
                f"worst {worst:7.1f} ms; one token {statistics.median(small):7.1f} ms; {refused} refused",
                flush=True,
            )


if __name__ == "__main__":
    main()
