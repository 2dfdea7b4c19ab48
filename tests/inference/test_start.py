import hashlib
import json
import shutil
import time
import urllib.request

import psutil
import pytest
from tests.support.inference.app import INFERENCE

# Stands for the app, so that these tests need no model: says where it runs and what it was given.
APP = """
import os, socket
listener = socket.socket(fileno=int(os.environ["AITK_SOCKET_FD"]))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    body = (os.getcwd() + " " + os.environ["AITK_SHARE"] + " VERSION").encode()
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    connection.close()
"""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_manifest(workspace, files):
    entries = {name: {"size": len(content), "sha256": sha256(content)} for name, content in files.items()}
    (workspace / ".aitk").mkdir(exist_ok=True)
    body = {
        "version": 1,
        "deployed": "2026-01-01T00:00:00Z",
        "tool": "test",
        "commit": None,
        "files": entries,
    }
    (workspace / ".aitk/manifest.json").write_text(json.dumps(body))


@pytest.fixture
def workspace_with_app(tmp_path, put_code):
    def make(version):
        put_code(tmp_path)
        (tmp_path / "inference/requirements.txt").write_text("# nothing\n")
        (tmp_path / "inference/gradio_chat.py").write_text(APP.replace("VERSION", version))
        return tmp_path

    return make


def deployed_files(workspace):
    found = sorted(file for file in (workspace / "inference").rglob("*") if file.is_file())
    return {file.relative_to(workspace).as_posix(): file.read_bytes() for file in found}


def body_of_app(endpoint):
    """What the stand-in for the app answers, once it has taken over."""
    wait_until_listening(endpoint)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        body = endpoint.get("/where", signed_in=True)[2].decode()
        if "{" not in body:
            return body
    raise AssertionError(endpoint.log.read_text())


def wait_until_listening(endpoint):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return endpoint.get("/health")
        except OSError:
            continue
    raise AssertionError(endpoint.log.read_text())


def test_health_is_answered_within_a_second(launch, workspace_with_app):
    """The platform sees a healthy process at once, whatever is being prepared."""
    endpoint = launch(workspace_with_app("one"))
    status, _, _ = wait_until_listening(endpoint)
    used = psutil.Process(endpoint.process.pid).cpu_times()

    assert status == 200
    # Its own time, not the clock's: the computer may be busy with other tests.
    assert used.user + used.system < 1


def test_the_app_runs_in_a_local_copy_and_inherits_the_socket(launch, workspace_with_app):
    """The share is never executed from; nothing is written into it either."""
    workspace = workspace_with_app("one")
    endpoint = launch(workspace)

    where, share, version = body_of_app(endpoint).split()
    assert not where.startswith(str(workspace))
    assert (share, version) == (str(workspace), "one")
    assert not list(workspace.rglob("__pycache__"))


def test_a_user_without_a_home_gets_one(launch, workspace_with_app):
    """As replicas with a GPU run: what libraries keep below HOME finds room, and a name is found without passwd."""
    workspace = workspace_with_app("one")
    told = 'os.environ["HOME"] + " " + getpass.getuser() + " " + str(os.access(os.path.expanduser("~"), os.W_OK))'
    app = APP.replace("import os", "import getpass, os").replace('os.environ["AITK_SHARE"]', told)
    (workspace / "inference/gradio_chat.py").write_text(app.replace("VERSION", "one"))
    endpoint = launch(workspace, environment={"HOME": "/nowhere"})

    where, own, user, is_writable, _ = body_of_app(endpoint).split()
    assert own != "/nowhere"
    assert where.rpartition("/")[0] == own.rpartition("/")[0]  # in the copy, which is removed at the end
    assert (user, is_writable) == ("app", "True")


def test_a_file_that_is_being_replaced_comes_from_what_was_deployed(launch, workspace_with_app):
    """In the middle of a deploy the replica gets the old version whole, never half of the new one."""
    workspace = workspace_with_app("old")
    files = deployed_files(workspace)
    write_manifest(workspace, files)
    old = files["inference/gradio_chat.py"]
    replaced = workspace / ".aitk/replaced"
    replaced.mkdir()
    (replaced / sha256(old)).write_bytes(old)
    (workspace / "inference/gradio_chat.py").write_text(APP.replace("VERSION", "new")[:100])
    (workspace / "inference/not_in_the_manifest.py").write_text("")
    endpoint = launch(workspace)

    where, _, version = body_of_app(endpoint).split()
    assert version == "old"
    assert "not_in_the_manifest.py" not in where


def test_a_file_that_is_nowhere_is_a_named_failure(launch, workspace_with_app):
    """What was deployed and cannot be had keeps /ready red with the file's name; the process stays up."""
    workspace = workspace_with_app("one")
    write_manifest(workspace, deployed_files(workspace))
    (workspace / "inference/chat_page.py").unlink()
    endpoint = launch(workspace)

    state = endpoint.wait_for("failed")
    assert "inference/chat_page.py" in state["reason"]
    assert "Deploy again" in state["reason"]
    assert endpoint.get("/health")[0] == 200


def test_with_nothing_deployed_it_says_so(launch, workspace_with_app):
    """An empty share is not a failure: /health is 200, /ready says that nothing is deployed."""
    workspace = workspace_with_app("one")
    (workspace / "inference/gradio_chat.py").unlink()
    endpoint = launch(workspace)

    state = endpoint.wait_for("nothing deployed")
    assert state["ready"] is False
    assert endpoint.get("/v1/models")[0] == 401
    assert endpoint.get("/v1/models", signed_in=True)[0] == 503
    assert endpoint.get("/ready")[1]["Retry-After"]


def test_people_can_sign_in_while_it_starts(launch, workspace_with_app):
    """A login page comes with 401; with the key, a waiting page that asks again by itself comes with 503."""
    workspace = workspace_with_app("one")
    write_manifest(workspace, deployed_files(workspace))
    (workspace / "inference/chat_page.py").unlink()
    endpoint = launch(workspace)
    endpoint.wait_for("failed")
    login = endpoint.get("/", Accept="text/html")
    session = urllib.request.Request(
        endpoint.url + "/session",
        json.dumps({"key": endpoint.key}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(session, timeout=10) as opened:
        cookie = opened.headers["Set-Cookie"].partition(";")[0]
    waiting = endpoint.get("/", Accept="text/html", Cookie=cookie)

    assert login[0] == 401
    assert b'type="password"' in login[2]
    assert waiting[0] == 503
    assert b'fetch("ready"' in waiting[2]
    assert waiting[1]["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors" in waiting[1]["Content-Security-Policy"]
    assert b"inference/chat_page.py" in waiting[2]


OLD_PACKAGES = """
class PackagesError(Exception):
    pass


def prepare_packages(code, share, target, report):
    report("Looking for packages.")
    if (share / "refuse").exists():
        raise PackagesError("The lock is of other requirements.")
    if (share / "break").exists():
        raise TypeError("nobody foresaw it at /secret/path")
    return target
"""


@pytest.fixture
def workspace_of_0_1_0(tmp_path):
    """Its modules lie flat in inference/, beside start.py, and its packages.py takes no warnings."""
    folder = tmp_path / "inference"
    folder.mkdir()
    shutil.copyfile(INFERENCE / "start.py", folder / "start.py")
    (folder / "packages.py").write_text(OLD_PACKAGES)
    for name in ("access", "pages"):
        (folder / f"{name}.py").write_text("")
    (folder / "requirements.txt").write_text("# nothing\n")
    (folder / "gradio_chat.py").write_text(APP.replace("VERSION", "flat"))
    return tmp_path


def test_a_workspace_of_the_first_version_starts(launch, workspace_of_0_1_0):
    """The flat modules of 0.1.0 are found where they are, and the app takes over."""
    endpoint = launch(workspace_of_0_1_0)

    assert body_of_app(endpoint).split()[2] == "flat"
    assert "Looking for packages." in endpoint.log.read_text()


@pytest.mark.parametrize(
    ("file", "told"), [("refuse", "lock is of other requirements"), ("break", "log says why under error")]
)
def test_what_fails_in_a_workspace_of_the_first_version_is_told(launch, workspace_of_0_1_0, file, told):
    """In words on /ready, whatever it is; the process stays up, and refuses in OpenAI's shape."""
    (workspace_of_0_1_0 / file).write_text("")
    endpoint = launch(workspace_of_0_1_0)

    reason = endpoint.wait_for("failed")["reason"]
    assert told in reason
    assert "at /secret" not in reason  # which is the exception's text, for the log
    assert ("at /secret" in endpoint.log.read_text()) == (file == "break")
    assert endpoint.get("/health")[0] == 200
    for asked in (endpoint.get("/v1/models"), endpoint.ask("PROPFIND", "/v1/models")):
        assert json.loads(asked[2])["error"]["message"]
