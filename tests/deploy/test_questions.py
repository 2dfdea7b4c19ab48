"""What a deploy asks: here, whether a large base model is sent from this computer."""

import pytest
from tests.support.azure_files import AzureFiles, put
from tests.support.provisioning import Person

from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.questions import choose_base_models

WEIGHTS = "model-cache/org/name/model.safetensors"


@pytest.fixture
def workspace_with_base_model(workspace):
    """Its weights are a byte more than 1 GiB, and take no room on the disk."""
    put(workspace, **{WEIGHTS: "", "model-cache/org/name/config.json": "{}", "model-cache/org/small/config.json": "{}"})
    with (workspace / WEIGHTS).open("wb") as stream:
        stream.truncate((1 << 30) + 1)
    return workspace


async def test_large_base_model_is_asked_for_once(workspace_with_base_model, tmp_path):
    """With its size; left to the replica none of its files goes, and the small model is not asked for."""
    files = local_files(workspace_with_base_model)
    azure_files = AzureFiles(tmp_path / "shares")
    async with azure_files.opened() as share:
        person = Person("download")
        left_to_the_replica = await choose_base_models(person, share, files, None)
        sent = await choose_base_models(Person("upload"), share, files, None)
        answered = await choose_base_models(Person(), share, files, "download")
        put(azure_files.folder, **{"model-cache/org/name/config.json": "{}"})
        there = await choose_base_models(Person(), share, files, None)

    assert [question.option for question in person.asked] == ["--base-models upload|download"]
    assert "model-cache/org/name has 1.1 GB" in person.asked[0].placeholder
    assert set(files) - set(left_to_the_replica) == {WEIGHTS, "model-cache/org/name/config.json"}
    assert answered.keys() == left_to_the_replica.keys()
    assert sent == there == files
