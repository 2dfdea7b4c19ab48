"""A base model is fetched from a hub of the test's own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aitk_app.engine.adapter_files import ModelError
from aitk_app.loading.base_models import HubModel, find_base
from aitk_app.loading.hub import download
from aitk_app.readiness import Readiness
from aitk_app.settings import Settings

WEIGHTS = bytes(range(256)) * 100_000  # several of the pieces that the client writes
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickled",
    "consolidated.safetensors": WEIGHTS,  # Mistral's: the same once more
    "model.Q4_K_M.gguf": WEIGHTS,
    "../outside.json": b"{}",
}
TOKEN = "a token for tests"
WANTED = HubModel("org/model", "v1")


class Hub(BaseHTTPRequestHandler):
    """Speaks as a hub does; `broken_off` answers end in the middle; large files lie on another host."""

    def do_GET(self):
        hub = self.server
        path, _, _ = self.path.partition("?")
        hub.asked.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        if path.startswith("/large/"):
            self.file(FILES[path.removeprefix("/large/")])
        elif hub.locked and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, b"")
        elif path == "/api/models/org/model/revision/v1":
            siblings = [
                {"rfilename": name, "size": len(content), "blobId": "0" * 40} for name, content in FILES.items()
            ]
            sha256 = hashlib.sha256(hub.announced).hexdigest()
            siblings[2]["lfs"] = {"sha256": sha256, "size": len(WEIGHTS), "pointerSize": 134}
            about = {"_id": "0" * 24, "id": "org/model", "modelId": "org/model", "sha": "0" * 40}
            self.answer(200, json.dumps({**about, "siblings": siblings}).encode())
        elif path == "/org/model/resolve/v1/model.safetensors":
            # Another name of this computer: another host.
            self.answer(302, b"", {"Location": f"http://localhost:{hub.server_port}/large/model.safetensors"})
        elif path.startswith("/org/model/resolve/v1/"):
            self.file(FILES[path.removeprefix("/org/model/resolve/v1/")])
        else:
            self.answer(404, b"")

    def file(self, content):
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        rest = content[begin:]
        headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        cut = len(rest) // 2 if len(content) > 100 and next(self.server.broken_off, False) else len(rest)
        self.answer(206 if begin else 200, rest[:cut], headers, length=len(rest))

    def answer(self, status, body, headers=None, length=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.locked, server.broken_off, server.announced = [], False, iter(()), WEIGHTS
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Told(Readiness):
    """Remembers every report."""

    def __init__(self):
        super().__init__()
        self.all = []

    def report(self, stage, detail="", *, progress=None):
        self.all.append((stage, detail, progress))


def fetch(hub, cache, told=None, **environment):
    given = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", **environment}
    return download(WANTED, cache, given, told or Told())


def test_a_model_is_downloaded_whole_with_progress(hub, tmp_path):
    """Configuration, tokenizer and safetensors once, nothing pickled, no second form, nothing outside its folder."""
    told = Told()
    folder = fetch(hub, tmp_path / "model-cache", told)

    assert folder == tmp_path / "model-cache/org/model"
    assert {each.name for each in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not list(tmp_path.rglob("outside.json"))
    assert told.all[-1] == ("loading weights", "Downloading org/model (MB).", (25, 25))


def test_a_download_goes_on_where_it_was_broken_off(hub, tmp_path):
    """Within a start, and in the next start after all tries failed; what is there is not asked for again."""
    hub.broken_off = iter([True] * 7)  # once with a piece that was written, then as often as the client tries
    with pytest.raises(ModelError, match="goes on where it stopped"):
        fetch(hub, tmp_path)
    assert not (tmp_path / "org").exists()
    folder = fetch(hub, tmp_path)

    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    asked = [begin for path, begin, _ in hub.asked if path.startswith("/large/")]
    assert asked[0] is None
    assert len(asked) == 8
    assert None not in asked[1:]
    assert len([path for path, _, _ in hub.asked if path.endswith("config.json")]) == 1


def test_a_token_is_given_to_the_hub_and_to_no_other_host(hub, tmp_path):
    """Without HF_TOKEN a locked model is refused in words; with it the weights' host does not see it."""
    hub.locked = True
    with pytest.raises(ModelError, match="set the environment variable HF_TOKEN"):
        fetch(hub, tmp_path)
    fetch(hub, tmp_path, HF_TOKEN=TOKEN)

    tokens = {token for path, _, token in hub.asked if path.startswith("/large/")}
    assert tokens == {None}


def test_what_arrives_spoiled_is_not_kept(hub, tmp_path):
    """A file without the hash that the hub announced is named and thrown away."""
    hub.announced = b"something else"
    with pytest.raises(ModelError, match=r"model\.safetensors of org/model did not arrive"):
        fetch(hub, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_a_model_or_revision_that_is_not_there_is_named(hub, tmp_path):
    """404 is said as what it is."""
    with pytest.raises(ModelError, match="no base model org/model at revision v2"):
        download(HubModel("org/model", "v2"), tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}, Told())


def test_a_hub_that_cannot_be_reached_is_told_and_the_log_says_why(hub, tmp_path, caplog):
    """The sentence names the hub and the way on; what the network said is in the log alone."""
    hub.shutdown()
    hub.socket.close()

    with pytest.raises(
        ModelError, match=r"could not be downloaded from http://127\.0\.0\.1:\d+\. .*under error.* goes on"
    ):
        fetch(hub, tmp_path)
    assert "refused" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="/sys and /dev/full are Linux's")
def test_a_share_that_is_read_only_or_full_ends_no_start(hub, tmp_path):
    """The model goes to the replica's own disk, from where it is served, and a warning tells why and what to do."""
    (part := tmp_path / "model-cache/.aitk-downloads/org--model@v1/model.safetensors.part").parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    own_disk = tmp_path / "own"
    given = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    for refused, why in (
        (Path("/sys/aitk-model-cache"), "not permitted|ermission|ead-only"),
        (part.parents[2], "No space"),
    ):
        told = Told()
        with pytest.raises(ModelError, match=rf"org/model cannot be kept in {refused}: .*({why})"):
            fetch(hub, refused)
        folder = download(WANTED, refused, given, told, own_disk)

        assert (folder / "model.safetensors").read_bytes() == WEIGHTS
        assert re.search(rf"{refused}: .*({why}).* own disk, anew at every start", told.warnings[-1])
        share = refused.parent
        found = find_base(share, Settings(base_model="org/model", adapters="none"), None, own_disk)
        assert (found.id, found.folder) == ("org/model", folder)
        shutil.rmtree(own_disk)


def test_weights_that_nothing_here_can_read_are_not_downloaded(hub, tmp_path, monkeypatch):
    """In few bits, without their package: the configuration tells before gigabytes come, and says the way on."""
    config = json.dumps({"quantization_config": {"quant_method": "gptq"}}).encode()
    monkeypatch.setitem(FILES, "config.json", config)

    with pytest.raises(ModelError, match="need the package gptqmodel, which is not installed: name the full model"):
        fetch(hub, tmp_path)
    assert not [path for path, _, _ in hub.asked if path.startswith("/large/")]
