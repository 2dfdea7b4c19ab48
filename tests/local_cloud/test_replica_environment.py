"""The Python environments that replicas run in."""

import base64
import hashlib
import importlib.util
import subprocess
import zipfile
from pathlib import Path

import pytest

from ai_toolkit.local_cloud.container_apps import replica_environment
from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironmentError, ReplicaEnvironments


@pytest.fixture
def wheel(tmp_path):
    """A package of one module, as a wheel on disk: nothing comes from a network."""
    path = tmp_path / "greeting-1.0-py3-none-any.whl"
    files = {
        "greeting.py": "WORD = 'hello'\n",
        "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for name, text in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("greeting-1.0.dist-info/RECORD", "\n".join([*rows, "greeting-1.0.dist-info/RECORD,,", ""]))
    return path


def word_of(binaries: Path) -> str:
    command = [binaries / "python3", "-c", "import greeting; print(greeting.WORD)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_requirements_are_installed_once_into_an_environment_of_their_own(tmp_path, wheel, monkeypatch):
    """The first start installs and says so; the second finds the environment; the server's has nothing new."""
    monkeypatch.setattr(replica_environment, "APP_PACKAGES", ("a_package_that_nobody_has",))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--no-index\n{wheel}\n")
    said: list[str] = []
    environments = ReplicaEnvironments(tmp_path / "environments", {})
    first = await environments.binaries(requirements, said.append)
    lines = len(said)
    second = await environments.binaries(requirements, said.append)

    assert first == second
    assert word_of(first) == "hello"
    assert any("Installing" in line for line in said)
    assert len(said) == lines
    assert importlib.util.find_spec("greeting") is None


async def test_requirements_that_cannot_be_installed_are_said(tmp_path, monkeypatch):
    """The last line of pip is in the error, and the next try starts anew."""
    monkeypatch.setattr(replica_environment, "APP_PACKAGES", ("a_package_that_nobody_has",))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\nno-such-package-anywhere==1\n")
    environments = ReplicaEnvironments(tmp_path / "environments", {})
    with pytest.raises(ReplicaEnvironmentError, match="no-such-package-anywhere"):
        await environments.binaries(requirements, [].append)
    requirements.write_text("")

    assert (await environments.binaries(requirements, [].append) / "python3").exists()


async def test_a_named_interpreter_that_is_none_is_said(tmp_path):
    """AITK_REPLICA_PYTHON is in the sentence."""
    environments = ReplicaEnvironments(tmp_path, {"AITK_REPLICA_PYTHON": str(tmp_path / "no-python")})

    with pytest.raises(ReplicaEnvironmentError, match="AITK_REPLICA_PYTHON"):
        await environments.binaries(None, [].append)
