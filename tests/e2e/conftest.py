"""A local cloud and a sample workspace of the tests' own."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.models_app import APP as MODELS_APP
from tests.support.models_app import put_adapter
from tests.support.provisioning import Ground, make_ground
from tests.support.resource_manager import set_parameters
from tests.support.road import Road, environment
from tests.support.small_app import APP

from ai_toolkit.local_cloud import control

AWAKE_SECONDS = 3600
"""The app that tests share does not fall asleep while others run."""


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """The sample workspace, provisioned and deployed on a local cloud of its own; shared by the tests of a session."""
    base = tmp_path_factory.mktemp("road")
    road = Road(base / "workspace", environment(base / "cloud"))
    road.folder.mkdir()
    try:
        road.run("init", "--sample")
        set_parameters(road, cooldownSeconds=AWAKE_SECONDS)
        road.run("provision", "--local", "--yes")
        road.run("deploy", "--yes")
        yield road
    finally:
        road.run("local-cloud", "stop")


@pytest.fixture
def empty_road(tmp_path: Path) -> Iterator[Road]:
    """An empty workspace and a local cloud of its own that has not started."""
    road = Road(tmp_path / "workspace", environment(tmp_path / "cloud"))
    road.folder.mkdir()
    try:
        yield road
    finally:
        road.run("local-cloud", "stop")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A workspace whose app is a few lines, provisioned on a local cloud of its own."""
    base = tmp_path_factory.mktemp("small")
    road = Road(base / "workspace", environment(base / "cloud"))
    road.folder.mkdir()
    road.run("init")
    inference = road.folder / "inference"
    for file in sorted(inference.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (inference / "start.py").write_text(APP)
    (inference / "words.txt").write_text("first")
    road.run("provision", "--local", "--yes")
    try:
        yield road
    finally:
        road.run("local-cloud", "stop")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A workspace whose app reads what a model computes, with one adapter, `tuned`; provisioned, not deployed."""
    base = tmp_path_factory.mktemp("models")
    road = Road(base / "workspace", environment(base / "cloud"))
    road.folder.mkdir()
    road.run("init")
    shutil.rmtree(road.folder / "inference")
    (road.folder / "inference").mkdir()
    (road.folder / "inference/start.py").write_text(MODELS_APP)
    put_adapter(road.folder / "models/tuned", "Ahoy")
    set_parameters(road, cooldownSeconds=AWAKE_SECONDS)
    road.run("provision", "--local", "--yes")
    try:
        yield road
    finally:
        road.run("local-cloud", "stop")


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running local cloud, shared by the tests that provision in process, each in its own resource group."""
    home = tmp_path_factory.mktemp("provision-cloud")
    asyncio.run(control.start(home))
    yield home
    asyncio.run(control.stop(home))


@pytest.fixture
def ground(tmp_path: Path, cloud_home: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """A workspace with the templates, and a resource group of its own that does not exist yet."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(cloud_home))
    return make_ground(tmp_path, cloud_home)
