"""How long the first minutes take, as ratios to the commit before: `python benchmarks/first_minutes.py`.

Each step runs in this checkout and in a worktree of the commit that is named (HEAD~1 unless given), turn by turn on the
same machine, with the same Python environment and a local cloud of its own each:

    python benchmarks/first_minutes.py [COMMIT]

A ratio above 1 means that this checkout is slower. Seconds are printed too, and are this machine's only.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMES = 5
"""How often a short step is repeated; the fastest counts, as it was disturbed least."""


@dataclass(frozen=True)
class Side:
    """A checkout, the folder of what its commands make, and their environment."""

    name: str
    checkout: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(self.checkout / "server"), "AITK_LOCAL_CLOUD_HOME": str(self.folder / "cloud")}
        return {**os.environ, **own, "AITK_LOG": str(self.folder / "aitk.log")}

    def seconds(self, *arguments: str) -> float:
        """How long `aitk` takes with the arguments, in the demo's folder where that is there."""
        demo = self.folder / "demo"
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "ai_toolkit.cli.commands", *arguments],
            cwd=demo if demo.is_dir() else self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
        )
        return time.monotonic() - began


def demo(side: Side) -> float:
    return side.seconds("demo", "--no-browser", "--directory", str(side.folder / "demo"))


def deploy_one_file(side: Side) -> float:
    settings = side.folder / "demo/inference/settings.toml"
    settings.write_text(settings.read_text() + "\n# one more line\n")
    return side.seconds("deploy")


STEPS = {
    "demo, the first time": (demo, 1),
    "demo, again": (demo, 1),
    "deploy one file": (deploy_one_file, 1),
    "deploy nothing": (lambda side: side.seconds("deploy"), 3),
    "status": (lambda side: side.seconds("status"), 3),
    "provision --what-if (the check)": (lambda side: side.seconds("provision", "--local", "--what-if"), 3),
    "--help": (lambda side: side.seconds("--help"), TIMES),
}


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD~1"
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "before")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", before, commit], check=True)
        sides = [Side("before", before, Path(folder, "b")), Side("now", ROOT, Path(folder, "n"))]
        try:
            for side in sides:
                side.folder.mkdir()
            print(f"{'step':34} {'ratio':>6}   now s   {commit} s")
            for name, (step, times) in STEPS.items():
                measured = {side.name: min(step(side) for _ in range(times)) for side in sides}
                ratio = measured["now"] / measured["before"]
                print(f"{name:34} {ratio:6.2f}  {measured['now']:6.1f}  {measured['before']:6.1f}", flush=True)
        finally:
            for side in sides:
                side.seconds("local-cloud", "stop")
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", before], check=True)


if __name__ == "__main__":
    main()
