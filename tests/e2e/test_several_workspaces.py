"""One computer, several workspaces: each has an endpoint of its own, and nobody else hears its key."""

import json
import shutil
import socket
import threading
from dataclasses import replace

from tests.support.small_app import APP

from ai_toolkit.workspace.workspace import Workspace


def own_app(road):
    road.run("init")
    for file in sorted((road.folder / "inference").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (road.folder / "inference/start.py").write_text(APP)
    (road.folder / "inference/words.txt").write_text(road.folder.name)


def test_each_workspace_has_its_endpoint(empty_road):
    """Named by folder in the status; another's deploy is not replaced unasked; an older group goes on being used."""
    one = replace(empty_road, folder=empty_road.folder / "one")
    other = replace(empty_road, folder=empty_road.folder / "other")
    for road in (one, other):
        road.folder.mkdir()
        own_app(road)
    one.run("provision", "--local", "--resource-group", "ai-toolkit-local", "--yes")
    one.run("deploy")
    one.run("provision", "--local", "--yes")
    other.run("provision", "--local", "--yes")
    listed = one.run("local-cloud", "status").stdout
    targets = [Workspace(road.folder).target() for road in (one, other)]
    own = Workspace(other.folder).target_path.read_text()
    shutil.copy(Workspace(one.folder).target_path, Workspace(other.folder).target_path)
    asked = other.run("deploy", check=False)
    share = empty_road.home / "shares" / targets[0].storage_account / targets[0].file_share
    before = (share / "inference/words.txt").read_text()
    agreed = other.json("deploy", "--yes")
    after = (share / "inference/words.txt").read_text()
    Workspace(other.folder).target_path.write_text(own)

    assert targets[0].resource_group == "ai-toolkit-local"
    assert targets[1].resource_group.startswith("ai-toolkit-local-other-")
    assert targets[0].endpoint != targets[1].endpoint
    for road, target in zip((one, other), targets, strict=True):
        (line,) = (line for line in listed.splitlines() if target.endpoint in line)
        assert target.resource_group in line
        assert str(road.folder) in line
    assert asked.returncode == 2
    assert f"The workspace {one.folder} deployed to this endpoint" in asked.stderr
    assert (before, after, agreed["uploaded"]) == ("one", "other", 1)


def test_a_stranger_at_the_endpoint_s_port_hears_nothing(small):
    """Every command tells that another process listens there; nothing is sent to it; afterwards all is well again."""
    small.run("deploy")
    endpoint = json.loads((small.folder / "infra/inference.config.json").read_text())["ACA_APP_ENDPOINT"]
    small.run("local-cloud", "stop")
    heard = []
    with socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as stranger:

        def listen():
            while True:
                try:
                    connection, _ = stranger.accept()
                except OSError:
                    return
                connection.settimeout(2)
                with connection:
                    heard.append(connection.recv(65536))

        threading.Thread(target=listen, daemon=True).start()
        small.run("local-cloud", "start")
        commands = (
            ("chat", "Hello"),
            ("link",),
            ("deploy",),
            ("deploy", "--dry-run"),
            ("key",),
            ("logs",),
            ("models",),
        )
        answers = [small.run(*command, check=False) for command in commands]
        said = [answer.stdout + answer.stderr for answer in answers]
        looked = small.run("status").stdout
        stranger.shutdown(socket.SHUT_RDWR)
    well = small.run("deploy", "--wake").stdout

    assert all("Another process on this computer listens on port" in one for one in said), said
    assert "Another process on this computer listens on port" in looked
    assert not any(heard)
    assert endpoint in well
