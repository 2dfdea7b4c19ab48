"""Compares the batched path with that of an earlier commit, in alternating pairs of processes.

    python benchmarks/inference_pairs.py COMMIT [--pairs 5] [--clients 1,4,16] [--write]

Each pair runs both, the first of them in turn, on the sample with its adapter; a ratio is made within a pair only, so
that what another program takes away from both of them counts little. For each load: the median of the ratios (above 1:
now is faster), and their spread from the least to the most. What falls below 1 beyond that spread is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Runs in either checkout, with that one's own engine and its own way to load.
MEASURE = """
import json, os, sys
root, clients = sys.argv[1], [int(each) for each in sys.argv[2].split(",")]
sys.path[:0] = [f"{root}/benchmarks", f"{root}/inference", f"{root}/server"]
os.environ["HF_HUB_OFFLINE"], os.environ["TOKENIZERS_PARALLELISM"] = "1", "false"
import inference
from inference_designs import Ours
from ai_toolkit.workspace.sample.base_model import base_model
from ai_toolkit.workspace.sample.workspace import ADAPTER_FOLDER
models, _ = inference.our_models(base_model(), ADAPTER_FOLDER)
ours, found = Ours(models), {}
ours.run(inference.load(models, 1, "simultaneous", "one", 1), 60)
for mix in ("one", "half"):
    for count in clients:
        requests = inference.load(models, count, "simultaneous", mix, 1)
        found[f"{mix} adapter, {count} clients"] = max(ours.run(requests, 60).speed for _ in range(2))
ours.close()
print("MEASURED " + json.dumps(found))
"""


def measured(root, clients):
    """Tokens a second of each load, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(root), clients], capture_output=True, text=True, check=True, cwd=root
    ).stdout
    [line] = [line for line in told.splitlines() if line.startswith("MEASURED ")]
    return json.loads(line.removeprefix("MEASURED "))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("commit", help="the earlier one")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--write", action="store_true", help="add the result to benchmarks/results/")
    asked = parser.parse_args()
    lines = [f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, now against {asked.commit}, {asked.pairs} alternating pairs"]
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "before")
        subprocess.run(
            ["git", "worktree", "add", "--detach", "--quiet", str(before), asked.commit], cwd=ROOT, check=True
        )
        try:
            pairs = []
            for number in range(asked.pairs):
                order = [("now", ROOT), ("before", before)][:: 1 if number % 2 else -1]
                pairs.append({name: measured(root, asked.clients) for name, root in order})
                print(f"# pair {number + 1}: load {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)
    for load in pairs[0]["now"]:
        ratios = sorted(pair["now"][load] / pair["before"][load] for pair in pairs)
        speeds = [statistics.median(pair[name][load] for pair in pairs) for name in ("now", "before")]
        lines.append(
            f"{load:26} now {speeds[0]:6.1f} t/s, before {speeds[1]:6.1f} t/s   "
            f"{statistics.median(ratios):.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print("\n".join(lines))
    if asked.write:
        file = ROOT / "benchmarks" / "results" / f"inference-pairs-{datetime.now(UTC):%Y-%m-%d}.txt"
        file.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
