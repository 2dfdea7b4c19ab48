"""Starts the inference app in its container: answers at once, copies the code to local disk, runs it there.

    python3 start.py

Standard library only. It listens before it does anything else, so that the platform sees a healthy process
within a second; then it copies `inference/` from the share as the manifest of the last deploy says, installs
what `requirements.txt` asks for beyond what is installed (`aitk_app/packages.py`), and becomes (exec) the copy's
`gradio_chat.py`, which inherits the listening socket. The share is never executed from: a deploy can replace
files there at any moment.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

ENTRY = "inference/gradio_chat.py"
OWN = "aitk_app"
# What signing in needs; version 0.1.0 had it beside this file, and a deploy that was cut off may have left that there.
SIGN_IN = (
    *(f"inference/{OWN}/{name}" for name in ("__init__.py", "web/__init__.py", "web/access.py", "web/pages.py")),
    *("inference/access.py", "inference/pages.py"),
)
DEFAULT_PORT = 7860
RETRY = {"Retry-After": "3"}


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
        self.packages: Path | None = None  # what the image lacked
        self.warnings: list[str] = []

    def ready_body(self) -> bytes:
        """The body of `/ready`."""
        return json.dumps(
            {
                "ready": False,
                "stage": self.stage,
                "detail": self.detail,
                "reason": self.reason,
                "progress": None,
                "warnings": self.warnings,
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


def copy_code(share: Path, target: Path, names: tuple[str, ...] = ()) -> list[str]:
    """Copy the deployed files of `inference/` (or only `names`) below `target`; the names copied.

    With a manifest each file is what it says: a file that is being replaced right now comes from
    `.aitk/replaced/`. Without one (files put there by hand): as they are now. Raises `StartError` when a
    deployed file is nowhere to be found.
    """
    manifest = share / ".aitk" / "manifest.json"
    deployed: dict[str, str | None] = {}
    if manifest.is_file():
        for name, entry in json.loads(manifest.read_text("utf-8"))["files"].items():
            deployed[name] = str(entry["sha256"])
    else:
        for file in (share / "inference").rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                deployed[file.relative_to(share).as_posix()] = None
    copied = []
    for name, wanted in sorted(deployed.items()):
        parts = PurePosixPath(name).parts
        if parts[0] != "inference" or ".." in parts or (names and name not in names):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(_content(share, name, wanted))
        copied.append(name)
    return copied


def _content(share: Path, name: str, wanted: str | None) -> bytes:
    if wanted is None:
        return (share / name).read_bytes()
    for candidate in (share / name, share / ".aitk" / "replaced" / wanted):
        content = candidate.read_bytes() if candidate.is_file() else b""
        if hashlib.sha256(content).hexdigest() == wanted:
            return content
    raise StartError(
        f"{name} on the file share is not what was deployed, and the deployed version was not kept. Deploy again."
    )


def import_from(folder: Path, name: str) -> Any:  # noqa: ANN401 - a module
    """The app's own module `name` (`web.access`) from `folder`, which is a verified copy; None where it has none."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the copy grows
    for there in (f"{OWN}.{name}", name.rpartition(".")[2]):
        if (folder / f"{there.replace('.', '/')}.py").is_file():
            return importlib.import_module(there)
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers while the app is being prepared."""

    timeout = 2  # an idle connection must not hold up the hand-over
    server_version = "aitk"
    sys_version = ""
    starter: Starter

    def do_GET(self) -> None:
        """Health, stage, or a refusal."""
        path = self.path.partition("?")[0]
        if path == "/health":
            self.answer(200, b'{"status": "ok"}', "application/json")
        elif path == "/ready":
            self.answer(503, self.starter.ready_body(), "application/json", RETRY)
        else:
            self.refuse()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the same

    def do_POST(self) -> None:
        """A session for a signed link or the key, or a refusal."""
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(min(int(length), 65536)) if length.isdecimal() else b""
        cookie = None
        if self.starter.access_module and self.path.partition("?")[0] == "/session":
            secure = self.headers.get("X-Forwarded-Proto") == "https"
            cookie = self.access().session_cookie(body, secure=secure)
        if cookie:
            self.answer(204, b"", "application/json", {"Set-Cookie": cookie})
        else:
            self.refuse()

    def refuse(self) -> None:
        """401 without the key, 503 with it: a page for people, OpenAI's error shape for programs."""
        starter, for_people = self.starter, "text/html" in self.headers.get("Accept", "")
        pages, errors = starter.pages_module, starter.access_module
        if not (pages and errors):
            # For the moment until their copy is there nobody can be told from anybody.
            status = 401 if os.environ.get("AITK_API_KEY") else 503
            page = b'<meta http-equiv="refresh" content="3">Starting'
            body = page if for_people else starter.ready_body()
            self.answer(status, body, "text/html" if for_people else "application/json", RETRY)
        elif not self.access().allows({name.lower(): value for name, value in self.headers.items()}):
            message = "A key is needed: Authorization: Bearer KEY. `aitk key` prints it."
            error = errors.openai_error(message, kind="invalid_request_error", code="invalid_api_key")
            self.answer_either(
                401, pages.login_page(self.path.partition("?")[0]), error, {"WWW-Authenticate": "Bearer"}
            )
        else:
            message = f"Not ready: {starter.stage}. {starter.reason or starter.detail}"
            error = errors.openai_error(message, kind="server_error", code="not_ready")
            page = pages.waiting_page(starter.stage, starter.detail, starter.reason, None)
            self.answer_either(503, page, error, RETRY)

    def access(self) -> Any:  # noqa: ANN401 - of a module that is imported by path
        """The lock."""
        return self.starter.access_module.Access(os.environ.get("AITK_API_KEY") or None)

    def answer_either(self, status: int, page: bytes, error: bytes, headers: dict[str, str]) -> None:
        """The page for a browser, the error for a program."""
        if "text/html" in self.headers.get("Accept", ""):
            self.answer(status, page, "text/html; charset=utf-8", headers)
        else:
            self.answer(status, error, "application/json", headers)

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        """One response."""
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


def prepare(starter: Starter) -> Path | None:
    """The local copy of `inference/`, ready to run; None when nothing is deployed. Raises `StartError`."""
    share = share_folder()
    target = Path(tempfile.mkdtemp(prefix="aitk-inference-"))
    local = target / "inference"
    # These first, so that people can sign in while the rest goes on.
    copy_code(share, target, SIGN_IN)
    starter.pages_module = import_from(local, "web.pages")
    starter.access_module = import_from(local, "web.access")
    if ENTRY not in copy_code(share, target):
        return None
    packages = import_from(local, "packages")

    def report(detail: str) -> None:
        starter.stage, starter.detail = "installing", detail
        log(detail)

    def warn(warning: str) -> None:
        starter.warnings.append(warning)
        log(warning)

    try:
        if packages and (added := packages.prepare_packages(local, share, target / "packages", report, warn)):
            starter.packages = added
    except packages.PackagesError as error:
        raise StartError(str(error)) from error
    starter.stage, starter.detail = "preparing", "Starting the app."
    return local


def hand_over(server: ThreadingHTTPServer, local: Path, starter: Starter) -> None:
    """Become the app: it inherits the listening socket, whose queue keeps who connects meanwhile."""
    descriptor = os.dup(server.socket.fileno())
    server.shutdown()
    server.server_close()  # waits for answers that are under way
    os.set_inheritable(descriptor, True)
    environment = os.environ | {
        "AITK_SOCKET_FD": str(descriptor),
        "AITK_SHARE": str(share_folder()),
        "AITK_LOCAL_COPY": str(local.parent),
        "AITK_WARNINGS": json.dumps(starter.warnings),
    }
    if starter.packages:
        others = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{starter.packages}{os.pathsep}{others}" if others else str(starter.packages)
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
    server = ThreadingHTTPServer(("", 0), type("_Handler", (Handler,), {"starter": starter}), bind_and_activate=False)
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
            hand_over(server, local, starter)
        starter.stage, starter.detail = "nothing deployed", "Run “AI Toolkit: Deploy for inference”."
        log("nothing deployed yet")
    serving.join()


if __name__ == "__main__":
    main()
