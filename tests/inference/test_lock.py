"""requirements.lock: what it pins, for which Pythons, and that the app can start on what is installed from it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from aitk_app import packages

INFERENCE = Path(__file__).parents[2] / "inference"
PYTHONS = ["3.11", "3.12", "3.13"]
LOCK = (INFERENCE / "requirements.lock").read_text()
LINES = [line for line in LOCK.splitlines() if not line.startswith("#")]
LINE = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>[^\s;]+)(?: ; python_version >= '(?P<since>3\.\d+)')?"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)  # (?P<pythons>[\d. ]+)"
)


def pinned():
    return {(found := LINE.fullmatch(line))["name"]: found for line in LINES}


def test_every_package_has_hashes_for_every_python():
    """Each line has wheels for 3.11, 3.12 and 3.13, where its marker does not leave one out."""
    for name, found in pinned().items():
        wanted = [each for each in PYTHONS if each >= (found["since"] or "")]

        assert found["pythons"].split() == wanted, name


def test_the_lock_belongs_to_the_requirements():
    """It names the digest of requirements.txt, holds what that asks for, and leaves torch to the image."""
    requirements = (INFERENCE / "requirements.txt").read_bytes()
    asked = {line.partition("=")[0].replace("_", "-") for line in requirements.decode().splitlines() if line[0] != "#"}

    assert hashlib.sha256(requirements).hexdigest() in LOCK
    assert asked - {"torch"} <= pinned().keys()
    assert not [name for name in pinned() if name == "torch" or name.startswith(("nvidia", "cuda", "triton"))]
    assert "://" not in LOCK


class Version(NamedTuple):
    """As `sys.version_info`."""

    major: int
    minor: int


@pytest.fixture
def computer(monkeypatch):
    """Makes this process look like one of another Python or system."""

    def look_like(python, system="Linux", machine="x86_64"):
        monkeypatch.setattr(sys, "version_info", Version(*map(int, python.split("."))))
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: machine)

    return look_like


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_on_every_python_that_it_names(computer, python):
    """Each gets the lines whose last words name it, and no other."""
    computer(python)
    lines = packages.lock_lines(INFERENCE)
    wanted = [f"{name}=={found['version']}" for name, found in pinned().items() if python in found["pythons"].split()]

    assert packages.lock_left_aside(INFERENCE) is None
    assert [line.split()[0] for line in lines] == wanted


@pytest.mark.parametrize(
    ("here", "why"),
    [
        (("3.14",), "it is for Python 3.11, 3.12, 3.13, and this is 3.14"),
        (("3.1",), "it is for Python 3.11, 3.12, 3.13, and this is 3.1."),
        (("3.12", "Darwin", "arm64"), "it is for Linux x86_64, and this is Darwin arm64"),
        (("3.13", "Linux", "aarch64"), "it is for Linux x86_64, and this is Linux aarch64"),
    ],
)
def test_the_lock_is_left_aside_where_it_is_for_another_computer(computer, here, why):
    """The reason is a sentence, and no line is used."""
    computer(*here)

    assert why in packages.lock_left_aside(INFERENCE)
    assert packages.lock_lines(INFERENCE) == []


def test_the_lock_is_left_aside_where_it_is_for_other_requirements(tmp_path):
    """Changed requirements, or no lock at all: both are said."""
    shutil.copy(INFERENCE / "requirements.txt", tmp_path)
    without = packages.lock_left_aside(tmp_path)
    shutil.copy(INFERENCE / "requirements.lock", tmp_path)
    with (tmp_path / "requirements.txt").open("a") as requirements:
        requirements.write("another==1\n")

    assert "that file is not there" in without
    assert "requirements.txt was changed since" in packages.lock_left_aside(tmp_path)
    assert packages.lock_lines(tmp_path) == []


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A fresh environment that has, as the image, torch and what torch needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    left, taken = ["torch"], set()
    while left:
        name = left.pop()
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name in taken:
            continue
        taken.add(name)
        left += [re.split(r"[^\w.-]", each)[0].lower() for each in found.requires or () if "extra" not in each]
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."} - {"__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(found.locate_file(top))
    return folder / "bin" / "python"


# What pip is told where its packages come from, and nothing of this environment's Python.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
INSTALL = """
import sys
from pathlib import Path
from aitk_app import packages
print(packages.prepare_packages(Path("."), Path(sys.argv[1]), Path(sys.argv[2]), print))
"""
IMPORT = """
import json, sys
from importlib import metadata
import gradio_chat, chat_page
from aitk_app.engine import scheduler
from aitk_app.loading import hub, load
from aitk_app.web import api, metrics
print(json.dumps({each.metadata["Name"]: each.version for each in metadata.distributions(path=[sys.argv[1]])}))
"""


@pytest.mark.skipif(os.environ.get("AITK_JUDGES") != "1", reason="installs 60 packages: scripts/judge lock")
@pytest.mark.timeout(900)
def test_the_app_starts_on_what_the_lock_installs(bare_python, tmp_path):
    """By hash, into a fresh environment: the lock's versions, and all of the app's imports; then again, offline."""
    share, first, second = tmp_path / "share", tmp_path / "first", tmp_path / "second"

    def install(target, **environment):
        command = [str(bare_python), "-c", INSTALL, str(share), str(target)]
        done = subprocess.run(
            command, cwd=INFERENCE, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    installed = install(first)
    again = install(second, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    imported = subprocess.run(
        [str(bare_python), "-c", IMPORT, str(second)],
        cwd=INFERENCE,
        env=ENVIRONMENT | {"PYTHONPATH": str(second)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    there = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(imported.stdout).items()}
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = {name: found["version"] for name, found in pinned().items() if this in found["pythons"].split()}

    assert "Installing" in installed
    assert "Installing" not in again
    assert "Unpacking" in again
    assert there.items() <= wanted.items()
    assert {"gradio", "transformers", "fastapi", "safetensors", "prometheus-client"} <= there.keys()
