"""A workspace that version 0.1.0 made, with its infra/ and inference/ as they were shipped, used by this version."""

import hashlib
import shutil
import tarfile
from pathlib import Path

from tests.support.road import Road

FILES = Path(__file__).parent / "data/workspace-0.1.0.tar.xz"
"""`git archive 769e6ec infra inference | xz`: the last of 0.1.0, with its modules in inference/engine/."""


def contents(folder):
    """Path → hash of each file of infra/ and inference/, without what Provision writes."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for name in ("infra", "inference")
        for file in sorted((folder / name).rglob("*"))
        if file.is_file() and file.name != "inference.config.json"
    }


def test_it_provisions_deploys_and_answers_unchanged(road, empty_road: Road):
    """Not one of its files is touched, and its own app serves the adapter."""
    folder = empty_road.folder
    with tarfile.open(FILES) as files:
        files.extractall(folder, filter="data")
    for name in ("models", "model-cache"):
        shutil.copytree(road.folder / name, folder / name, copy_function=shutil.copyfile)
    before = contents(folder)
    empty_road.run("provision", "--local", "--yes")
    deployed = empty_road.json("deploy", "--yes", "--wake")
    answer = empty_road.run("chat", "What is the capital of Japan?").stdout

    assert contents(folder) == before
    assert [one["name"] for one in deployed["adapters"]] == ["qlora/qlora/gpu_model/adapter"]
    assert len(deployed["adapters"][0]["sha256"]) == 64
    assert deployed["baseModel"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "Ahoy" in answer
    assert empty_road.json("deploy", "--yes")["action"] == "nothing"
