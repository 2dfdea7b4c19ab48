"""Packages that the image lacks are installed once, kept on the share, and found there by the next start."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from aitk_app.packages import lock_left_aside, lock_lines, pack

# Stands for the app: says where the package came from.
APP = """
import os, socket, aitk_probe
listener = socket.socket(fileno=int(os.environ["AITK_SOCKET_FD"]))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    body = b'{"stage": "ready", "version": "%s"}' % aitk_probe.VERSION
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    connection.close()
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder that pip takes for an index: one package, which needs another one."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, needs in (("aitk_probe", "aitk-other"), ("aitk_other", "")):
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            body = "import aitk_other\nVERSION = b'1.0'\n" if needs else ""
            wheel.writestr(f"{name}.py", body)
            requires = f"Requires-Dist: {needs}\n" if needs else ""
            metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n{requires}"
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


@pytest.fixture
def workspace(tmp_path, put_code):
    put_code(tmp_path)
    (tmp_path / "inference/requirements.txt").write_text("# ours\naitk-probe==1.0  # needs aitk-other\n")
    (tmp_path / "inference/requirements.lock").unlink(missing_ok=True)
    (tmp_path / "inference/gradio_chat.py").write_text(APP)
    return tmp_path


def online(wheels):
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}


OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}


def archives(workspace):
    return list((workspace / ".aitk/packages").iterdir())


def test_the_second_start_installs_nothing_and_needs_no_network(launch, workspace, wheels):
    """What the first start installed, dependencies included, the second one unpacks; a spoiled archive is made anew."""
    first = launch(workspace, environment=online(wheels))
    assert first.wait_for("ready")["version"] == "1.0"
    assert "Installing aitk-probe==1.0" in first.log.read_text()
    second = launch(workspace, environment=OFFLINE)
    assert second.wait_for("ready")["version"] == "1.0"
    assert "Unpacking aitk-probe==1.0" in second.log.read_text()
    assert "Installing" not in second.log.read_text()

    [archive] = archives(workspace)
    archive.write_bytes(archive.read_bytes()[:3000])
    assert launch(workspace, environment=online(wheels)).wait_for("ready")["version"] == "1.0"
    assert launch(workspace, environment=OFFLINE).wait_for("ready")["version"] == "1.0"


def test_a_share_that_takes_nothing_ends_no_start(launch, workspace, wheels):
    """Read-only, for whoever the replica is: the packages are installed, and log and /ready say why each time."""
    (workspace / ".aitk").mkdir()
    (workspace / ".aitk/packages").symlink_to("/proc")  # where nobody may make a file
    endpoint = launch(workspace, environment=online(wheels))

    assert endpoint.wait_for("ready")["version"] == "1.0"
    assert "could not be kept on the share, so the next start installs them again" in endpoint.log.read_text()


@pytest.mark.parametrize("full", [True, False])
def test_a_share_that_is_full_keeps_no_part_of_an_archive(tmp_path, full):
    """A write that is refused in the middle: why is told, and nothing is left that looks like packages."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/module.py").write_bytes(b"#" * 100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000 if full else before[0], before[1]))
    try:
        problem = pack(tmp_path / "packages", tmp_path / ".aitk/packages/key.tar")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert bool(problem) is full
    assert [each.name for each in archives(tmp_path)] == ([] if full else ["key.tar"])


def test_two_replicas_may_start_at_once(launch, workspace, wheels):
    """Both become ready, and one whole archive is left."""
    both = [launch(workspace, environment=online(wheels)) for _ in range(2)]
    assert [each.wait_for("ready")["version"] for each in both] == ["1.0", "1.0"]

    assert [each.suffix for each in archives(workspace)] == [".tar"]


def test_a_start_that_cannot_use_the_lock_says_so(launch, tmp_path, sample_workspace, wheels):
    """Requirements that were changed since: the packages come all the same, and /ready and /version tell of it."""
    shutil.copytree(sample_workspace, tmp_path / "workspace")
    requirements = tmp_path / "workspace/inference/requirements.txt"
    requirements.write_text(f"{requirements.read_text()}aitk-probe==1.0\n")
    endpoint = launch(tmp_path / "workspace", environment=online(wheels))
    [warning] = endpoint.wait_for("ready")["warnings"]

    assert "requirements.txt was changed since" in warning
    assert warning in endpoint.log.read_text()
    assert json.loads(endpoint.get("/version", signed_in=True)[2])["warnings"] == [warning]


@pytest.mark.parametrize("right", [True, False])
def test_a_lock_is_installed_by_its_hashes(launch, workspace, wheels, right):
    """What does not have the lock's hash is not installed, and /ready says so."""
    lines = []
    for wheel in sorted(wheels.iterdir()):
        digest = hashlib.sha256(wheel.read_bytes() if right else b"").hexdigest()
        lines.append(f"{wheel.name.partition('-')[0].replace('_', '-')}==1.0 --hash=sha256:{digest}")
    asked = hashlib.sha256((workspace / "inference/requirements.txt").read_bytes()).hexdigest()
    head = f"# requirements.txt {asked}\n# python {sys.version_info.major}.{sys.version_info.minor} linux\n"
    (workspace / "inference/requirements.lock").write_text(head + "\n".join(lines) + "\n")
    endpoint = launch(workspace, environment=online(wheels))

    if right:
        assert endpoint.wait_for("ready")["version"] == "1.0"
    else:
        assert "could not be installed" in endpoint.wait_for("failed")["reason"]
        assert "DO NOT MATCH THE HASHES" in endpoint.log.read_text()
        assert not (workspace / ".aitk/packages").exists()


@pytest.mark.parametrize(("mark", "ends"), [(b"\xef\xbb\xbf", b"\n"), (b"", b"\r\n"), (b"\xef\xbb\xbf", b"\r\n")])
def test_the_lock_counts_however_the_requirements_were_saved(tmp_path, mark, ends):
    """A checkout with CRLF, or an editor's byte-order mark, is no other list of packages."""
    shipped = Path(__file__).parents[2] / "inference"
    for name in ("requirements.txt", "requirements.lock"):
        content = mark + (shipped / name).read_bytes().replace(b"\n", ends)
        (tmp_path / name).write_bytes(content)

    assert lock_left_aside(tmp_path) == lock_left_aside(shipped)
    assert lock_lines(tmp_path) == lock_lines(shipped)


def test_another_torch_than_the_images_is_named(launch, workspace):
    """PyTorch is checked and never installed over."""
    (workspace / "inference/requirements.txt").write_text("torch==0.1\n")
    endpoint = launch(workspace, environment=OFFLINE)

    reason = endpoint.wait_for("failed")["reason"]
    assert "asks for torch 0.1, but the image has" in reason
    assert json.loads(endpoint.get("/ready")[2])["ready"] is False
