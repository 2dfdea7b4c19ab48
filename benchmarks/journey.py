"""How long the whole road takes on this computer: `python benchmarks/journey.py`.

Prints the seconds of `aitk demo --once` in an empty folder with a local cloud that was never used, and its ratio to the
60 seconds that are promised on two cores after installation.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED_SECONDS = 60.0

with tempfile.TemporaryDirectory() as folder:
    base = Path(folder)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "ai_toolkit.cli.commands", "demo", "--once", "--directory", str(base / "demo")],
        env={**os.environ, "AITK_LOCAL_CLOUD_HOME": str(base / "cloud")},
        check=True,
    )
    seconds = time.monotonic() - began
print(f"journey: {seconds:.1f} s, {seconds / PROMISED_SECONDS:.2f} of the promised {PROMISED_SECONDS:.0f} s")
