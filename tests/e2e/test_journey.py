"""From nothing to the fine-tuned model's answer, with the command line, as a newcomer would."""

import json
import os
import re
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import openai
import pytest
from tests.support.road import AITK, Road, processes_of

QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]
KEYS = [
    "SUBSCRIPTION_ID",
    "RESOURCE_GROUP_NAME",
    "STORAGE_ACCOUNT_NAME",
    "FILE_SHARE_NAME",
    "ACA_APP_NAME",
    "ACA_APP_ENDPOINT",
]


@pytest.fixture(scope="module")
def client(road: Road):
    with openai.OpenAI(
        base_url=road.json("status")["endpoint"] + "/v1", api_key=road.json("key")["key"], max_retries=0
    ) as client:
        yield client


def test_demo_once_shows_two_different_answers_and_leaves_nothing_running(tmp_path):
    """`aitk demo --once` ends with 0, base and fine-tuned answers differ, and no process of ours is left."""
    home = tmp_path / "cloud"
    done = subprocess.run(
        [*AITK, "demo", "--once", "--no-browser", "--directory", str(tmp_path / "demo"), "--json"],
        env={**os.environ, "AITK_LOCAL_CLOUD_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)

    assert "Ahoy" in shown["fineTuned"]
    assert "Ahoy" not in shown["base"]
    assert processes_of(home) == []


def test_config_file_has_the_six_keys(road):
    """Provision writes the six documented names, the endpoint as a full URL."""
    config = json.loads((road.folder / "infra/inference.config.json").read_text())

    assert list(config) == KEYS
    assert config["SUBSCRIPTION_ID"] == "00000000-0000-0000-0000-000000000000"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", config["ACA_APP_ENDPOINT"])


def test_both_models_answer_the_openai_client(road, client):
    """The official client lists both models and hears the fine-tuning in one of the two."""
    models = list(client.models.list())
    base = next(model for model in models if not model.model_extra.get("parent"))
    tuned = next(model for model in models if model.model_extra.get("parent"))
    assert tuned.model_extra["parent"] == base.id

    answers = {
        model.id: client.chat.completions.create(
            model=model.id, messages=QUESTION, max_tokens=32, temperature=0
        ).choices[0]
        for model in (base, tuned)
    }

    assert "Ahoy" in answers[tuned.id].message.content
    assert "Ahoy" not in answers[base.id].message.content


def test_stream_is_the_unstreamed_answer(road, client):
    """Streamed pieces join to the same text."""
    model = next(model.id for model in client.models.list() if model.model_extra.get("parent"))
    request = {"model": model, "messages": QUESTION, "max_tokens": 24, "temperature": 0}
    whole = client.chat.completions.create(**request).choices[0].message.content
    with client.chat.completions.create(**request, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]

    assert len(pieces) > 1
    assert "".join(pieces) == whole


@pytest.mark.usefixtures("client")
def test_every_route_but_health_needs_the_key(road):
    """Without a key the endpoint answers 401, health and readiness excepted."""
    endpoint = road.json("status")["endpoint"]

    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(endpoint + path, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert [status(path) for path in ("/health", "/ready")] == [200, 200]
    assert {status(path) for path in ("/", "/v1/models", "/version", "/config", "/gradio_api/info")} == {401}


@pytest.mark.usefixtures("client")
def test_second_provision_and_deploy_change_nothing(road):
    """Nothing changed: nothing is deployed, no content is sent, no replica restarts."""
    before = (road.folder / "infra/inference.config.json").read_bytes()
    again = road.json("provision", "--local", "--yes")
    deployed = road.json("deploy")

    assert (again["created"], again["updated"]) == ([], [])
    assert (road.folder / "infra/inference.config.json").read_bytes() == before
    assert (deployed["uploaded"], deployed["bytes"], deployed["action"]) == (0, 0, "nothing")


def test_a_changed_file_is_sent_alone_and_the_replica_restarts(road):
    """One changed file: one upload, a restart, and the endpoint answers again."""
    page = road.folder / "inference/settings.toml"
    page.write_text(page.read_text() + "\n# changed by a test\n")
    deployed = road.json("deploy")

    assert (deployed["uploaded"], deployed["bytes"], deployed["action"]) == (1, page.stat().st_size, "restart")
    assert road.json("status")["ready"]


def test_chat_answers_with_the_fine_tuned_model(road):
    """`aitk chat` prints the fine-tuned model's answer."""
    answer = road.run("chat", "What is the capital of Japan?").stdout

    assert "Ahoy" in answer


def test_no_secret_is_in_the_workspace_or_a_log(road):
    """Neither key nor token nor account key stands in a file of the workspace or in a log."""
    secrets = [road.json("key")["key"], (road.home / "token").read_text().strip()]
    places = [road.folder / "infra", road.folder / "inference", road.home / "logs"]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert files

    leaks = [file for file in files for secret in secrets if secret.encode() in file.read_bytes()]

    assert leaks == []
    assert stat.S_IMODE((road.home / "token").stat().st_mode) == 0o600


def test_management_api_is_closed_to_strangers(road):
    """Resource Manager refuses a missing token, a foreign Host and any Origin."""
    url = road.json("local-cloud", "status")["resourceManager"] + "/subscriptions?api-version=2022-12-01"
    token = (road.home / "token").read_text().strip()

    def status(**headers: str) -> int:
        request = urllib.request.Request(url, headers={key.replace("_", "-"): value for key, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert status(Authorization=f"Bearer {token}") == 200
    assert status() == 401
    assert status(Authorization="Bearer wrong") == 401
    assert status(Authorization=f"Bearer {token}", Host="evil.example") in {400, 403, 421}
    assert status(Authorization=f"Bearer {token}", Origin="https://evil.example") == 403


def test_hand_written_config_works_without_provision(road, tmp_path):
    """The six names written by hand, with a key of the user's own beside them, are enough for Deploy."""
    other = Road(tmp_path / "by-hand", road.environment)
    other.folder.mkdir()
    other.run("init", "--sample")
    config = json.loads((road.folder / "infra/inference.config.json").read_text()) | {"MINE": 1}
    (other.folder / "infra/inference.config.json").write_text(json.dumps(config))

    deployed = other.json("deploy", "--yes")  # another workspace deployed to the endpoint
    road.json("deploy", "--yes")  # later tests' own again

    assert deployed["endpoint"] == config["ACA_APP_ENDPOINT"]
    assert json.loads((other.folder / "infra/inference.config.json").read_text())["MINE"] == 1


def test_unknown_keys_survive_provision(road):
    """What a person added to the config file is still there after Provision."""
    path = road.folder / "infra/inference.config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"NOTE": "mine"}))
    road.run("provision", "--local", "--yes")

    assert json.loads(path.read_text())["NOTE"] == "mine"


def test_a_replica_that_dies_at_start_shows_its_last_log_lines(empty_road):
    """A broken app ends Deploy with its own last words, not with a time-out."""
    empty_road.run("init")
    (empty_road.folder / "inference/start.py").write_text("raise SystemExit('the flux capacitor is empty')\n")
    empty_road.run("provision", "--local", "--yes")
    done = empty_road.run("deploy", check=False)

    assert done.returncode == 1
    assert "the flux capacitor is empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use_is_said_with_a_way_on(empty_road):
    """An endpoint whose port another program has taken is an error that names the port."""
    empty_road.run("init")
    endpoint = empty_road.json("provision", "--local", "--yes")["endpoint"]
    port = endpoint.rsplit(":", 1)[1]
    empty_road.run("local-cloud", "stop")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD_PORT, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        done = empty_road.run("deploy", check=False)
        holder.stdin.close()

    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


_HOLD_PORT = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_status_and_chat_say_that_the_local_cloud_is_stopped(empty_road):
    """Looking starts nothing; asking a stopped local cloud says how to start it."""
    empty_road.run("init")
    empty_road.run("provision", "--local", "--yes")
    empty_road.run("local-cloud", "stop")
    found = empty_road.json("status")
    asked = empty_road.run("chat", "Hello", check=False)

    assert (found["provisioned"], found["ready"]) == (True, False)
    assert asked.returncode == 1
    assert "local-cloud start" in asked.stderr
    assert not empty_road.json("local-cloud", "status")["running"]


def test_background_processes_keep_no_stream_of_the_caller(empty_road):
    """A pipe on the command's output ends with the command, although the local cloud runs on."""
    with subprocess.Popen(
        [*AITK, "local-cloud", "start"],
        cwd=empty_road.folder,
        env=empty_road.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        process.communicate(timeout=60)  # returns at end of file: nobody else holds the pipe

    assert empty_road.json("local-cloud", "status")["running"]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("infra/provision/inference.parameters.json", '{"parameters": {,}}', ["line 1, column 17"]),
        (
            "infra/provision/inference.parameters.json",
            '{"parameters": {"storageAccountName": {"value": "Not_Possible"}}}',
            ["storageAccountName", "Not_Possible"],
        ),
        ("infra/inference.config.json", "{", ["line 1, column 2"]),
    ],
)
def test_wrong_input_gets_a_sentence_and_changes_nothing(empty_road, file, content, told):
    """A file that cannot be right is named with its place, before anything starts."""
    empty_road.run("init")
    (empty_road.folder / file).write_text(content)
    done = empty_road.run("provision", "--local", "--yes", check=False)

    assert done.returncode == 1
    assert [word for word in [file, *told] if word not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert not empty_road.home.joinpath("address.json").exists()
