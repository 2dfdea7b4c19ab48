"""Everything of Azure's works where Windows lacks what POSIX has, and what needs POSIX says so in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pygls.exceptions import JsonRpcException
from tests.support import as_on_windows
from tests.support.azure_account import RESEARCH, Azure
from tests.support.language_client import editor
from tests.support.road import environment

from ai_toolkit.local_cloud import control

AS_ON_WINDOWS = (as_on_windows.__file__,)
APP = """
import http.server, json, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path in ("/health", "/ready") else 404, {"ready": True, "stage": "ready"})
    def do_POST(self):
        self.answer(200, {"choices": [{"message": {"content": "Good day from " + os.environ["AITK_API_KEY"][:3]}}]})
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *about):
        print("asked for", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""


class Windows:
    """`aitk` in a folder, as on Windows."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**variables, "PYTHONPATH": str(Path(__file__).parents[2])}

    def aitk(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *AS_ON_WINDOWS, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
async def azure(tmp_path):
    started = await Azure.start(tmp_path)
    started.install_cli()
    yield started
    await control.stop(started.home)


@pytest.mark.parametrize(
    "line", ["import fcntl", "import os; os.killpg", "from os import pread", "import signal; signal.SIGKILL"]
)
def test_what_windows_lacks_is_really_missing(line):
    """So that the tests below can fail."""
    script = (
        "from tests.support.as_on_windows import deceive; deceive()\n"
        f"exec(compile({line!r}, 'x', 'exec'), {{'__name__': 'ai_toolkit.x', '__builtins__': __builtins__}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "on Windows" in done.stderr or "ImportError" in done.stderr


async def test_the_whole_road_on_azure(azure, tmp_path):
    """Provision, deploy (with a file of several ranges), status, models, logs, chat, key and link."""
    folder = tmp_path / "my workspace"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    windows = Windows(folder, kept | azure.environment | {"NO_COLOR": "1"})
    windows.aitk("init")
    for file in sorted((folder / "inference").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (folder / "inference" / "start.py").write_bytes(APP.replace("\n", "\r\n").encode())
    large = os.urandom(9 << 20)
    (folder / "inference" / "Large.bin").write_bytes(large)
    told = windows.aitk("provision", "--subscription", RESEARCH, "--resource-group", "windows",
                        "--location", "westus3", "--yes")  # fmt: skip
    deployed = windows.aitk("deploy", "--wake", "--yes")
    shares = [one for one in (azure.home / "shares").glob("*/*") if (one / "inference").is_dir()]
    key = windows.aitk("key").strip()

    assert "http" in told
    assert "Inference endpoint: " in deployed
    assert [(one / "inference" / "Large.bin").read_bytes() == large for one in shares] == [True]
    assert (shares[0] / "inference" / "start.py").read_bytes() == APP.replace("\n", "\r\n").encode()
    assert "revision" in windows.aitk("status")
    assert f"Good day from {key[:3]}" in windows.aitk("chat", "Hello")
    assert "asked for" in windows.aitk("logs")
    assert "#aitk=" in windows.aitk("link")
    assert b"\r\n" not in (folder / "infra" / "inference.config.json").read_bytes()


async def test_the_language_server_answers(tmp_path):
    """It starts, runs commands, and offers this computer only with the reason why it cannot be chosen."""
    folder = tmp_path / "my workspace"
    folder.mkdir()
    windows = Windows(folder, environment(tmp_path / "cloud"))
    answers = {"Where should the model run?": None}
    async with editor(windows.environment, answers, set(), folders=[folder], program=AS_ON_WINDOWS) as seen:
        added = await seen.command("createProject", folder, "t1")
        await seen.command("showStatus", folder, "t2")
        with pytest.raises(JsonRpcException, match="WSL"):
            await seen.command("startLocalCloud", folder, "t3")
        with pytest.raises(JsonRpcException):  # nothing was chosen
            await seen.command("provisionInference", folder, "t4")
    here = next(item for item in seen.asked[0]["items"] if item["label"].startswith("This computer"))

    assert len(added["added"]) > 10
    assert here["disabled"]
    assert "WSL" in here["description"]


@pytest.mark.parametrize(
    "command",
    [("provision", "--local", "--yes"), ("demo", "--no-browser"), ("local-cloud", "start"), ("deploy", "--yes"),
     ("status",), ("chat", "Hello")],
)  # fmt: skip
def test_the_local_cloud_names_wsl_before_anything_is_downloaded(command, tmp_path):
    """Also in a workspace that was provisioned inside WSL."""
    names = ("RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    values = ", ".join(f'"{name}": "a"' for name in names)
    config = f'{{"SUBSCRIPTION_ID": "{"0" * 8}-0000-0000-0000-{"0" * 12}", {values}, "ACA_APP_ENDPOINT": "http://127.0.0.1:9"}}'
    windows = Windows(tmp_path / "workspace", environment(tmp_path / "cloud"))
    windows.folder.mkdir()
    windows.aitk("init")
    (windows.folder / "infra" / "inference.config.json").write_text(config)
    code = 0 if command == ("status",) else 1
    said = windows.aitk(*command, code=code)

    assert "inside WSL" in said
    assert said.count("WSL") <= 4
    assert not (tmp_path / "cloud").exists()
