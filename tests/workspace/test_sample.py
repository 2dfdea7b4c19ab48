"""The sample's two adapters: small, different, and in a workspace that knows which one answers."""

import json
import tomllib

import pytest

from ai_toolkit.workspace.sample import workspace as sample
from ai_toolkit.workspace.template import add_to_workspace

MOST_BYTES = 2_000_000


def test_both_adapters_are_small_and_portable():
    """At most 2 MB together; they name their base by its id, and no path of the computer that trained them."""
    folders = (sample.ADAPTER_FOLDER, sample.SECOND_ADAPTER_FOLDER)
    configs = [json.loads((folder / "adapter_config.json").read_text()) for folder in folders]

    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) <= MOST_BYTES
    assert {each["base_model_name_or_path"] for each in configs} == {sample.BASE_MODEL_ID}
    assert configs[0]["r"] != configs[1]["r"]


@pytest.mark.parametrize(
    ("written", "default"),
    [('default_adapter = ""\n', "qlora/qlora/gpu_model/adapter"), ('default_adapter = "x"\n', "x")],
)
def test_a_second_adapter_leaves_the_default_as_it_is(tmp_path, written, default):
    """The sample's own answers by default; what somebody named stays."""
    add_to_workspace(tmp_path)
    settings = tmp_path / "inference/settings.toml"
    settings.write_text(settings.read_text().replace('default_adapter = ""\n', written))
    sample.place_second_adapter(tmp_path)

    assert tomllib.loads(settings.read_text())["default_adapter"] == default
    assert (tmp_path / "models/butler/adapter_model.safetensors").is_file()
