"""Starts the inference app in its container: answers at once, copies the code to local disk, and runs it there.

    python3 start.py

Standard library only. It listens before it does anything else, so that the platform sees a healthy process within a
second; then it copies `inference/` from the share as the manifest of the last deploy says, installs what
`requirements.txt` asks for beyond what is installed, and becomes (exec) the copy's `gradio_chat.py`, which inherits
the listening socket. The share is never executed from: a deploy can replace files there at any moment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

ENTRY = "inference/gradio_chat.py"
DEFAULT_PORT = 7860
RETRY_AFTER_SECONDS = "3"


class StartError(Exception):
    """The app cannot be started; the message says why and what to do. It is shown on /ready."""


class Starter:
    """What `/ready` says while the app is being prepared, and the modules that the sign-in page needs."""

    def __init__(self) -> None:
        self.stage = "preparing"
        self.detail = "Reading the deployed code."
        self.reason: str | None = None
        # From the verified copy, once it is there: never imported from the share.
        self.access_module: Any = None
        self.pages_module: Any = None

    def ready_body(self) -> bytes:
        """The body of `/ready`."""
        return json.dumps(
            {
                "ready": False,
                "stage": self.stage,
                "detail": self.detail,
                "reason": self.reason,
                "progress": None,
            }
        ).encode()


def listen() -> socket.socket:
    """The listening socket: every interface when there is a key, else the loopback interface only."""
    host = os.environ.get("AITK_HOST") or ("0.0.0.0" if os.environ.get("AITK_API_KEY") else "127.0.0.1")  # noqa: S104 - the container's ingress reaches it there; every route asks for the key
    port = int(os.environ.get("CONTAINER_APP_PORT") or DEFAULT_PORT)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(256)
    return listener


def share_folder() -> Path:
    """The folder that holds `inference/`, `models/`, `model-cache/` and `.aitk/`."""
    configured = os.environ.get("AITK_SHARE")
    return Path(configured) if configured else Path(__file__).resolve().parent.parent


def copy_code(share: Path, target: Path) -> list[str]:
    """Copy the deployed files of `inference/` below `target`; the names copied, empty when nothing is deployed.

    With a manifest each file is what it says: a file that is being replaced right now comes from
    `.aitk/replaced/`. Raises `StartError` when a deployed file is nowhere to be found.
    """
    manifest = share / ".aitk" / "manifest.json"
    if not manifest.is_file():
        return _copy_all(share, target)
    files = json.loads(manifest.read_text("utf-8"))["files"]
    copied = []
    for name, entry in sorted(files.items()):
        path = PurePosixPath(name)
        if path.parts[:1] != ("inference",) or ".." in path.parts:
            continue
        for candidate in (share / name, share / ".aitk" / "replaced" / str(entry["sha256"])):
            content = candidate.read_bytes() if candidate.is_file() else b""
            if hashlib.sha256(content).hexdigest() == entry["sha256"]:
                break
        else:
            raise StartError(
                f"{name} on the file share is not what was deployed, and the deployed version was not kept. "
                "Deploy again."
            )
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
        copied.append(name)
    return copied


def _copy_all(share: Path, target: Path) -> list[str]:
    """Without a manifest (files put there by hand): everything, as it is now."""
    shutil.copytree(
        share / "inference", target / "inference", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    return [file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file()]


def missing_packages(requirements: Path) -> list[str]:
    """The lines of `requirements` that are not installed in the version that they ask for."""
    missing = []
    for line in requirements.read_text("utf-8").splitlines() if requirements.is_file() else ():
        requirement = line.partition("#")[0].strip()
        match = re.fullmatch(r"([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.+*!_-]+)", requirement)
        if not match:
            if requirement:
                missing.append(requirement)  # pip understands what we do not
            continue
        name, wanted = match.groups()
        try:
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            missing.append(requirement)
            continue
        matches = installed.startswith(wanted[:-1]) if wanted.endswith("*") else installed == wanted
        if not matches:
            missing.append(requirement)
    return missing


def install(missing: list[str]) -> None:
    """Install packages with pip; its output goes to the log. Raises `StartError`."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *missing]
    with subprocess.Popen(command) as pip:  # noqa: S603 - requirements that the workspace's owner deployed
        stopped_by = signal.signal(signal.SIGTERM, lambda *_: (pip.terminate(), sys.exit(143)))
        try:
            code = pip.wait()
        finally:
            signal.signal(signal.SIGTERM, stopped_by)
    if code:
        raise StartError(
            f"The packages that inference/requirements.txt asks for could not be installed (pip: exit {code}): "
            f"{', '.join(missing)}. See the replica's log."
        )


def import_from(folder: Path, name: str) -> Any:  # noqa: ANN401 - a module
    """The module `name` from its file in `folder`, which is a verified copy."""
    found = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    if found is None or found.loader is None or not (folder / f"{name}.py").is_file():
        return None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


def handler_for(starter: Starter) -> type[BaseHTTPRequestHandler]:
    """The request handler that answers while the app is being prepared."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 2  # an idle connection must not hold up the hand-over
        server_version = "aitk"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].rstrip("/")
            if path == "/health":
                self.answer(200, b'{"status": "ok"}', "application/json")
            elif path == "/ready":
                self.answer(
                    503, starter.ready_body(), "application/json", {"Retry-After": RETRY_AFTER_SECONDS}
                )
            else:
                self.answer_others()

        do_HEAD = do_GET
        do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            body = self.rfile.read(min(int(length), 65536)) if length.isdecimal() else b""
            if starter.access_module and self.path.partition("?")[0] == "/session":
                secure = self.headers.get("X-Forwarded-Proto") == "https"
                cookie = access().session_cookie(body, secure=secure)
                if cookie:
                    self.answer(204, b"", "application/json", {"Set-Cookie": cookie})
                    return
            self.answer_others()

        def answer_others(self) -> None:
            for_people = "text/html" in self.headers.get("Accept", "")
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            if not starter.access_module or not starter.pages_module:
                # For the moment until the copy is there nobody can be told from anybody.
                status = 503 if os.environ.get("AITK_API_KEY") is None else 401
                refresh = f'<meta http-equiv="refresh" content="{RETRY_AFTER_SECONDS}">Starting …'.encode()
                body = refresh if for_people else starter.ready_body()
                self.answer(status, body, "text/html" if for_people else "application/json", headers)
            elif not access().allows({name.lower(): value for name, value in self.headers.items()}):
                if for_people:
                    self.answer(401, starter.pages_module.login_page(), "text/html; charset=utf-8")
                else:
                    message = "A key is needed: Authorization: Bearer KEY. `aitk key` prints it."
                    body = starter.access_module.openai_error(
                        message, kind="invalid_request_error", code="invalid_api_key"
                    )
                    self.answer(401, body, "application/json", {"WWW-Authenticate": "Bearer"})
            elif for_people:
                page = starter.pages_module.waiting_page(starter.stage, starter.detail, starter.reason, None)
                self.answer(503, page, "text/html; charset=utf-8", headers)
            else:
                message = f"Not ready: {starter.stage}. {starter.reason or starter.detail}"
                body = starter.access_module.openai_error(message, kind="server_error", code="not_ready")
                self.answer(503, body, "application/json", headers)

        def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:  # noqa: PLR2004 - 204 has no body
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the platform asks /health every few seconds."""

    def access() -> Any:  # noqa: ANN401 - of a module that is imported by path
        return starter.access_module.Access(os.environ.get("AITK_API_KEY") or None)

    return Handler


def prepare(starter: Starter) -> Path | None:
    """The local copy of `inference/`, ready to run; None when nothing is deployed. Raises `StartError`."""
    share = share_folder()
    target = Path(tempfile.mkdtemp(prefix="aitk-inference-"))
    if ENTRY not in copy_code(share, target):
        shutil.rmtree(target)
        return None
    local = target / "inference"
    starter.access_module = import_from(local, "access")
    starter.pages_module = import_from(local, "pages")
    if missing := missing_packages(local / "requirements.txt"):
        starter.stage, starter.detail = "installing", f"Installing {', '.join(missing)}."
        log(starter.detail)
        install(missing)
        starter.stage, starter.detail = "preparing", "Starting the app."
    return local


def hand_over(server: ThreadingHTTPServer, local: Path) -> None:
    """Become the app: it inherits the listening socket, whose queue keeps who connects meanwhile."""
    descriptor = os.dup(server.socket.fileno())
    server.shutdown()
    server.server_close()  # waits for answers that are under way
    os.set_inheritable(descriptor, True)
    environment = os.environ | {
        "AITK_SOCKET_FD": str(descriptor),
        "AITK_SHARE": str(share_folder()),
        "AITK_LOCAL_COPY": str(local.parent),
    }
    os.chdir(local)
    os.execve(sys.executable, [sys.executable, str(local / "gradio_chat.py")], environment)  # noqa: S606 - no shell wanted


def log(message: str) -> None:
    """One line in the replica's log."""
    sys.stdout.write(f"start: {message}\n")
    sys.stdout.flush()


def main() -> None:
    """Listen, prepare, hand over; on failure stay and say why."""
    sys.dont_write_bytecode = True
    # As a container's first process it would ignore the signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    starter = Starter()
    server = ThreadingHTTPServer(("", 0), handler_for(starter), bind_and_activate=False)
    server.socket.close()
    server.socket = listen()
    server.daemon_threads = False
    log(f"listening on {server.socket.getsockname()[:2]}")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        local = prepare(starter)
    except (StartError, OSError, ValueError, KeyError) as error:
        starter.reason = str(error) or type(error).__name__
        starter.stage, starter.detail = "failed", "The app could not be started."
        log(f"failed: {starter.reason}")
    else:
        if local is not None:
            hand_over(server, local)
        starter.stage, starter.detail = "nothing deployed", "Run “AI Toolkit: Deploy for inference”."
        log("nothing deployed yet")
    serving.join()


if __name__ == "__main__":
    main()
