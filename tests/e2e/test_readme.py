"""What the README shows is run, and prints what the README says."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@dataclass(frozen=True)
class Shown:
    command: str
    lines: tuple[str, ...]


def console_blocks() -> list[list[Shown]]:
    """The commands of each ```console block, with the lines that the README says they print."""
    blocks = []
    for text in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        shown = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
        blocks.append([Shown(one.splitlines()[0], tuple(one.splitlines()[1:])) for one in shown])
    return blocks


def matches(lines: tuple[str, ...], output: str) -> bool:
    """Whether the output is these lines; … stands for any text, alone on a line for any number of lines."""
    parts = [".*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) for line in lines]
    pattern = r"\n".join(parts).replace(r".*\n", r"(?:.*\n)?") if lines else ""
    return re.fullmatch(pattern, output.strip("\n"), re.DOTALL) is not None


def test_every_console_command_prints_what_is_shown(tmp_path):
    """The blocks are run in order as a newcomer would, the first in the checkout, the second in a folder of its own."""
    environment = {
        **os.environ,
        "AITK_LOCAL_CLOUD_HOME": str(tmp_path / "cloud"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    (tmp_path / "own").mkdir()
    in_checkout, step_by_step = console_blocks()
    wrong = []
    try:
        for folder, block in ((ROOT, in_checkout), (tmp_path / "own", step_by_step)):
            for shown in block:
                done = subprocess.run(
                    ["bash", "-c", shown.command],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=250,
                    check=False,
                )
                if done.returncode != 0 or not matches(shown.lines, done.stdout):
                    wrong.append(f"$ {shown.command}\n{done.stdout}{done.stderr}")
    finally:
        subprocess.run(["aitk", "local-cloud", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)

    assert not wrong, "\n\n".join(wrong)


def test_named_files_and_pictures_exist():
    """Every script and picture that the README names is there."""
    named = {*re.findall(r"\bscripts/\w+", README), *re.findall(r"\]\((extension/[^)]+)\)", README)}

    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
