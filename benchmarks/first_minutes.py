"""How long the first minutes take, as ratios to the commit before: `python benchmarks/first_minutes.py`.

Each step runs in this checkout and in a worktree of the commit that is named (HEAD~1 unless given), turn by turn on the
same machine, with the same Python environment and a local cloud of its own each:

    python benchmarks/first_minutes.py [COMMIT]

A ratio above 1 means that this checkout is slower. Beside the time on the clock stands that of the processors, which
other work on the machine disturbs less: that of `aitk`, the local cloud and its replicas together (Linux only). Seconds
are printed too, and are this machine's only.
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
"""How often a short step is repeated, turn by turn; the fastest counts, as it was disturbed least."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """How long a step took, in seconds: on the clock, and of the processors."""

    clock: float
    processors: float


@dataclass(frozen=True)
class Side:
    """A checkout, the folder of what its commands make, and their environment."""

    name: str
    checkout: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(self.checkout / "server"), "AITK_LOCAL_CLOUD_HOME": str(self.folder / "cloud")}
        one_thread = {"OMP_NUM_THREADS": "1"}  # two wait for one another as soon as the machine has other work, too
        return {**os.environ, **own, **one_thread, "AITK_LOG": str(self.folder / "aitk.log")}

    def take(self, *arguments: str) -> Taken:
        """How long `aitk` takes with the arguments, in the demo's folder where that is there."""
        demo = self.folder / "demo"
        began, used = time.monotonic(), _used_by(self.folder)
        done = subprocess.run(
            [sys.executable, "-m", "ai_toolkit.cli.commands", *arguments],
            cwd=demo if demo.is_dir() else self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: aitk {' '.join(arguments)}: {done.stderr.decode()[-2000:]}")
        return Taken(time.monotonic() - began, _used_by(self.folder) - used)


def _used_by(folder: Path) -> float:
    """Seconds of the processors that this process's ended children, and the processes of that folder, have used."""
    own = os.times()
    used = own.children_user + own.children_system
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                used += sum(map(int, fields[11:15])) / _TICKS  # its own, and that of its ended children
        except OSError:  # it ended, or is another user's
            continue
    return used


def demo(side: Side) -> Taken:
    return side.take("demo", "--no-browser", "--yes", "--directory", str(side.folder / "demo"))


def deploy_one_file(side: Side) -> Taken:
    settings = side.folder / "demo/inference/settings.toml"
    settings.write_text(settings.read_text() + "\n# one more line\n")
    return side.take("deploy")


STEPS = {
    "demo, the first time": (demo, 1),
    "demo, again": (demo, 1),
    "deploy one file": (deploy_one_file, 1),
    "deploy nothing": (lambda side: side.take("deploy"), 3),
    "status": (lambda side: side.take("status"), 3),
    "provision --what-if (the check)": (lambda side: side.take("provision", "--local", "--what-if"), 3),
    "--help": (lambda side: side.take("--help"), TIMES),
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
            print(f"Against {commit}; load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
            print(f"{'':34} {'by the processors':>24}   {'on the clock':>22}")
            print(f"{'step':34} {'ratio':>8} {'now s':>7} {'before':>7}   {'ratio':>6} {'now s':>7} {'before':>7}")
            for name, (step, times) in STEPS.items():
                turns = [tuple(step(side) for side in sides) for _ in range(times)]
                line = f"{name:34}"
                for kind in ("processors", "clock"):
                    before_s, now_s = (min(getattr(turn[place], kind) for turn in turns) for place in (0, 1))
                    line += f" {now_s / before_s:8.2f} {now_s:7.2f} {before_s:7.2f} "
                print(line, flush=True)
        finally:
            for side in sides:
                side.take("local-cloud", "stop")
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", before], check=True)


if __name__ == "__main__":
    main()
