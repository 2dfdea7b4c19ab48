"""Stock clients call an endpoint that is asleep, without a setting: scripts/judge cold-start waits for a minute.

In the checks' run the installation of packages takes some seconds. `AITK_COLD_START_SECONDS` says how many; what was
measured is written where `AITK_COLD_START_RESULT` says.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.inference.clients.judges import Client, Environments, judged

SECONDS = int(os.environ.get("AITK_COLD_START_SECONDS", "3"))
PACKAGES = """
import time

class PackagesError(Exception):
    pass

def prepare_packages(code, share, target, report, warn):
    report("Installing.")
    time.sleep({seconds})
"""
HOW = ("whole", "streamed")
CLIENTS = (
    Client("openai (Python)", "cold_start.py openai", "frameworks", "openai", HOW),
    Client("LangChain (Python)", "cold_start.py langchain", "frameworks", "langchain-openai", HOW),
    Client("LiteLLM", "cold_start.py litellm", "gateways", "litellm", HOW),
    Client("AI SDK", "cold_start.mjs", "node", "ai", HOW),
)

pytestmark = [
    pytest.mark.skipif(os.environ.get("AITK_JUDGES") != "1", reason="foreign clients: scripts/judge cold-start"),
    pytest.mark.timeout(1200),
]


def test_default_clients_are_answered_from_a_cold_start(launch, sample_workspace, tmp_path):
    """All at once, whole and streamed, asked while packages are installed; each gets its answer, none asks again."""
    environments = Environments()
    environments.begin(tuple(dict.fromkeys(each.environment for each in CLIENTS)))
    places = [environments.ready(each.environment) for each in CLIENTS]
    workspace = tmp_path / "workspace"
    shutil.copytree(sample_workspace, workspace, symlinks=True)
    (workspace / "inference/aitk_app/packages.py").write_text(PACKAGES.format(seconds=SECONDS))
    endpoint = launch(workspace)
    endpoint.wait_for("installing")

    def asked(client, place):
        scratch = tmp_path / client.name
        scratch.mkdir()
        begun = time.monotonic()
        found = judged(client, place, (endpoint.url, endpoint.key, "qlora/qlora/gpu_model/adapter"), scratch)
        return found, time.monotonic() - begun

    with ThreadPoolExecutor(len(CLIENTS)) as together:
        answered = list(together.map(asked, CLIENTS, places))
    lines = [
        f"{client.name} {client.version}: whole and streamed answered after {seconds:.0f} s"
        for client, (_, seconds) in zip(CLIENTS, answered, strict=True)
    ]
    if result := os.environ.get("AITK_COLD_START_RESULT"):
        head = (
            f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()}, {os.cpu_count()} cores: a start whose packages take "
        )
        Path(result).write_text(
            "\n".join([f"{head}{SECONDS} s; clients with no setting but address, key, model", *lines, ""])
        )

    for (found, seconds), client in zip(answered, CLIENTS, strict=True):
        assert found == dict.fromkeys(HOW, ""), client.name
        assert seconds > SECONDS / 2
    asked_of_app = [line for line in endpoint.log.read_text().splitlines() if "could not" in line]
    assert asked_of_app == []
