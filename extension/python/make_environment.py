"""Makes the Python environment that the extension's server runs in, with the standard library only.

    python3 make_environment.py --folder FOLDER [--wheel WHEEL --requirements REQUIREMENTS]

Without them the wheel and the requirements are those that the extension carries. Says on standard output, one JSON
object a line, `{"step": …, "percentage": …}` while it works, and at the end either `{"python": PATH}` or
`{"failed": CODE, "message": …, "setting": NAME}`, where the setting is the one of VS Code that may help, or null.
All that pip says goes to standard error. It ends, and takes away what it began, when its standard input closes:
that is Cancel, and also an editor that is gone. An environment remembers where it was made, so it is built in
place; the file `complete` says that it is whole. An older Python must be able to read this file, to be told so.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

LEAST_VERSION = (3, 11)
KEPT_UNUSED_SECONDS = 7 * 24 * 3600
COMPLETE = "complete"
# What would send packages into another environment, or other modules into ours.
LEFT_OUT = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH"}
# pip tells causes only in words; the first that fits counts.
CAUSES = (
    ("authority", r"suitable TLS CA certificate bundle|NO_CERTIFICATE_OR_CRL_FOUND"),
    ("certificate", r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLCertVerificationError"),
    ("proxy", r"ProxyError|Cannot connect to proxy|Tunnel connection failed|407 Proxy"),
    ("disk", r"No space left on device|Disk quota exceeded"),
    ("hash", r"DO NOT MATCH THE HASHES"),
    ("network", r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolution|Connection(Error| refused| reset)"),
    ("package", r"No matching distribution|Could not find a version"),
)
MESSAGES = {
    "python": "{interpreter} is Python {version}, and AI Toolkit needs Python 3.11 or newer.",
    "venv": "This Python cannot make environments. On Debian and Ubuntu install the package python3-venv, "
    "or choose another interpreter.",
    "certificate": "The package index's certificate is not trusted. Behind a company's proxy, name the file of its "
    "certificate authority in the setting aiToolkit.server.certificates.",
    "authority": "What the setting aiToolkit.server.certificates names is not a file with certificates (PEM).",
    "proxy": "The proxy does not let the packages through. Check VS Code's setting http.proxy.",
    "disk": "The disk is full: the server's packages need about 150 MB.",
    "hash": "A package is not the one that was tested with this version (its hash differs), so it was not installed.",
    "network": "The package index cannot be reached. Check the network, or VS Code's setting http.proxy.",
    "package": "The package index has no fitting package for this Python and system.",
    "unknown": "The server's packages could not be installed.",
}
# The setting of VS Code that may help.
SETTINGS = {
    "python": "aiToolkit.server.interpreter",
    "venv": "aiToolkit.server.interpreter",
    "certificate": "aiToolkit.server.certificates",
    "authority": "aiToolkit.server.certificates",
    "proxy": "http.proxy",
    "network": "http.proxy",
}
SERVER = Path(__file__).resolve().parent.parent / "server"

working: "list[subprocess.Popen[str]]" = []
"""What runs, or has run, for the environment that is being made."""
ending = threading.Event()
"""Our input has closed."""


class CannotMake(Exception):
    """Ends the work with one of MESSAGES."""

    def __init__(self, code: str) -> None:
        super().__init__(MESSAGES[code])
        self.code = code


def say(**message: object) -> None:
    """Tells the extension."""
    print(json.dumps(message), flush=True)  # noqa: T201  (this is the protocol)


def say_failed(code: str, message: str) -> None:
    """Tells the extension why there is no environment."""
    say(failed=code, message=message, setting=SETTINGS.get(code))


def python_in(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@contextmanager
def alone(folder: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201  (a generator of nothing)
    """Waits for another window that makes the same environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("a+") as lock:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  (there only)

            while True:
                try:
                    msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # it gives up after ten seconds
                    say(step="Waiting for another window", percentage=0)
        else:
            import fcntl  # noqa: PLC0415  (not there on Windows)

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: "list[str]", failure: str, each_line=None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Runs the command, its words to standard error. Raises CannotMake with the cause that they tell, or `failure`."""
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    if "PIP_CERT" in environment:  # the setting's; requests, on which pip stands, would prefer these
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            environment.pop(name, None)
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    process = subprocess.Popen(  # noqa: S603  (our own command lines)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )
    working.append(process)
    if ending.is_set():
        process.kill()
    words = []
    for line in process.stdout or ():
        sys.stderr.write(line)
        sys.stderr.flush()
        words.append(line)
        if each_line is not None:
            each_line(line)
    if process.wait() != 0:
        text = "".join(words)
        raise CannotMake(next((code for code, pattern in CAUSES if re.search(pattern, text)), failure))


def make(folder: Path, wheel: Path, requirements: Path) -> None:
    """A whole environment, or CannotMake."""
    shutil.rmtree(folder, ignore_errors=True)
    say(step="Making a Python environment", percentage=2)
    run([sys.executable, "-m", "venv", str(folder)], "venv")
    python = str(python_in(folder))

    total = sum(1 for line in requirements.read_text(encoding="utf-8").splitlines() if re.match(r"\w", line))
    seen = 0

    def collected(line: str) -> None:
        nonlocal seen
        found = re.match(r"\s*(?:Collecting ([\w.-]+)|Processing \S*/(\w+))", line)
        if found:
            seen += 1
            say(step=f"Fetching {found[1] or found[2]} ({seen} of {total})", percentage=10 + 70 * seen // total)
        elif line.startswith("Installing collected"):
            say(step="Installing packages", percentage=85)

    pip = [python, "-m", "pip", "install", "--no-input", "--progress-bar=off"]
    checked = ["--require-hashes", "--only-binary=:all:", "--retries=2", "--timeout=30"]
    run([*pip, *checked, f"--requirement={requirements}"], "unknown", collected)
    say(step="Installing the server", percentage=95)
    run([*pip, "--no-deps", "--no-index", str(wheel)], "unknown")
    run([python, "-m", "pip", "check"], "unknown")  # a package that the list forgot
    run([python, "-c", "import ai_toolkit.editor.main"], "unknown")
    (folder / COMPLETE).write_text(sys.executable + "\n", encoding="utf-8")


def remove_unused(folder: Path) -> None:
    """Takes away environments of other versions that no window has started a server from for a week."""
    for other in folder.parent.iterdir():
        mark = other / COMPLETE
        used = mark.stat().st_mtime if mark.exists() else 0
        if other.is_dir() and other != folder and used < time.time() - KEPT_UNUSED_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def end_with_input(folder: Path) -> None:
    """Ends everything when the extension closes our input."""
    while os.read(0, 1024):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    ending.set()
    for process in working:
        process.kill()
        process.wait()
    if working:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(130)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, default=next(SERVER.glob("*.whl"), None))
    parser.add_argument("--requirements", type=Path, default=SERVER / "requirements.txt")
    given = parser.parse_args()
    folder: Path = given.folder.absolute()
    if sys.version_info < LEAST_VERSION:
        version = "{}.{}".format(*sys.version_info)
        say_failed("python", MESSAGES["python"].format(interpreter=sys.executable, version=version))
        return 1
    threading.Thread(target=end_with_input, args=(folder,), daemon=True).start()
    try:
        with alone(folder):
            if not (folder / COMPLETE).exists():  # else another window was faster
                make(folder, given.wheel, given.requirements)
                remove_unused(folder)
    except CannotMake as error:
        shutil.rmtree(folder, ignore_errors=True)
        if ending.is_set():
            return 130
        say_failed(error.code, str(error))
        return 1
    except OSError as error:
        say_failed("disk", f"{error.filename or folder}: {error.strerror or error}.")
        return 1
    say(python=str(python_in(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
