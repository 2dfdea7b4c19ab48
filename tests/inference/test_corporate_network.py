"""A company's network: hub and pip are reached through its proxy, and its authority's certificates are taken."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web
from tests.inference.test_hub import FILES, WEIGHTS
from tests.support.corporate_network import VARIABLES, Proxy, certificate, listening

INFERENCE = Path(__file__).parents[2] / "inference"
HUB, INDEX = "hub.cloud.example", "index.cloud.example"  # names that no name server knows: only the proxy does
DOWNLOAD = """
import os, sys
from pathlib import Path
from aitk_app.loading.base_models import HubModel
from aitk_app.loading.hub import download
from aitk_app.readiness import Readiness
print(download(HubModel("org/model", "v1"), Path(sys.argv[1]), os.environ, Readiness()))
"""


async def answer(request):
    """A hub's, and an index's with one package in it."""
    path = request.path
    if path == "/api/models/org/model/revision/v1":
        sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        lfs = {"sha256": sha256, "size": len(WEIGHTS), "pointerSize": 134}
        siblings = [
            {"rfilename": name, "size": len(FILES[name]), "blobId": "0" * 40} | ({"lfs": lfs} if "safe" in name else {})
            for name in ("config.json", "tokenizer.json", "model.safetensors")
        ]
        return web.json_response({"_id": "0" * 24, "id": "org/model", "sha": "0" * 40, "siblings": siblings})
    if path.startswith("/org/model/resolve/v1/"):
        return web.Response(body=FILES[path.rpartition("/")[2]])
    if path.startswith("/simple/"):
        return web.Response(text="<a href='nothing.txt'>nothing</a>", content_type="text/html")
    return web.Response(status=404)


@pytest.fixture
def network(tmp_path):
    """The proxy, the environment that names it, the authority's file, and the port of what lies behind it."""
    context, authority = certificate(tmp_path / "authority", HUB, INDEX)
    proxy, loop, ready = Proxy(), asyncio.new_event_loop(), threading.Event()
    found = {}

    async def run():
        async with proxy.running() as url, listening(answer, context) as port:
            found.update(url=url, port=port, stop=asyncio.Event())
            ready.set()
            await found["stop"].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(20)
    yield proxy, found["url"], authority, found["port"]
    loop.call_soon_threadsafe(found["stop"].set)
    thread.join(20)
    loop.close()


def ended(command, **environment):
    kept = {name: value for name, value in os.environ.items() if name.upper() not in {*VARIABLES, "PIP_CERT"}}
    given = kept | {"PYTHONPATH": str(INFERENCE), "PIP_CONFIG_FILE": "/dev/null"} | environment
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=given, check=False, timeout=90
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_hub_is_reached_through_the_proxy_with_the_company_s_authority(network, tmp_path, variable):
    """Whichever variable names the authority, as pip and the Azure SDKs take it too."""
    proxy, url, authority, port = network
    given = {"HTTPS_PROXY": url, variable: str(authority), "HF_ENDPOINT": f"https://{HUB}:{port}"}
    code, said = ended(["-c", DOWNLOAD, tmp_path / "cache"], **given)

    assert code == 0, said
    assert (tmp_path / "cache/org/model/model.safetensors").read_bytes() == WEIGHTS
    assert f"CONNECT {HUB}:{port}" in proxy.asked


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_pip_is_too(network, tmp_path, variable):
    """It gets so far as to read the index, in which the package is not."""
    proxy, url, authority, port = network
    given = {"HTTPS_PROXY": url, variable: str(authority), "PIP_INDEX_URL": f"https://{INDEX}:{port}/simple"}
    code, said = ended(
        ["-m", "pip", "download", "--no-cache-dir", "--retries", "0", "-d", tmp_path, "nothing"], **given
    )

    assert code != 0
    assert "No matching distribution" in said
    assert f"CONNECT {INDEX}:{port}" in proxy.asked


def test_a_proxy_s_refusal_is_told_as_one(tmp_path):
    """Not as a model that is missing."""
    refused = Proxy("407 Proxy Authentication Required")

    async def run():
        async with refused.running() as url:
            return await asyncio.to_thread(
                ended,
                ["-c", DOWNLOAD, tmp_path],
                HTTPS_PROXY=url,
                HF_ENDPOINT=f"https://{HUB}",
                HF_HUB_DOWNLOAD_TIMEOUT="5",
            )

    code, said = asyncio.run(run())

    assert code != 0
    assert "407" in said
