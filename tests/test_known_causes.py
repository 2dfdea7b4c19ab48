"""What lies behind a failure is told where it is known, and not guessed where it is not."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from ai_toolkit.errors import DeploymentFailed, ReplicaFailed, RevisionFailed
from ai_toolkit.known_causes import cause_in_log, cause_of_code


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ModuleNotFoundError: No module named 'einops'", "einops"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.", "GPU's memory"),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error.", "gated"),
        ("RuntimeError: size mismatch for base_model.model.lm_head.lora_A.weight", "another base model"),
        ("/bin/bash: line 7: cd: /mount/infer: No such file or directory", "/mount/infer"),
        ("python3: can't open file '/mount/inference/run.py': [Errno 2] No such file or directory", "run.py"),
        ('Failed to pull image "docker.io/x/y": manifest unknown', "image"),
        ("No adapter was found below models/.", "adapter"),
        ("This computer's disk is full (No space left on device): 0.0 MB are free in /home.", "Without room"),
        (
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
            "too old for the CUDA",
        ),
        (
            "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver",
            "too old for the CUDA",
        ),
        ("RuntimeError: Found no NVIDIA driver on your system.", "no GPU"),
        ("WorkLoad Profile Full", "no free GPU"),
        ("Deployment Progress Deadline Exceeded. 0/1 replicas ready.", "gave up waiting"),
        (
            'MountVolume.SetUp failed for volume "share" : mount error(13): Permission denied',
            "may not mount the file share",
        ),
        (
            'MountVolume.SetUp failed for volume "share" : mount failed: mount error(2): No such file or directory',
            "none of that name",
        ),
        ("ERROR: [Errno 13] Permission denied: '/opt/conda/lib/python3.11/site-packages/peft'", "not root"),
        ("mkdir: cannot create directory '/root/.cache': Permission denied", "not root"),
        ("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)", "not root"),
        ("KeyError: 'getpwuid(): uid not found: 64198'", "user's name"),
        ("OSError: No username set in the environment", "user's name"),
        ("OSError: [Errno 30] Read-only file system: '/mount/out'", "read-only"),
        ("OSError: [Errno 28] No space left on device", "full"),
    ],
)
def test_telling_log_line_is_understood(line, told):
    """The usual failures of a start are put into words, with what to do."""
    cause = cause_in_log(["Traceback (most recent call last):", line, "", "exit 1"])

    assert cause is not None
    assert told in cause.says
    assert cause.advice


def test_log_that_tells_nothing_is_not_explained():
    """No cause is better than a wrong one."""
    assert cause_in_log(["starting", "Segmentation fault"]) is None


def test_azures_codes_are_known_in_any_case():
    """Azure's own codes for quota, policy and names."""
    assert "quota" in cause_of_code("maxregionalquotaexceeded").says
    assert cause_of_code("SomethingNew") is None


def test_errors_carry_the_cause():
    """Deploy and Provision end in the cause and the way on, not in a code alone."""
    failed = DeploymentFailed("d", "RequestDisallowedByPolicy", "no")
    full = DeploymentFailed("d", "ContainerAppOperationError", "Revision failed. Error details: WorkLoad Profile Full")
    revision = RevisionFailed("app--1", "Failed", "Deployment Progress Deadline Exceeded. 0/1 replicas ready.")
    replica = ReplicaFailed("its process ended.", ["ModuleNotFoundError: No module named 'einops'"])

    assert "policy" in failed.message
    assert "no free GPU" in full.message
    assert "gave up waiting" in revision.message
    assert "aitk logs" in revision.advice
    assert "requirements.txt" in replica.advice


def test_advice_names_only_settings_that_exist():
    """Whatever looks like a setting or a parameter is one: of settings.toml, or of the template."""
    root = Path(__file__).parents[1]
    causes = tomllib.loads((root / "server/ai_toolkit/causes.toml").read_text())["cause"]
    known = {*tomllib.loads((root / "inference/settings.toml").read_text())}
    template = json.loads((root / "infra/provision/inference.json").read_text())
    known |= {*template["parameters"], "base_model_name_or_path"}
    for cause in causes:
        words = f"{cause['says']} {cause['advice']}"
        files = re.compile(r"[\w./<>-]*\.(?:json|toml|txt|py|bicep)\b|\bmodel-cache/\S+")
        named = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\b(\w+) = ", files.sub("", words)))
        named |= set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", files.sub("", words)))
        named |= set(re.findall(r"\b[a-z]+(?:[A-Z][a-z]+)+\b", files.sub("", words)))

        assert {each for each in named if each} <= known, cause
