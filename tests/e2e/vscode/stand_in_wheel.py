"""Puts a small server into an installed extension: `stand_in_wheel.py EXTENSION RECORD KEY`.

The environment that the extension makes then holds `stand_in_server.py` alone, and is there in seconds.
"""

import sys
import zipfile
from pathlib import Path

EXTENSION, RECORD, KEY = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
SERVER = Path(__file__).with_name("stand_in_server.py")
NAME = "ai_toolkit_server-1.0-py3-none-any.whl"
ABOUT = "ai_toolkit_server-1.0.dist-info"
FILES = {
    "ai_toolkit/__init__.py": "",
    "ai_toolkit/editor/main.py": "",
    "ai_toolkit/cli/commands.py": f"import sys\nsys.argv[1:1] = [{RECORD!r}]\nexec(open({str(SERVER)!r}).read())\n",
    f"{ABOUT}/METADATA": "Metadata-Version: 2.1\nName: ai-toolkit-server\nVersion: 1.0\n",
    f"{ABOUT}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}

folder = EXTENSION / "server"
for old in folder.glob("*.whl"):
    old.unlink()
with zipfile.ZipFile(folder / NAME, "w") as wheel:
    for path, text in FILES.items():
        wheel.writestr(path, text)
    wheel.writestr(f"{ABOUT}/RECORD", "".join(f"{path},,\n" for path in [*FILES, f"{ABOUT}/RECORD"]))
(folder / "key").write_text(KEY + "\n")
(folder / "requirements.txt").write_text("# no packages\n")
