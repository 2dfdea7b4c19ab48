"""`aitk` in a workspace with a local cloud of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import validate

from ai_toolkit.cli.dialogs import MACHINES
from ai_toolkit.cli.result_schemas import schema

AITK = (sys.executable, "-m", "ai_toolkit.cli")


@dataclass(frozen=True)
class Road:
    """A workspace, the environment of its commands, and the local cloud's home in it."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, check: bool = True, limit_seconds: int = 240) -> subprocess.CompletedProcess[str]:
        """`aitk` with the arguments, in the workspace, without a terminal."""
        done = subprocess.run(
            [*AITK, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"aitk {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        """The JSON object that `aitk … --json` prints when all is well; it fits its published schema."""
        return self._json(arguments, refused=False)

    def refusal(self, *arguments: str) -> Any:
        """The JSON object that `aitk … --json` prints when it ends with an error; it fits its published schema."""
        return self._json(arguments, refused=True)

    def _json(self, arguments: tuple[str, ...], *, refused: bool) -> Any:
        done = self.run(*arguments, "--json", check=False)
        told = f"aitk {' '.join(arguments)}, exit code {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stdout.count("\n") == 1, told
        assert (done.returncode != 0) == refused, told
        result = json.loads(done.stdout)
        validate(result, schema("error" if refused else arguments[0]))
        return result

    @property
    def home(self) -> Path:
        return Path(self.environment["AITK_LOCAL_CLOUD_HOME"])


def environment(home: Path) -> dict[str, str]:
    """A person's, who can be asked: a CI that runs the tests is no part of it."""
    own = {name: value for name, value in os.environ.items() if name not in MACHINES}
    return {**own, "AITK_LOCAL_CLOUD_HOME": str(home), "AITK_LOG": f"{home}-aitk.log", "NO_COLOR": "1"}


def processes_of(home: Path) -> list[str]:
    """Command lines of the processes whose command line or environment names the local cloud's home."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(home).encode() in text and state != "Z":
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found
