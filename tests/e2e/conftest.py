"""A local cloud and a sample workspace of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from road import Road, environment
from small_app import APP


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """The sample workspace, provisioned and deployed on a local cloud of its own; shared by the tests of a session."""
    base = tmp_path_factory.mktemp("road")
    road = Road(base / "workspace", environment(base / "cloud"))
    road.folder.mkdir()
    try:
        road.run("init", "--sample")
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
