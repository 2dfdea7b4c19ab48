"""Whether weights are mapped or read beforehand is decided by measurement, on a share that is really slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.support import slow_share

from aitk_app.loading.weight_files import Sample, bring_near, shown_progress
from aitk_app.readiness import Readiness

INFERENCE = Path(__file__).parents[2] / "inference"
ASK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from aitk_app.readiness import Readiness
from aitk_app.loading.weight_files import bring_near
readiness = Readiness()
reading = bring_near(Path(sys.argv[2]), "it", readiness)
print(json.dumps([reading.as_json(), readiness.state.progress]))
"""


def is_possible():
    """Whether this computer lets us mount: the CI's does."""
    return os.access("/dev/fuse", os.W_OK) and os.geteuid() == 0


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "share" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(os.urandom(1 << 20) * 160)
    return folder


def through_slow_share(folder, seconds, *, keeps):
    """What `bring_near` says where each read takes so many seconds."""
    share = (str(folder.parent), str(seconds), "0", "1" if keeps else "0")
    asked = (sys.executable, "-c", ASK, str(INFERENCE), str(folder))
    told = subprocess.run(
        [sys.executable, "-I", "-S", slow_share.__file__, *share, "--", *asked],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    return json.loads(told.stdout)


@pytest.mark.skipif(not is_possible(), reason="only root can mount a slow share, and only on Linux")
def test_a_slow_share_is_read_beforehand(weights):
    """Many reads at a time beat page faults where each takes long; all is read, and /ready shows how far."""
    reading, progress = through_slow_share(weights, 0.1, keeps=True)

    assert reading["way"] == "read ahead", reading
    assert progress == [167, 167]
    sample = reading["sample"]
    assert sample["read_seconds"] + sample["mapped_after_seconds"] < sample["mapped_seconds"]


@pytest.mark.skipif(not is_possible(), reason="only root can mount a slow share, and only on Linux")
def test_where_nothing_is_kept_reading_beforehand_is_not_worth_it(weights):
    """A mount without a cache fetches again what was read: that is in the measurement."""
    sample = through_slow_share(weights, 0.03, keeps=False)[0]["sample"]

    assert sample["mapped_after_seconds"] > 0.3


def test_what_is_in_memory_is_mapped(weights):
    """On a disk whose files are in memory already a second pass over them would only cost time."""
    ways = [bring_near(weights, "it", Readiness()) for _ in range(3)]

    assert "mapped" in {each.way for each in ways}, ways


@pytest.mark.parametrize(
    ("mapped", "read", "after", "way"),
    [(10, 2, 1, "read ahead"), (2, 1, 2, "mapped"), (1, 2, 0, "mapped"), (3, 1, 1, "read ahead")],
)
def test_the_quicker_way_is_taken(mapped, read, after, way):
    """Reading counts with the mapping that follows it."""
    assert Sample(1, mapped, read, after).way == way


def test_small_weights_are_not_measured(tmp_path):
    """A measurement would take longer than it could save."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)

    assert bring_near(tmp_path, "it", Readiness()).sample is None


def test_how_far_loading_is_can_be_seen():
    """While weights come to the device /ready counts them, mapped or read."""
    readiness, size, weights = Readiness(), 300 << 20, []
    end = time.monotonic() + 30
    with shown_progress("it", size, "cpu", readiness):
        while (readiness.state.progress or (0, 0))[0] < 100 and time.monotonic() < end:
            weights += [torch.ones(1 << 20)] if len(weights) < 75 else []

    assert readiness.state.progress[0] >= 100
    assert readiness.state.progress[1] == size // 10**6
    assert readiness.state.stage == "loading weights"
