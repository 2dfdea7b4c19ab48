"""Azure as it can be met at its hardest, for local clouds that a test or a person starts.

Replicas without a name (those of GPU profiles are so anyway), a share whose client remembers for 30 seconds, a list of
replicas that lacks those that serve, and long operations. What a test asks for besides happens on top of it.
"""

import json
import os
import sys
from pathlib import Path

from tests.support import forgetful_share

REMEMBERED_SECONDS = 30


def is_possible() -> bool:
    """Whether this computer lets us mount a share that way, and change users."""
    return os.access("/dev/fuse", os.W_OK) and os.geteuid() == 0


def variables(folder: Path, remembered_seconds: int = REMEMBERED_SECONDS) -> dict[str, str]:
    """The environment of a local cloud that is so; a file of it lies in the folder."""
    script = str(Path(forgetful_share.__file__).resolve())
    mount = [sys.executable, "-I", "-S", script, "{share}", str(remembered_seconds), "--"]
    faults = [{"kind": "no-replica-list"}, {"kind": "replica-wrapped", "count": None, "command": mount}]
    file = folder / "hard-azure.json"
    file.write_text(json.dumps(faults), encoding="utf-8")
    return {"AITK_LOCAL_CLOUD_FAULTS": str(file), "AITK_LOCAL_CLOUD_MINUTE": "1"}
