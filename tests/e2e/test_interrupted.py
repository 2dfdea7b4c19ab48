"""Ctrl+C at a random moment of every command: a word and 130, and nothing half-written."""

import json
import os
import random
import re
import signal
import tomllib

import pytest
from tests.support.road import AITK
from tests.support.small_app import THAT_LOADS
from tests.support.terminal import Terminal

TIMES = int(os.environ.get("AITK_INTERRUPTIONS", "1"))
"""How often each command is interrupted; more, for whoever hunts."""
SEED = int(os.environ.get("AITK_SEED", "20"))
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 2.0
ENDS = {130, -signal.SIGINT}
"""The second is Python's own, before it runs a line of ours; a shell tells it as 130, too."""
COMMANDS = (
    "init ../new",
    "provision --local --what-if",
    "provision --local --yes",
    "deploy --yes",
    "deploy --yes --wake --restart",
    "deploy --dry-run",
    "deploy --previous --yes",
    "status",
    "models",
    "logs",
    "logs --follow",
    "logs --own",
    "key",
    "link",
    "chat Hello?",
    "chat",
    "eval",
    "prices",
    "stop --yes",
    "start",
    "down --dry-run",
    "local-cloud start",
    "local-cloud status",
    "schema",
    "mcp",
    "serve",
    "--help",
)
OURS = re.compile(r'File "[^"]*ai_toolkit/(?!cli/__main__)[^"]*"')
"""A line of a traceback. Of the first hundredths of a second, while Python itself starts, no program has a say."""


@pytest.fixture(scope="module")
def small(small):
    """Its app answers a question, once it has loaded."""
    (small.folder / "inference/start.py").write_text(THAT_LOADS)
    small.run("deploy", "--yes")
    return small


def moments():
    """A command and a moment each, as the seed has it: short ones are as likely as long ones."""
    chance = random.Random(SEED)
    ratio = LONGEST_SECONDS / SHORTEST_SECONDS
    return [
        pytest.param(command, SHORTEST_SECONDS * ratio ** chance.random(), id=command)
        for _ in range(TIMES)
        for command in COMMANDS
    ]


@pytest.mark.parametrize(("command", "seconds"), moments())
def test_ctrl_c_ends_it_in_a_word(small, command, seconds):
    """130 where it had not ended, no traceback, the terminal as it was, and every file whole."""
    with Terminal([*AITK, *command.split()], small.environment, small.folder) as terminal:
        runs = terminal.look_for(seconds)
        before = terminal.shown
        if runs:
            terminal.press_ctrl_c()
        code = terminal.end()
        had_said_all = bool(before) and terminal.shown == before
        as_it_was = terminal.is_as_it_was()

    told = f"{command} after {seconds:.2f} s: {code}, {terminal.shown}"
    assert code in ENDS or (code in {0, 1} and (not runs or had_said_all)) or command == "logs --follow", told
    assert command == "logs --own" or not OURS.search(terminal.shown), told
    assert as_it_was, told
    assert broken_files(small.folder.parent) == [], told


def broken_files(folder):
    """Files that somebody began to write, or that cannot be read."""
    broken = []
    for place in (folder / "workspace", folder / "new"):
        for file in place.rglob("*"):
            if file.suffix == ".json":
                json.loads(file.read_text())
            elif file.suffix == ".toml":
                tomllib.loads(file.read_text())
            elif file.suffix in {".part", ".tmp", ".new"}:
                broken.append(file)
    return broken


def test_all_goes_on_afterwards(small):
    """Nothing holds a lock, the files are whole, and the next run does what the last one was to do."""
    small.run("init", "../new")
    small.run("provision", "--local", "--yes")
    small.run("deploy", "--yes", "--start", "--wake")

    assert small.json("status")["ready"]
