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
import hmac
import importlib
import inspect
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

ENTRY = "inference/gradio_chat.py"
OWN = "aitk_app"
# What answering with a sign-in page needs.
ENTRANCE = tuple(
    f"inference/{OWN}/{name}"
    for name in (
        "__init__.py",
        "readiness.py",
        "web/__init__.py",
        "web/access.py",
        "web/entrance.py",
        "web/pages.py",
    )
)
HOLDING = f"inference/{OWN}/web/early.py"
DEFAULT_PORT = 7860
FIRST_FILES_SECONDS = 60
RETRY = {"retry-after": "3"}


class StartError(Exception):
    """The app cannot be started; the message says why and what to do. It is shown on /ready."""


class Starter:
    """How far the preparation is; `stage` is one of those that `/ready` sends (`aitk_app/readiness.py`)."""

    def __init__(self) -> None:
        self.stage = "preparing"
        self.detail = "Reading the deployed code."
        self.reason: str | None = None
        # From the verified copy, once it is there: never imported from the share.
        self.entrance: Any = None
        self.access: Any = None
        self.readiness: Any = None
        self.early: Any = None
        self.known = threading.Event()  # whether these are there, or never will be
        self.packages: Path | None = None  # what the image lacked
        self.warnings: list[str] = []
        self.began = time.time()

    def fail(self, reason: str) -> None:
        """The start ends here, for this reason."""
        self.stage, self.detail, self.reason = "failed", "The app could not be started.", reason
        self.known.set()

    def ready_body(self) -> bytes:
        """The body of `/ready` while nothing of the copy is there."""
        body = {"ready": False, "stage": self.stage, "detail": self.detail, "reason": self.reason, "progress": None}
        return json.dumps(body | {"warnings": self.warnings}).encode()

    def state(self) -> Any:  # noqa: ANN401 - of a module that is imported by path
        """The same as the app's own state."""
        stage = self.readiness.Stage(self.stage)
        return self.readiness.State(stage, self.detail, self.reason, None, tuple(self.warnings))

    def lock(self) -> Any:  # noqa: ANN401 - of a module that is imported by path
        """Who may enter."""
        return self.access.Access(os.environ.get("AITK_API_KEY") or None)


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
    problem: str | None = None  # of the body

    def handle(self) -> None:
        """Hold the connection, or answer."""
        if self.starter.early is None and self.is_from_a_program():
            self.starter.known.wait(FIRST_FILES_SECONDS)
        if self.starter.early is not None:
            is_done, self.problem = self.starter.early.hold(self.connection, self.timeout)
            if is_done:
                return
        super().handle()

    def is_from_a_program(self) -> bool:
        """Whether it asks the API and has the key, as far as can be told before the copy is there."""
        try:
            read = self.connection.recv(65536, socket.MSG_PEEK)
        except OSError:
            return False
        line, *others = read.split(b"\r\n")
        key = b"bearer " + os.environ.get("AITK_API_KEY", "").encode()
        sent = (each.partition(b":") for each in others)
        keys = [value.strip() for name, _, value in sent if name.lower() == b"authorization"]
        return b" /v1/" in line and any(hmac.compare_digest(b"bearer " + each[7:].strip(), key) for each in keys)

    def do_GET(self) -> None:
        """Health, stage, or a refusal, from the table that the app itself answers from."""
        path, starter = self.path.partition("?")[0], self.starter
        if starter.entrance is None:
            self.answer_at_first(path)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = starter.entrance.entrance(path, headers, self.access(), starter.state(), self.command)
        except Exception as error:  # noqa: BLE001 - code that somebody may have edited: it is said, in one shape
            number = secrets.token_hex(4)
            log(f"failed (error {number}): {type(error).__name__}: {error}")
            self.send_error(500, f"The server failed on this request. Its log says why under error {number}.")
        else:
            self.send(answer)

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the same

    def do_POST(self) -> None:
        """A session for a signed link or the key, or what the others get."""
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(min(int(length), 65536)) if length.isdecimal() else b""
        if self.problem is not None:
            self.send_error(400, self.problem)
            return
        entrance = self.starter.entrance
        if entrance is None or self.path.partition("?")[0] != entrance.SESSION:
            self.do_GET()
            return
        secure = self.headers.get("X-Forwarded-Proto") == "https"
        self.send(entrance.open_session(body, self.access(), secure=secure))

    def answer_at_first(self, path: str) -> None:
        """For the moment until the copy is there, when nobody can be told from anybody."""
        if path == "/health":
            self.answer(200, b'{"status": "ok"}', {"content-type": "application/json"})
            return
        is_closed = path != "/ready" and os.environ.get("AITK_API_KEY")
        if path != "/ready" and "text/html" in self.headers.get("Accept", ""):
            body, kind = b'<meta http-equiv="refresh" content="3">Starting', "text/html"
        elif path == "/ready":
            body, kind = self.starter.ready_body(), "application/json"
        else:
            message = "Not ready: it is just starting."
            error = {"message": message, "type": "server_error", "param": None, "code": "not_ready"}
            body, kind = json.dumps({"error": error}).encode(), "application/json"
        self.answer(401 if is_closed else 503, body, {"content-type": kind, "cache-control": "no-store", **RETRY})

    def access(self) -> Any:  # noqa: ANN401 - of a module that is imported by path
        """The lock."""
        return self.starter.lock()

    def send(self, answer: Any) -> None:  # noqa: ANN401 - of a module that is imported by path
        """An answer of the table."""
        headers = {name: value for name, value in answer.all_headers.items() if name != "content-length"}
        self.answer(answer.status, answer.body, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """One response."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:  # noqa: PLR2004 - 204 has no body
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request to answer, in OpenAI's shape as everywhere."""
        del explain
        kind = "server_error" if code >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's number
        error = {"message": message or "This request cannot be read.", "type": kind, "param": None, "code": None}
        self.close_connection = True
        self.answer(code, json.dumps({"error": error}).encode(), {"content-type": "application/json"})

    def log_message(self, *_: object) -> None:
        """Nothing: the platform asks /health every few seconds."""


class Server(ThreadingHTTPServer):
    """Serves until the app takes over; what the app gets is left open."""

    starter: Starter

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base class has it
        """End a connection, except one that is kept."""
        if self.starter.early is not None and self.starter.early.is_kept(request):
            self.close_request(request)
        else:
            super().shutdown_request(request)


def prepare(starter: Starter) -> Path | None:
    """The local copy of `inference/`, ready to run; None when nothing is deployed. Raises `StartError`."""
    share = share_folder()
    target = Path(tempfile.mkdtemp(prefix="aitk-inference-"))
    local = target / "inference"
    # These first, so that people can sign in while the rest goes on.
    first = set(copy_code(share, target, (*ENTRANCE, HOLDING)))
    if set(ENTRANCE) <= first:
        starter.readiness = import_from(local, "readiness")
        starter.access = import_from(local, "web.access")
        starter.entrance = import_from(local, "web.entrance")
        if HOLDING in first:
            starter.early = import_from(local, "web.early").Early(starter.lock, starter.state)
    starter.known.set()
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
        if packages:
            # A workspace of 0.1.0 has its modules beside this file, and its own way to get packages, without warnings.
            given = (local, share, target / "packages", report, warn)
            taken = len(inspect.signature(packages.prepare_packages).parameters)
            starter.packages = packages.prepare_packages(*given[:taken])
    except packages.PackagesError as error:
        raise StartError(str(error)) from error
    starter.stage, starter.detail = "preparing", "Starting the app."
    return local


def hand_over(server: ThreadingHTTPServer, local: Path, starter: Starter) -> None:
    """Become the app: it inherits the listening socket, whose queue keeps who connects meanwhile."""
    descriptor = os.dup(server.socket.fileno())
    server.shutdown()
    if starter.early:
        starter.early.end((local / "gradio_chat.py").read_text("utf-8"))
    server.server_close()  # waits for answers that are under way
    os.set_inheritable(descriptor, True)
    environment = os.environ | home(local.parent)
    environment |= {
        "AITK_SOCKET_FD": str(descriptor),
        "AITK_SHARE": str(share_folder()),
        "AITK_LOCAL_COPY": str(local.parent),
        "AITK_WARNINGS": json.dumps(starter.warnings),
        "AITK_STARTED": str(starter.began),
    }
    if starter.early:
        environment |= starter.early.environment()
    if starter.packages:
        others = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{starter.packages}{os.pathsep}{others}" if others else str(starter.packages)
    os.chdir(local)
    os.execve(sys.executable, [sys.executable, str(local / "gradio_chat.py")], environment)  # noqa: S606 - no shell wanted


def home(beside: Path) -> dict[str, str]:
    """A HOME and a name for the app, where its user has none that can be written: libraries keep caches there.

    A replica with a GPU runs as a user without an entry in passwd, and what HOME names is root's.
    Source: https://github.com/microsoft/azure-container-apps/issues/1746
    """
    if os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 - Path.home() raises without an entry
        return {}
    own = beside / "home"
    own.mkdir(exist_ok=True)
    return {"HOME": str(own), "LOGNAME": os.environ.get("LOGNAME") or "app"}


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
    server = Server(("", 0), type("_Handler", (Handler,), {"starter": starter}), bind_and_activate=False)
    server.starter = starter
    server.socket.close()
    server.socket = listen()
    server.daemon_threads = False
    log(f"listening on {server.socket.getsockname()[:2]}")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        local = prepare(starter)
    except Exception as error:  # noqa: BLE001 - the edge: whoever asks is told, and the process stays up to tell
        if isinstance(error, StartError):
            starter.fail(str(error))
        else:
            number = secrets.token_hex(4)
            log(f"error {number}: {''.join(traceback.format_exception(error))}")
            starter.fail(f"The start failed for a reason that nobody foresaw. The log says why under error {number}.")
        log(f"failed: {starter.reason}")
    else:
        if local is not None:
            hand_over(server, local, starter)
        starter.stage, starter.detail = "nothing deployed", "Run “AI Toolkit: Deploy for inference”."
        log("nothing deployed yet")
    serving.join()


if __name__ == "__main__":
    main()
