"""F5: each configuration of `.vscode` names what is there, and the debugged server answers."""

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAUNCH = json.loads((ROOT / ".vscode/launch.json").read_text())
TASKS = {task["label"]: task for task in json.loads((ROOT / ".vscode/tasks.json").read_text())["tasks"]}
MADE = (".cache/", "extension/dist/")
"""What a task makes."""


def commands(label):
    """The shell commands of a task and of those that it depends on."""
    task = TASKS[label]
    return [
        *([task["command"]] if "command" in task else []),
        *(c for one in task.get("dependsOn", ()) for c in commands(one)),
    ]


@pytest.mark.parametrize("configuration", LAUNCH["configurations"], ids=lambda one: one["name"])
def test_each_configuration_names_what_is_there(configuration):
    """Files of the checkout or ones that its task makes, a task, an input, a module."""
    text = json.dumps(configuration)
    before = commands(configuration["preLaunchTask"]) if "preLaunchTask" in configuration else []
    paths = re.findall(r"\$\{workspaceFolder\}/([^\"*]*)", text)
    inputs = {one["id"] for one in LAUNCH["inputs"]}

    for path in paths:
        made = path.startswith(MADE) and any(
            path.split("/")[1] in command or "npm run build" in command for command in before
        )
        assert made or (ROOT / path).exists(), path
    assert set(re.findall(r"\$\{input:(\w+)\}", text)) <= inputs
    if "module" in configuration:
        assert importlib.util.find_spec(configuration["module"]) is not None


@pytest.mark.parametrize("label", list(TASKS))
def test_each_task_runs_what_is_there(label):
    """Scripts of the checkout, programs of its environment, and what package.json names."""
    scripts = json.loads((ROOT / "extension/package.json").read_text())["scripts"]
    for command in commands(label):
        for path in re.findall(r"(?:^|&& )(scripts/\w+|\.venv/bin/\w+)", command):
            assert os.access(ROOT / path, os.X_OK) or path.startswith(".venv/"), path
        assert set(re.findall(r"npm run (\w+)", command)) <= scripts.keys()


def test_the_window_that_f5_opens_uses_this_checkout_s_server():
    """By a setting of the sample workspace, because an unpacked extension brings no server."""
    assert any("aiToolkit.server.environment" in one for one in commands(LAUNCH["configurations"][0]["preLaunchTask"]))


def test_the_debugged_server_answers_as_the_editor_starts_it():
    """`scripts/debug-server` with the shell's own arguments; the port is the one that is attached to."""
    [attach] = [one for one in LAUNCH["configurations"] if one["request"] == "attach"]
    assert f"AITK_DEBUG_PORT:-{attach['connect']['port']}" in (ROOT / "scripts/debug-server").read_text()
    if not (ROOT / ".venv/bin/python").exists() or importlib.util.find_spec("debugpy") is None:
        pytest.skip("scripts/debug-server uses the .venv that scripts/setup makes")
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}).encode()
    with subprocess.Popen(
        [ROOT / "scripts/debug-server", "-P", "-m", "ai_toolkit.cli.commands", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"AITK_DEBUG_PORT": "0"},
    ) as server:
        try:
            server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(request), request))
            server.stdin.flush()
            header = server.stdout.readline()
            length_bytes = int(header.split(b":")[1])
            while server.stdout.readline().strip():
                pass
            answer = json.loads(server.stdout.read(length_bytes))
        finally:
            server.kill()

    assert answer["result"]["serverInfo"]["name"] == "ai-toolkit-server"
