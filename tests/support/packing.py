"""The packed extension, for every test that needs it; one packs at a time."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "extension"
VSIX = EXTENSION / "dist" / "ai-toolkit-remote-inference.vsix"
INSTALL_SECONDS = 600


def cannot_be_had(reason: str) -> NoReturn:
    """A visible skip where the browser or the packages are out of reach; CI has both, so there it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    lock = ROOT / ".cache" / f"{name}.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )


def npm_packages() -> Path:
    """The extension's folder with its npm packages, installed when the lock file is newer."""
    if shutil.which("npm") is None:
        cannot_be_had("npm is not installed")
    with one_at_a_time("extension"):
        installed = EXTENSION / "node_modules" / ".package-lock.json"
        wanted = EXTENSION / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            done = run(["npm", "ci", "--ignore-scripts", "--no-progress", "--loglevel=error"], EXTENSION)
            if done.returncode != 0:
                cannot_be_had(f"npm packages of the extension: {done.stderr[-500:]}")
    return EXTENSION


@cache
def packed_extension() -> Path:
    """The extension as people install it, packed anew, once for all tests of a run."""
    npm_packages()
    with one_at_a_time("extension"):
        done = run([str(ROOT / "scripts/package")], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return VSIX
