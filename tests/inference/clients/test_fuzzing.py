"""Schemathesis and openapi-spec-validator, pointed at the app and its own description: scripts/judge clients."""

import json
import os
import subprocess

import pytest
import torch
from tests.inference.clients.judges import Environments, run
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import serving

pytestmark = [
    pytest.mark.skipif(os.environ.get("AITK_JUDGES") != "1", reason="foreign judges: scripts/judge clients"),
    pytest.mark.timeout(900),
]
EXAMPLES = os.environ.get("AITK_REQUESTS_TRIED", "20")  # of each kind, for each route
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "ignored_auth", "unsupported_method",
)  # fmt: skip


@pytest.fixture(scope="module")
def programs():
    made = Environments()
    made.begin(("fuzzing",))
    return made.ready("fuzzing") / "bin"


@pytest.fixture(scope="module")
def app():
    torch.set_num_threads(1)
    with serving(byte_models(context_length=256), max_new_tokens=4) as served:
        yield served


def test_the_description_is_one(app, programs, tmp_path):
    """By the rules of OpenAPI 3.1."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(app.gate.inner.openapi()))

    assert "OK" in run(programs / "openapi-spec-validator", file)


def test_no_request_meets_a_fault_or_what_is_not_described(app, programs, tmp_path):
    """Bodies that fit and that do not, other methods, without the key: no 5xx, and only what the description says."""
    done = subprocess.run(
        [
            *(programs / "schemathesis", "run", f"{app.url}/openapi.json"),
            *("--exclude-path-regex", "^/(health|ready)$"),  # which a probe may ask by any method
            *("--header", f"Authorization: Bearer {app.key}", "--no-color"),
            *("--checks", ",".join(CHECKS), "--max-examples", EXAMPLES, "--seed", "1"),
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=800,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-2000:]
    assert "Tested: " in done.stdout
