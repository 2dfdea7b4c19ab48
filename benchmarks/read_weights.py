"""Compares ways to bring weights from a slow share, and what the app chooses after its own measurement.

    python benchmarks/read_weights.py [--megabytes 128]

Each share is a folder that answers as slowly as it is told to (`tests/support/slow_share.py`), mounted anew for each
cell, so that nothing is in memory. Needs Linux and the right to mount.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOW_SHARE = ROOT / "tests/support/slow_share.py"
# Name, seconds for each read, bytes in a second, whether what was read is kept.
SHARES = (
    ("2 ms a read", "0.002", "0", "1"),
    ("10 ms a read", "0.01", "0", "1"),
    ("50 ms a read", "0.05", "0", "1"),
    ("10 ms a read, 60 MB/s", "0.01", "60000000", "1"),
    ("10 ms a read, nothing kept", "0.01", "0", "0"),
)
WAYS = ("mapped", "one stream", "read ahead", "chosen")


def bring(way: str, file: Path) -> None:
    """In a process of its own: the seconds until all pages of `file` have been touched, and what was chosen."""
    sys.path.insert(0, str(ROOT / "inference"))
    from aitk_app.loading import weight_files
    from aitk_app.readiness import Readiness

    begun, chosen = time.monotonic(), ""
    if way == "one stream":
        buffer = bytearray(8 << 20)
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    elif way == "read ahead":
        weight_files.read_pieces(weight_files.pieces_of(file), lambda _: None)
    elif way == "chosen":
        chosen = weight_files.bring_near(file.parent, "it", Readiness()).way
    weight_files.map_pieces(weight_files.pieces_of(file))
    print(json.dumps({"seconds": time.monotonic() - begun, "chosen": chosen}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--bring", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bring:
        bring(given.bring[0], Path(given.bring[1]))
        return
    print(f"{datetime.now(UTC):%Y-%m-%d}, {given.megabytes} MiB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'share':<28}" + "".join(f"{way:>12}" for way in WAYS) + "  choice             chosen / best")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "share", "model.safetensors")
        file.parent.mkdir()
        file.write_bytes(os.urandom(1 << 20) * given.megabytes)
        for name, *share in SHARES:
            found = {}
            for way in WAYS:
                asked = [sys.executable, __file__, "--bring", way, str(file)]
                slowed = [sys.executable, "-I", "-S", str(SLOW_SHARE), str(file.parent), *share, "--", *asked]
                done = subprocess.run(slowed, capture_output=True, text=True, check=True)
                found[way] = json.loads(done.stdout)
            seconds = {way: each["seconds"] for way, each in found.items()}
            ratio = seconds["chosen"] / min(seconds.values())
            cells = "".join(f"{each:>10.2f} s" for each in seconds.values())
            print(f"{name:<28}{cells}  {found['chosen']['chosen']:<18} {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
