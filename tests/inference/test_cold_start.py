"""A cold start with stock clients: what they ask at its beginning is answered at its end, through both processes."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket

import httpx
import openai
import psutil
import pytest
from tests.support.waiting import until, wait_for

# Stands for the installation of packages: it takes until a file lies there, so that a test knows when it is.
PACKAGES = """
import time

class PackagesError(Exception):
    pass

def prepare_packages(code, share, target, report, warn):
    report("Installing.")
    while not (share / "installed").exists():
        time.sleep(0.02)
"""
ASKED = {"messages": [{"role": "user", "content": "What is the capital of Japan?"}], "max_tokens": 30, "temperature": 0}


@pytest.fixture
def installing(launch, sample_workspace, tmp_path):
    """The sample, in the phase in which packages are installed; the function ends it."""
    workspace = tmp_path / "workspace"
    shutil.copytree(sample_workspace, workspace, symlinks=True)
    (workspace / "inference/aitk_app/packages.py").write_text(PACKAGES)
    endpoint = launch(workspace)
    endpoint.wait_for("installing")
    return endpoint, (workspace / "installed").touch


def open_connections(endpoint):
    port = int(endpoint.url.rpartition(":")[2])
    found = psutil.Process(endpoint.process.pid).net_connections("tcp")
    return [each for each in found if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port]


async def until_held(endpoint, count):
    await until(lambda: len(open_connections(endpoint)) == count)


async def test_default_clients_are_answered_by_the_app_that_their_requests_came_before(installing):
    """Asked while packages are installed: whole, streamed, models; meanwhile health, 401 and what is wrong."""
    endpoint, end = installing
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key=endpoint.key) as client:
        whole = asyncio.ensure_future(client.chat.completions.create(model="", **ASKED))
        streamed = asyncio.ensure_future(client.chat.completions.create(model="", stream=True, **ASKED))
        large = {"messages": [{"role": "user", "content": "x" * 1_000_000}], "model": ""}
        too_long = asyncio.ensure_future(client.chat.completions.create(**large))
        listed = asyncio.ensure_future(client.models.list())
        await until_held(endpoint, 4)
        healthy = await asyncio.to_thread(endpoint.get, "/health")
        unknown = await asyncio.to_thread(endpoint.get, "/v1/models")
        async with httpx.AsyncClient() as plain:
            wrong = await plain.post(
                f"{endpoint.url}/v1/chat/completions",
                content=b'{"messages": ]}',
                headers={"Authorization": f"Bearer {endpoint.key}"},
            )
        end()
        said = "".join([each.choices[0].delta.content or "" async for each in await streamed if each.choices])
        answer, models = await whole, await listed
        with pytest.raises(openai.BadRequestError, match="context"):
            await too_long

    assert (healthy[0], unknown[0], wrong.status_code) == (200, 401, 400)
    assert "line 1, column 14" in wrong.json()["error"]["message"]
    assert answer.choices[0].message.content == said
    assert "Tokyo" in said or "captain" in said
    assert len(models.data) == 2


async def test_clients_that_give_up_leave_nothing_behind(installing):
    """While packages are installed, and while the model is loaded: their places are free, and the next is answered."""
    endpoint, end = installing
    headers = {"Authorization": f"Bearer {endpoint.key}"}
    url = f"{endpoint.url}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=0.5) as hasty:
        for _ in range(3):
            with pytest.raises(httpx.TimeoutException):
                await hasty.post(url, json=ASKED, headers=headers)
        await until_held(endpoint, 0)
        end()
        with pytest.raises(httpx.TimeoutException):
            await hasty.post(url, json=ASKED, headers=headers)
    async with httpx.AsyncClient(timeout=120) as patient:
        answer = await patient.post(url, json=ASKED, headers=headers)
        again = await patient.post(url, json=ASKED, headers=headers)

    assert [answer.status_code, again.status_code] == [200, 200]
    assert await asyncio.to_thread(endpoint.measured, "aitk_requests_running") == 0


def test_a_program_that_does_not_take_connections_over_leaves_none_waiting(launch, tmp_path, put_code):
    """Somebody's own server in gradio_chat.py: those who waited are told to ask again, and it answers them then."""
    put_code(tmp_path)
    (tmp_path / "inference/aitk_app/packages.py").write_text(PACKAGES)
    (tmp_path / "inference/gradio_chat.py").write_text("import time\ntime.sleep(100)\n")
    endpoint = launch(tmp_path)
    endpoint.wait_for("installing")
    port = int(endpoint.url.rpartition(":")[2])
    body = json.dumps(ASKED)
    head = f"Host: x\r\nAuthorization: Bearer {endpoint.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}{body}".encode())
        wait_for(lambda: open_connections(endpoint), 10)
        (tmp_path / "installed").touch()
        told = connection.recv(65536)

    assert told.startswith(b"HTTP/1.0 503")
    assert b"retry-after: 3" in told.lower()
