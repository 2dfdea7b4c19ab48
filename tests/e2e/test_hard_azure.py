"""A sample of `scripts/judge hard-azure` for every run: the road where Azure is at its hardest, with a small app."""

from pathlib import Path

import pytest
from tests.support import hard_azure
from tests.support.road import Road, environment
from tests.support.small_app import APP

pytestmark = pytest.mark.skipif(not hard_azure.is_possible(), reason="only root can mount a share that way, on Linux")


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """A workspace whose app is a few lines, and a local cloud that is as hard as Azure."""
    base = tmp_path_factory.mktemp("hard")
    road = Road(base / "workspace", {**environment(base / "cloud"), **hard_azure.variables(base)})
    road.folder.mkdir()
    road.run("init")
    inference = road.folder / "inference"
    for file in sorted(inference.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (inference / "start.py").write_text(WHO + APP)
    (inference / "words.txt").write_text("first")
    try:
        yield road
    finally:
        road.run("local-cloud", "stop")


WHO = """
import os, pathlib
who = pathlib.Path(os.environ["AITK_SHARE"], "who")
mode = who.parent.stat().st_mode & 0o777
who.write_text(f"{os.getuid()} {os.path.ismount(os.environ['AITK_SHARE'])} {mode:o}")
"""


def test_the_road_ends_well_where_azure_is_at_its_hardest(hard):
    """In Azure's time, scaled, an unlisted replica without a name starts twice on a share that remembers."""
    provisioned = hard.json("provision", "--local", "--yes")
    first = hard.json("deploy")
    (hard.folder / "inference" / "words.txt").write_text("second")
    second = hard.json("deploy")
    shares = next(path for path in (hard.home / "shares").glob("*/*") if path.is_dir())
    user, is_mounted, mode = Path(shares, "who").read_text().split()

    assert provisioned["endpoint"]
    assert (first["uploaded"], second["uploaded"]) == (2, 1)
    assert (int(user) >= 64198, is_mounted, mode) == (True, "True", "777")
