"""What fine-tuning left on the share is seen, though no deploy put it there."""

from tests.support.azure_files import AzureFiles, put

from ai_toolkit.deploy.models_on_share import models_on_share


async def test_adapters_and_base_models_are_found_at_any_depth(tmp_path):
    """A folder with its mark is one; what lies inside it is not looked at, nor anything else on the share."""
    azure_files = AzureFiles(tmp_path / "shares")
    put(
        azure_files.folder,
        **{
            "models/qlora/qlora/gpu_model/adapter/adapter_config.json": "{}",
            "models/qlora/qlora/gpu_model/adapter/old/adapter_config.json": "{}",
            "models/notes/readme.md": "",
            "model-cache/org/name/config.json": "{}",
            "inference/adapter_config.json": "{}",
        },
    )
    async with azure_files.opened() as share:
        found = await models_on_share(share)

    assert found == {"models/qlora/qlora/gpu_model/adapter/adapter_config.json", "model-cache/org/name/config.json"}


async def test_a_share_without_models_has_none(tmp_path):
    """The folders need not exist."""
    async with AzureFiles(tmp_path / "shares").opened() as share:
        assert await models_on_share(share) == frozenset()
