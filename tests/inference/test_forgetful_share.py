"""A share's mount that remembers what it knew of files for 30 seconds does not hide that an adapter was replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import forgetful_share, hard_azure

INFERENCE = Path(__file__).parents[2] / "inference"
ASK = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from aitk_app.engine.adapters import file_stamps
folder = Path(sys.argv[2])
weights = folder / "adapter_model.safetensors"
told = {"mode": oct(weights.stat().st_mode), "before": file_stamps(folder), "was there": (folder / "late").exists()}
try:
    weights.chmod(0o600)
except PermissionError:
    told["chmod"] = "refused"
weights.stat()
print("looked", flush=True)
sys.stdin.readline()
told |= {"remembered": weights.stat().st_size, "is there": (folder / "late").exists(), "after": file_stamps(folder)}
(folder / "own").write_text("own")
(folder / "own").replace(folder / "renamed")
told["own"] = (folder / "renamed").read_text()
print(json.dumps(told))
"""


@pytest.mark.skipif(not hard_azure.is_possible(), reason="only root can mount a share that way, and only on Linux")
def test_a_replaced_adapter_is_noticed_on_a_mount_that_remembers(tmp_path):
    """Size and absence are remembered, as on Azure; what tells whether an adapter changed asks anew."""
    folder = tmp_path / "share" / "adapter"
    folder.mkdir(parents=True)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(b"old")
    command = [sys.executable, "-I", "-S", forgetful_share.__file__, str(folder.parent), "30", "--"]
    asked = [*command, sys.executable, "-c", ASK, str(INFERENCE), str(folder)]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "looked\n"
        new = folder / "new"
        new.write_bytes(b"longer than before")
        new.replace(weights)
        (folder / "late").write_text("here")
        told = json.loads(running.communicate("\n", timeout=60)[0])

    assert told["mode"] == "0o100777"
    assert told["chmod"] == "refused"
    assert (told["remembered"], told["was there"], told["is there"]) == (3, False, False)
    assert told["before"]["adapter_model.safetensors"][0] == 3
    assert told["after"]["adapter_model.safetensors"][0] == 18
    assert told["own"] == "own"
