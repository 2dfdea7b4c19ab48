"""The Python environments that replicas run in."""

import asyncio
import base64
import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.road import processes_of

from ai_toolkit.local_cloud.container_apps.replica_environment import (
    ReplicaEnvironmentError,
    ReplicaEnvironments,
    replica_variables,
)

NOT_BESIDE = ("a_package_that_nobody_has",)  # so that requirements are installed
INSTALL = """
import asyncio, pathlib, sys
from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironments
folder, requirements = map(pathlib.Path, sys.argv[1:])
asyncio.run(ReplicaEnvironments(folder, {}, ("nobody_has_this",)).binaries(requirements, print))
"""


def make_wheel(folder, version):
    """A package of one module, as a wheel on disk: nothing comes from a network."""
    path = folder / f"greeting-{version}-py3-none-any.whl"
    files = {
        "greeting.py": "WORD = 'hello'\n",
        f"greeting-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"greeting-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for name, text in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(
            f"greeting-{version}.dist-info/RECORD", "\n".join([*rows, f"greeting-{version}.dist-info/RECORD,,", ""])
        )
    return path


@pytest.fixture
def wheel(tmp_path):
    return make_wheel(tmp_path, "1.0")


def printed_by(binaries: Path, program: str) -> str:
    return subprocess.run(
        [binaries / "python3", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


async def test_requirements_are_installed_once_into_an_environment_of_their_own(tmp_path, wheel):
    """The first start installs and says so; the second finds the environment; the server's has nothing new."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--no-index\n{wheel}\n")
    said: list[str] = []
    environments = ReplicaEnvironments(tmp_path / "environments", {}, NOT_BESIDE)
    first = await environments.binaries(requirements, said.append)
    lines = len(said)
    second = await environments.binaries(requirements, said.append)

    assert first == second
    assert printed_by(first, "import greeting; print(greeting.WORD)") == "hello"
    assert any("Installing" in line for line in said)
    assert len(said) == lines
    assert importlib.util.find_spec("greeting") is None


@pytest.mark.parametrize(("belongs", "version"), [(True, "1.0"), (False, "1.1")])
async def test_the_lock_beside_the_requirements_chooses_the_versions(tmp_path, belongs, version):
    """What the requirements leave open is as in the lock; one that was made for other requirements is left aside."""
    for each in ("1.0", "1.1"):
        make_wheel(tmp_path, each)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--no-index\n--find-links {tmp_path}\ngreeting\n")
    digest = hashlib.sha256(requirements.read_bytes() if belongs else b"").hexdigest()
    (tmp_path / "requirements.lock").write_text(
        f"# requirements.txt {digest}\ngreeting==1.0 ; python_version >= '3.11' --hash=sha256:{'0' * 64}  # 3.11\n"
    )
    binaries = await ReplicaEnvironments(tmp_path / "environments", {}, NOT_BESIDE).binaries(requirements, [].append)

    assert printed_by(binaries, "from importlib.metadata import version; print(version('greeting'))") == version


async def test_requirements_that_cannot_be_installed_are_said(tmp_path):
    """The last line of pip is in the error, and the next try starts anew."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\nno-such-package-anywhere==1\n")
    environments = ReplicaEnvironments(tmp_path / "environments", {}, NOT_BESIDE)
    with pytest.raises(ReplicaEnvironmentError, match="no-such-package-anywhere"):
        await environments.binaries(requirements, [].append)
    requirements.write_text("")

    assert (await environments.binaries(requirements, [].append) / "python3").exists()


async def test_a_named_interpreter_that_is_none_is_said(tmp_path):
    """AITK_REPLICA_PYTHON is in the sentence."""
    environments = ReplicaEnvironments(tmp_path, {"AITK_REPLICA_PYTHON": str(tmp_path / "no-python")})

    with pytest.raises(ReplicaEnvironmentError, match="AITK_REPLICA_PYTHON"):
        await environments.binaries(None, [].append)


async def test_nothing_goes_on_installing_when_the_cloud_is_killed(tmp_path, until):
    """kill -9 in the middle of pip: pip, and what guards it, are gone."""
    asked = asyncio.Event()
    release = asyncio.Event()

    async def never_answer(_reader, writer):
        asked.set()
        await release.wait()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--index-url http://127.0.0.1:{port}/\nslow==1\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INSTALL, str(tmp_path / "environments"), str(requirements), stdout=subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        await asked.wait()
    during = processes_of(tmp_path)
    process.kill()
    await process.wait()

    async def none_left():
        return not processes_of(tmp_path)

    left_nothing = await until(none_left)
    release.set()
    server.close()
    await server.wait_closed()

    assert len(during) >= 3  # ours, the guard, and pip
    assert left_nothing


def test_a_replica_has_this_computers_way_to_the_network_and_nothing_else_of_it(tmp_path, monkeypatch):
    """The proxy and the authority that the editor gave its server, but not what the person is signed in with."""
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CERT", "/authority.pem")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hemmelig")
    found = replica_variables(tmp_path / "bin", tmp_path / "work")

    assert (found["PIP_PROXY"], found["PIP_CERT"]) == ("http://127.0.0.1:9", "/authority.pem")
    assert "AZURE_CLIENT_SECRET" not in found
    assert found["HOME"] == str(tmp_path / "work/home")
