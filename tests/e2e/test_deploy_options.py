"""Deploy on the command line: what it shows before, the cheapest action, the way back."""

import json
import os
import signal
import socket
import subprocess

import pytest
from tests.support.road import AITK
from tests.support.small_app import APP, THAT_TELLS


def test_deploy_shows_acts_and_goes_back(small):
    """Dry run, deploy, nothing, restart, change, previous: each says what it did, and the replica shows it."""
    planned = small.json("deploy", "--dry-run")
    first = small.json("deploy")
    nothing = small.json("deploy")
    forced = small.json("deploy", "--restart")
    (small.folder / "inference/words.txt").write_text("second")
    (small.folder / "inference/more.txt").write_text("more")
    second_plan = small.json("deploy", "--dry-run")
    second = small.json("deploy")
    says_second = small.run("status").stdout
    back = small.json("deploy", "--previous")

    assert planned["dryRun"]
    assert planned["added"] == ["inference/start.py", "inference/words.txt"]
    assert [planned[kind] for kind in ("changed", "removed", "conflicting", "uploaded")] == [[], [], [], 0]
    assert (planned["bytes"], planned["action"]) == (len(APP) + 5, "restart")
    assert first["revision"]
    assert (first["added"], first["seconds"] > 0) == (planned["added"], True)
    assert [first["action"], nothing["action"], forced["action"], second["action"], back["action"]] == [
        "restart",
        "nothing",
        "restart",
        "restart",
        "restart",
    ]
    assert (first["uploaded"], nothing["uploaded"], forced["uploaded"], second["uploaded"]) == (2, 0, 0, 2)
    assert (second_plan["added"], second_plan["changed"]) == (["inference/more.txt"], ["inference/words.txt"])
    assert says_second.splitlines()[0].endswith("ready")
    share = next(small.home.glob("shares/*/*"))
    assert (share / "inference/words.txt").read_text() == "first"
    assert not (share / "inference/more.txt").exists()


def test_what_is_known_to_be_wrong_does_not_reach_the_endpoint(small):
    """A mistake in the code ends the deploy before anything is sent; forced, the deploy before can be brought back."""
    small.run("deploy")
    start = small.folder / "inference/start.py"
    start.write_text(APP + "\ndef broken(:\n")
    refused = small.run("deploy", check=False)
    still = small.run("status").stdout
    forced = small.run("deploy", "--force", check=False)
    failed = small.run("status").stdout
    back = small.json("deploy", "--previous")
    well = small.run("status").stdout
    start.write_text(APP)
    small.run("deploy")
    nothing = small.run("deploy").stdout

    assert refused.returncode == 1
    assert "start.py, line " in refused.stderr
    assert "--force" in refused.stderr
    assert still.splitlines()[0].endswith("ready")
    assert "Sent all the same: " in forced.stderr
    assert "aitk deploy --previous" in forced.stderr
    assert "bring the previous deploy back: aitk deploy --previous" in failed
    assert not failed.splitlines()[0].endswith("ready")
    assert back["action"] == "restart"
    assert well.splitlines()[0].endswith("ready")
    assert "Nothing to do" in nothing


def test_removing_most_files_asks(small):
    """Without a terminal and without --yes it is a usage error, and the files stay."""
    for number in range(6):
        (small.folder / f"inference/part{number}.txt").write_text("x")
    small.run("deploy")
    for number in range(6):
        (small.folder / f"inference/part{number}.txt").unlink()
    asked = small.run("deploy", check=False)
    share = next(small.home.glob("shares/*/*"))

    assert asked.returncode == 2
    assert "would be removed" in asked.stderr
    assert (share / "inference/part0.txt").exists()
    assert small.json("deploy", "--yes")["action"] == "restart"
    assert not (share / "inference/part0.txt").exists()


def test_conflict_is_never_overwritten_by_yes(small):
    """A file that somebody else put there is shown and asked for, also with --yes."""
    share = next(small.home.glob("shares/*/*"))
    (share / "models/a").mkdir(parents=True)
    (share / "models/a/adapter_config.json").write_text('{"theirs": 1}')
    (small.folder / "models/a").mkdir(parents=True)
    (small.folder / "models/a/adapter_config.json").write_text('{"mine": 1}')
    asked = small.run("deploy", "--yes", check=False)
    kept = small.json("deploy", "--conflicts", "keep")
    theirs = (share / "models/a/adapter_config.json").read_text()
    small.json("deploy", "--conflicts", "replace")

    assert asked.returncode == 2
    assert "models/a/adapter_config.json" in asked.stderr
    assert "--conflicts" in asked.stderr
    assert theirs == '{"theirs": 1}'
    assert kept["uploaded"] == 0
    assert (share / "models/a/adapter_config.json").read_text() == '{"mine": 1}'


def test_sleeping_app_is_not_woken_unless_that_is_wanted(small):
    """A look and a deploy leave it asleep; --wake starts it and proves what it loaded."""
    small.run("local-cloud", "stop")
    small.run("local-cloud", "start")
    (small.folder / "inference/words.txt").write_text("while asleep")
    later = small.json("deploy")
    again = small.json("deploy")
    looked = small.json("status")
    silent = small.run("logs").stderr
    woken = small.json("deploy", "--wake")
    running = small.json("status")

    assert (later["action"], later["uploaded"]) == ("load at next start", 1)
    assert again["action"] == "load at next start"
    assert looked["live"]["replicas"] == []
    assert "asleep" in looked["live"]["detail"]
    assert "No replica runs" in silent
    assert woken["action"] == "wake"
    assert len(running["live"]["replicas"]) == 1
    assert running["live"]["detail"] == "while asleep"


def test_logs_are_followed_and_end_with_the_command(small):
    """Lines come while they are written, until Ctrl+C."""
    if os.environ.get("AITK_HARD_AZURE") == "1":  # where replicas are not listed only the app knows its replica's name
        (small.folder / "inference/start.py").write_text(THAT_TELLS)
        small.run("deploy")
    with subprocess.Popen(
        [*AITK, "logs", "--follow"], cwd=small.folder, env=small.environment, stdout=subprocess.PIPE, text=True
    ) as following:
        try:
            first = following.stdout.readline()
            small.json("status")  # which asks the app
            told = next(line for line in following.stdout if "asked for /ready" in line)
        finally:
            following.send_signal(signal.SIGINT)
            code = following.wait(20)

    assert first.startswith("--- ")
    assert told
    assert code == 0


def test_key_is_never_sent_to_another_host(small):
    """A config file that came from elsewhere may name any host: it is refused by name, and hears nothing."""
    path = small.folder / "infra/inference.config.json"
    own = path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        config = json.loads(own) | {"ACA_APP_ENDPOINT": f"http://127.0.0.1:{stranger.getsockname()[1]}"}
        path.write_text(json.dumps(config))
        try:
            commands = (("deploy",), ("deploy", "--dry-run"), ("chat", "Hello"), ("link",), ("status",))
            codes = [small.refusal(*command)["error"]["code"] for command in commands]
        finally:
            path.write_text(own)
        with pytest.raises(BlockingIOError):
            stranger.accept()

    assert codes == ["endpoint_foreign"] * 5
