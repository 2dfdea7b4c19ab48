"""A start that cannot succeed says why, and stays up to say it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from ai_toolkit.workspace.sample.workspace import place_sample


def test_a_missing_adapter_keeps_ready_red_with_its_reason(launch, tmp_path, put_code):
    """Never silently the base model: /ready, the page and the API all say what is missing."""
    put_code(tmp_path)
    (tmp_path / "model-cache/org/model").mkdir(parents=True)
    (tmp_path / "model-cache/org/model/config.json").write_text("{}")
    endpoint = launch(tmp_path)
    state = endpoint.wait_for("failed")

    assert "No adapter was found" in state["reason"]
    assert endpoint.get("/health")[0] == 200
    assert endpoint.get("/ready")[0] == 503
    assert b"No adapter was found" in endpoint.get("/", signed_in=True, Accept="text/html")[2]
    status, headers, body = endpoint.get("/v1/models", signed_in=True)
    assert (status, headers["Retry-After"], headers["x-should-retry"]) == (503, None, "false")
    assert b"No adapter was found" in body


def test_a_wrong_setting_is_named_on_ready(launch, tmp_path, put_code):
    """What was mistyped in settings.toml is read in the browser, not only in a log."""
    put_code(tmp_path)
    (tmp_path / "inference/settings.toml").write_text("max_bach = 2\n")
    endpoint = launch(tmp_path)

    assert "max_bach" in endpoint.wait_for("failed")["reason"]


def test_code_that_comes_with_a_model_does_not_run_unless_it_is_trusted(launch, tmp_path, put_code):
    """The model is served by what is installed here; what lies beside its weights is not even imported."""
    put_code(tmp_path)
    place_sample(tmp_path)
    [config] = tmp_path.glob("model-cache/*/*/config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModelForCausalLM": "own.Own"}}))
    config.with_name("own.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\nclass Own: pass\n")
    launch(tmp_path).wait_for("ready")

    assert not (tmp_path / "it-ran").exists()


def test_four_bits_without_their_package_are_named_on_ready(launch, sample_workspace):
    """quantization = nf4 needs bitsandbytes, which is asked for by nobody else: the reason says where to add it."""
    endpoint = launch(sample_workspace, environment={"AITK_QUANTIZATION": "nf4"})
    reason = endpoint.wait_for("failed")["reason"]

    assert "bitsandbytes" in reason
    assert "requirements.txt" in reason
    assert endpoint.get("/v1/models", signed_in=True)[0] == 503


def test_a_gpu_that_cannot_be_seen_is_an_error_where_one_is_billed(launch, sample_workspace):
    """A processor at the GPU's price would answer, slowly, and nobody would know."""
    replica = {"CONTAINER_APP_NAME": "app", "CUDA_VISIBLE_DEVICES": ""}
    reason = launch(sample_workspace, environment=replica).wait_for("failed")["reason"]

    assert "PyTorch can use no GPU here" in reason
    assert 'device = "cpu"' in reason


def test_it_ends_at_once_on_sigterm(launch, tmp_path, put_code):
    """A stop is a matter of seconds, whatever it is doing, and leaves no local copy behind."""
    put_code(tmp_path)
    endpoint = launch(tmp_path)
    endpoint.wait_for("failed")

    assert endpoint.stop() in {0, -15, 143}
    assert not list(endpoint.log.parent.glob("aitk-inference-*"))


def test_by_hand_it_listens_on_loopback_and_needs_no_key(launch, tmp_path, put_code):
    """`python3 gradio_chat.py` beside nothing: it says what it looked for."""
    put_code(tmp_path)
    endpoint = launch(tmp_path, key=None, script="gradio_chat.py", environment={"AITK_HOST": ""})
    endpoint.wait_for("failed")

    assert endpoint.get("/v1/models")[0] == 503
    assert "listening on http://127.0.0.1:" in endpoint.log.read_text()


def test_help_lists_every_setting(tmp_path, put_code):
    """Flags come from the same class as the file."""
    put_code(tmp_path)
    told = subprocess.run(
        [sys.executable, "gradio_chat.py", "--help"],
        cwd=tmp_path / "inference",
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(tmp_path / "inference")

    assert "--base-model" in told.stdout
    assert "--max-batch" in told.stdout
