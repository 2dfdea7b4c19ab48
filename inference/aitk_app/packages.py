"""Gets the Python packages that the image lacks, once: the second start finds them packed on the share.

Standard library only: `start.py` runs this before anything is installed. The packages go into a folder of their
own that comes before the image's; nothing of the image is changed. That folder is kept as one archive below
`.aitk/packages/` on the share, named by what it holds and for which Python: written beside and renamed, so that two
replicas may do it at once, and unpacked on local disk, because a share is slow with many small files.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from aitk_app.text_files import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUIREMENTS = "requirements.txt"
# What requirements.txt means in the end, with hashes; left aside when requirements.txt was changed since.
LOCK = "requirements.lock"
_PIN = re.compile(r"([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.+*!_-]+)")
_FOR_PYTHON = re.compile(r"\bpython (\d+\.\d+)\b")  # in the lock's head, once for each Python
_FOR_SYSTEM = ("Linux", "x86_64")  # whose wheels' hashes the lock has
_SINCE = re.compile(r"; *python_version *>= *'(\d+)\.(\d+)'")  # the only marker that the lock has
_PIP = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")


class PackagesError(Exception):
    """The packages cannot be had; the message says what to do."""


def prepare_packages(
    code: Path,
    share: Path,
    target: Path,
    report: Callable[[str], None],
    warn: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """The folder that must come first on Python's path; None when the image has everything.

    `code` holds requirements.txt. `warn` hears why packages do not come from the lock. Raises `PackagesError`.
    """
    asked = list(_lines(code / REQUIREMENTS))
    _check_torch(asked)
    if not any(_is_missing(line) for line in asked):
        return None
    aside = lock_left_aside(code)
    if aside:
        warn(f"The packages are not the ones of inference/{LOCK}: {aside}")
    locked = [] if aside else lock_lines(code)
    missing = [line for line in locked or asked if _is_missing(line)]
    names = ", ".join(line.split()[0] for line in missing)
    system = f"{platform.python_version()} {platform.system()} {platform.machine()}"
    key = hashlib.sha256("\n".join([system, *sorted(missing)]).encode()).hexdigest()
    archive = share / ".aitk" / "packages" / f"{key}.tar"
    if archive.is_file():
        report(f"Unpacking {names}.")
        try:
            unpack(archive, target)
        except (OSError, tarfile.TarError):
            shutil.rmtree(target, ignore_errors=True)
            with suppress(OSError):  # of a share that is read-only
                archive.unlink(missing_ok=True)  # spoiled: made anew below
        else:
            return target
    report(f"Installing {names}.")
    _install(missing if locked else _resolved(asked), target)
    report("Keeping the packages for the next start.")
    if problem := pack(target, archive):
        warn(
            f"The packages could not be kept on the share, so the next start installs them again: {problem}. Give the "
            "share room, and the environment's storage definition the access mode ReadWrite."
        )
    return target


def lock_lines(code: Path) -> list[str]:
    """The lock's lines for this Python, hashes included; none where it is left aside."""
    return [] if lock_left_aside(code) else [line for line in _lines(code / LOCK) if _is_for_this_python(line)]


def lock_left_aside(code: Path) -> str | None:
    """Why the lock cannot be used here, and what to do about it; None where it can."""
    lock, requirements = code / LOCK, code / REQUIREMENTS
    if not lock.is_file():
        return "that file is not there. What requirements.txt leaves open was chosen at the first start."
    head = "\n".join(line for line in text_of(lock.read_bytes()).splitlines() if line.startswith("#"))
    # Line ends as the lock was made with: whoever checks the file out on Windows has others.
    asked = text_of(requirements.read_bytes()) if requirements.is_file() else ""
    digest = hashlib.sha256(asked.encode()).hexdigest() if asked else "none"
    if f"requirements.txt {digest}" not in head:
        return "requirements.txt was changed since. Make the lock anew (scripts/lock-inference), or put the file back."
    here = (platform.system(), platform.machine())
    if here != _FOR_SYSTEM:
        return f"it is for {' '.join(_FOR_SYSTEM)}, and this is {' '.join(here)}."
    pythons, this = _FOR_PYTHON.findall(head), f"{sys.version_info.major}.{sys.version_info.minor}"
    if this not in pythons:
        return f"it is for Python {', '.join(pythons)}, and this is {this}. Use an image with one of these."
    return None


def _is_for_this_python(line: str) -> bool:
    marker = _SINCE.search(line)
    return marker is None or sys.version_info >= (int(marker[1]), int(marker[2]))


def pack(folder: Path, archive: Path) -> str | None:
    """Write `folder` as one file; whoever looks sees it whole or not at all. None, or why the share does not take it.

    A share that is full or read-only ends no start.
    """
    beside = None
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{archive.name}.", suffix=".part", dir=archive.parent)
        beside = Path(name)
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(folder, arcname=".")
        beside.replace(archive)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    return None


def unpack(archive: Path, folder: Path) -> None:
    """The archive's content in `folder`; nothing in it may point elsewhere."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _lines(file: Path) -> Iterator[str]:
    for line in text_of(file.read_bytes()).splitlines() if file.is_file() else ():
        if stripped := line.partition("#")[0].strip():
            yield stripped


def _is_missing(line: str) -> bool:
    match = _PIN.match(line)
    if not match:
        return True  # pip understands what we do not
    name, wanted = match.groups()
    installed = _installed(name)
    if installed is None:
        return True
    return not (installed.startswith(wanted[:-1]) if wanted.endswith("*") else installed == wanted)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _check_torch(asked: list[str]) -> None:
    """The image brings PyTorch, built for its GPU: it is checked, never installed over."""
    for line in asked:
        match = _PIN.fullmatch(line)
        if match and match[1].lower() == "torch" and _is_missing(line):
            there = _installed("torch")
            raise PackagesError(
                f"requirements.txt asks for torch {match[2]}, but "
                + (f"the image has {there}" if there else "torch is not installed")
                + ". Use an image with that version, or change the version in inference/requirements.txt."
            )


def _resolved(asked: list[str]) -> list[str]:
    """What pip would add to what is installed, each with its version and hash."""
    with tempfile.TemporaryDirectory() as folder:
        wishes, answer = Path(folder, "wishes.txt"), Path(folder, "answer.json")
        wishes.write_text("\n".join(asked), "utf-8")
        _run([*_PIP, "--quiet", "--dry-run", "--report", str(answer), "-r", str(wishes)])
        report = json.loads(answer.read_text("utf-8"))
    lines = []
    for each in report["install"]:
        digests = each["download_info"].get("archive_info", {}).get("hashes", {})
        line = f"{each['metadata']['name']}=={each['metadata']['version']}"
        lines.append(f"{line} --hash=sha256:{digests['sha256']}" if "sha256" in digests else line)
    return lines


def _install(lines: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wishes = Path(folder, "wishes.txt")
        wishes.write_text("\n".join(lines), "utf-8")
        _run([*_PIP, "--no-deps", "--target", str(target), "-r", str(wishes)])


def _run(command: list[str]) -> None:
    """Run pip; its output goes to the log, and a stop of the app ends it."""
    with subprocess.Popen(command) as pip:  # noqa: S603 - requirements that the workspace's owner deployed

        def end(*_: object) -> None:
            pip.terminate()
            sys.exit(143)

        stopped_by = signal.signal(signal.SIGTERM, end)
        try:
            code = pip.wait()
        finally:
            signal.signal(signal.SIGTERM, stopped_by)
    if code:
        raise PackagesError(
            f"The packages that inference/requirements.txt asks for could not be installed (pip: exit {code}). "
            "The replica's log has pip's words. Without a network, make the first start where there is one."
        )
