"""What is said of a workspace's inference, as a terminal and as a program read it."""

import pytest

from ai_toolkit.deploy.deployed import ServedAdapter
from ai_toolkit.deploy.status import Live, Loaded, State, Status

SLOW = "Served one request at a time: falcon has an attention of its own."


def live(**changes):
    facts = {
        "revision": "app--1",
        "replicas": ("app--1-a",),
        "failure": "",
        "deployed": "2026-01-01",
        "commit": "abc",
        "newer": (),
        "has_files": True,
        "on_share": None,
        "loaded": Loaded(True, "ready", "org/base", (ServedAdapter("mine", "abcdef0123456789"),), (SLOW,)),
    }
    return Live(**{**facts, **changes})


def status(live):
    return Status(State.LIVE, "it runs", True, "http://127.0.0.1:1", live)


def test_what_serves_is_told_with_its_warnings():
    """The base, each adapter, and what the app itself says is not as it should be."""
    lines = status(live()).in_words().splitlines()

    assert lines[0] == "http://127.0.0.1:1 on this computer: ready"
    assert "base model: org/base" in lines
    assert f"warning: {SLOW}" in lines
    assert "adapter: mine (SHA-256 abcdef012345…)" in lines
    told = status(live()).as_json()["live"]
    assert (told["warnings"], told["adapters"]) == ([SLOW], [{"name": "mine", "sha256": "abcdef0123456789"}])


@pytest.mark.parametrize(
    ("gpu", "said"),
    [(None, "runs on: cpu, float32"), ("NVIDIA A100 80GB PCIe", "runs on: NVIDIA A100 80GB PCIe (cpu, float32)")],
)
def test_what_the_model_runs_on_is_told(gpu, said):
    """Device, numbers' type and GPU, so that nobody pays for one that is not used."""
    told = status(live(loaded=Loaded(True, "ready", "org/base", device="cpu", dtype="float32", gpu=gpu)))

    assert said in told.in_words().splitlines()
    assert told.as_json()["live"]["device"] == "cpu"
    assert told.as_json()["live"]["gpu"] == gpu


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loaded": None, "replicas": ()}, "asleep, no GPU is billed"),
        ({"loaded": None, "replicas": (), "failure": "the image cannot be had"}, "the image cannot be had"),
        ({"loaded": Loaded(False, "no adapter was found")}, "no adapter was found"),
        ({"loaded": None}, "a replica runs"),
        ({"loaded": None, "starting": "starting: pulling the image for 40 s"}, "pulling the image for 40 s"),
    ],
)
def test_what_does_not_serve_is_told_as_what_it_is(changes, said):
    """Asleep, failed, loading, or running without having been asked."""
    told = status(live(**changes))

    assert told.in_words().splitlines()[0].endswith(said) or said in told.in_words().splitlines()[0]
    assert not told.ready
    assert said in told.as_json()["live"]["detail"]


def test_nothing_provisioned_is_one_sentence():
    """Neither an endpoint nor a replica is spoken of."""
    nothing = Status(State.NOT_PROVISIONED, "Nothing is provisioned yet.")

    assert nothing.in_words() == "Nothing is provisioned yet."
    assert nothing.as_json() == {"provisioned": False, "local": False, "endpoint": None, "ready": False, "live": None}
