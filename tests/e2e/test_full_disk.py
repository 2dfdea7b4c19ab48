"""A full disk beneath the local cloud: told in a sentence with where and how much, and not tried again and again."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest
from tests.support.road import Road, environment
from tests.support.small_app import APP

SIZE_MB = 8
MOST_SECONDS = 60
"""Deploys that try again wait much longer than that."""


@pytest.fixture
def full(tmp_path):
    """A workspace whose local cloud has a disk of its own, of some megabytes; provisioned."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    road = Road(tmp_path / "workspace", environment(disk / "cloud") | {"AITK_LOG": str(tmp_path / "aitk.log")})
    road.folder.mkdir()
    try:
        road.run("init")
        shutil.rmtree(road.folder / "inference")
        (road.folder / "inference").mkdir()
        (road.folder / "inference/start.py").write_text(APP)
        (road.folder / "inference/words.txt").write_text("first")
        road.run("provision", "--local", "--yes")
        yield road, disk
    finally:
        with contextlib.suppress(OSError):
            (disk / "filler").unlink()
        road.run("local-cloud", "stop", check=False)
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk, *, but_bytes=0):
    """Takes all the room there is."""
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        free = shutil.disk_usage(disk).free - but_bytes
        while free > 0:
            free -= filler.write(bytes(min(free, 1 << 16)))


def failure_of(road, *arguments):
    """What a person reads; it did not go on for long."""
    began = time.monotonic()
    done = road.run(*arguments, check=False)
    assert time.monotonic() - began < MOST_SECONDS
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_full_disk_is_named_and_with_room_all_goes_on(full):
    """What is too large for the disk, a disk without a byte, a start without room; afterwards the deploy as ever."""
    road, disk = full
    large = road.folder / "inference/large.bin"
    large.write_bytes(bytes(SIZE_MB << 20))
    told = failure_of(road, "deploy", "--yes")
    large.unlink()

    assert "This computer's disk is full" in told
    assert f" MB are free in {disk}" in told
    assert f", and {(SIZE_MB << 20) / 1e6:.1f} MB are wanted" in told
    assert "AITK_LOCAL_CLOUD_HOME" in told

    fill(disk)
    told = failure_of(road, "deploy", "--yes", "--wake")

    assert "disk is full" in told
    assert f"0.0 MB are free in {disk}" in told

    (disk / "filler").unlink()
    road.run("deploy", "--yes")
    fill(disk)
    told = failure_of(road, "deploy", "--yes", "--wake", "--restart")

    assert "disk is full" in told

    road.run("local-cloud", "stop")
    told = failure_of(road, "local-cloud", "start")

    assert f"0.0 MB are free in {disk}" in told

    (disk / "filler").unlink()
    road.run("local-cloud", "start")
    road.run("deploy", "--yes", "--wake")
    assert road.json("status")["ready"]
