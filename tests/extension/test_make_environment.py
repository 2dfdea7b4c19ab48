"""The environment of the extension's server: made whole, or with one sentence that says why not."""

import ast
import base64
import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "extension/python/make_environment.py"


def make_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text)}")
            packed.writestr(path, text)
        packed.writestr(f"{about}/RECORD", "\n".join([*lines, f"{about}/RECORD,,"]) + "\n")
    return wheel


@pytest.fixture
def parts(tmp_path):
    """A server without dependencies, one package, and the requirements that pin it."""
    index = tmp_path / "index"
    index.mkdir()
    package = make_wheel(index, "fine", {"fine.py": "ok = True\n"})
    server = make_wheel(tmp_path, "ai_toolkit_server", {"ai_toolkit/editor/main.py": "import fine\n"})
    requirements = tmp_path / "requirements.txt"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    requirements.write_text(f"fine==1.0 \\\n    --hash=sha256:{digest}\n")
    return tmp_path, server, requirements


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("PIP_", "HTTP", "SSL_"))}
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"} | more


def start(parts, name="environment", **variables):
    root, server, requirements = parts
    return subprocess.Popen(
        [sys.executable, SCRIPT, "--folder", root / name, "--wheel", server, "--requirements", requirements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(**variables),
    )


def make(parts, **variables):
    """What was said last, and the exit code."""
    with start(parts, **variables) as process:
        lines = process.stdout.read().splitlines()
    return json.loads(lines[-1]), process.returncode, [json.loads(line) for line in lines[:-1]]


def test_it_makes_an_environment_that_has_the_server_and_nothing_of_ours(parts):
    """The interpreter that it names imports the server; progress only grows."""
    said, code, steps = make(parts, PIP_FIND_LINKS=str(parts[0] / "index"), PIP_USER="1", PYTHONPATH="/nowhere")

    assert code == 0
    subprocess.run([said["python"], "-I", "-c", "import ai_toolkit.editor.main"], check=True)
    percentages = [step["percentage"] for step in steps]
    assert percentages == sorted(percentages)
    assert any(step["step"] == "Fetching fine (1 of 1)" for step in steps)


def test_a_whole_one_is_used_and_a_half_made_one_is_repaired(parts):
    """The mark decides: with it nothing is done, without it everything is made anew."""
    links = {"PIP_FIND_LINKS": str(parts[0] / "index")}
    folder = parts[0] / "environment"
    folder.mkdir()
    (folder / "half").write_text("made")
    assert make(parts, **links)[1] == 0
    assert not (folder / "half").exists()
    (folder / "mine").write_text("stays")

    said, code, steps = make(parts, **links)
    assert (code, steps) == (0, [])
    assert (folder / "mine").exists()
    assert said["python"].startswith(str(folder))


def test_another_content_under_a_pinned_name_is_refused(parts):
    """A package whose hash differs is not installed, and nothing half made stays."""
    make_wheel(parts[0] / "index", "fine", {"fine.py": "ok = 'not what was tested'\n"})
    said, code, _ = make(parts, PIP_FIND_LINKS=str(parts[0] / "index"))

    assert (code, said["failed"]) == (1, "hash")
    assert not (parts[0] / "environment").exists()


@pytest.mark.parametrize(
    ("variables", "failed", "words", "setting"),
    [
        (
            {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
            "network",
            "cannot be reached",
            "http.proxy",
        ),
        (
            {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "https://index.invalid/simple", "PIP_PROXY": "http://127.0.0.1:9"},
            "proxy",
            "http.proxy",
            "http.proxy",
        ),
        ({}, "package", "no fitting package", None),
    ],
)
def test_what_stands_in_the_way_is_named(parts, variables, failed, words, setting):
    """No network, a proxy that refuses, an index without the package: each in its own sentence, with its setting."""
    said, code, _ = make(parts, PIP_RETRIES="0", **variables)

    assert (code, said["failed"], said["setting"]) == (1, failed, setting)
    assert words in said["message"]


def test_an_older_python_can_read_the_program():
    """Or it could not say that it is too old."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


@pytest.fixture
def distrusted_index(tmp_path):
    """An https server whose certificate nobody knows."""
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *subject],
        check=True,
        capture_output=True,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_own_certificate_authority_is_pointed_at(parts, distrusted_index):
    """A certificate that is not trusted names the setting that helps."""
    said, code, _ = make(parts, PIP_NO_INDEX="0", PIP_INDEX_URL=distrusted_index)

    assert (code, said["failed"], said["setting"]) == (1, "certificate", "aiToolkit.server.certificates")
    assert "aiToolkit.server.certificates" in said["message"]


def test_a_named_authority_goes_before_the_environments_and_must_be_one(parts, distrusted_index, tmp_path):
    """The setting is what a person chose; without certificates in its file the file is what is wrong."""
    (tmp_path / "notes.pem").write_text("not a certificate")
    index = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": distrusted_index, "REQUESTS_CA_BUNDLE": str(tmp_path / "other.pem")}
    for named in ("notes.pem", "missing.pem"):
        said, _, _ = make(parts, **index, PIP_CERT=str(tmp_path / named))
        assert (said["failed"], said["setting"]) == ("authority", "aiToolkit.server.certificates")
    said, _, _ = make(parts, **index, PIP_CERT=str(tmp_path / "certificate.pem"))

    assert said["failed"] == "package"  # trusted now; the index has nothing


def test_it_ends_and_cleans_up_when_its_input_closes(parts):
    """Cancel, or an editor that is gone."""
    process = start(parts, PIP_FIND_LINKS=str(parts[0] / "index"))
    assert "step" in json.loads(process.stdout.readline())
    process.stdin.close()

    assert process.wait(20) == 130
    process.stdout.close()
    assert not (parts[0] / "environment").exists()


def test_two_windows_at_once_make_one_environment(parts):
    """The second waits for the first, and uses what it made."""
    links = {"PIP_FIND_LINKS": str(parts[0] / "index")}
    first, second = start(parts, **links), start(parts, **links)
    with first, second:
        said = [json.loads(one.stdout.read().splitlines()[-1]) for one in (first, second)]

    assert said[0] == said[1]
    assert "python" in said[0]


def test_other_versions_go_when_nobody_used_them_for_a_week(parts):
    """An update replaces: the old environment stays only while a window may still run from it."""
    old, used = parts[0] / "old", parts[0] / "used"
    for folder in (old, used):
        folder.mkdir()
        (folder / "complete").write_text("x")
    os.utime(old / "complete", (0, 0))
    assert make(parts, PIP_FIND_LINKS=str(parts[0] / "index"))[1] == 0

    assert not old.exists()
    assert used.exists()
