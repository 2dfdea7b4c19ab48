"""What the files are told while they are edited of a model that does not fit its GPU."""

import json

import pytest

from ai_toolkit.editor.gpu_findings import findings
from ai_toolkit.workspace.create import create_project
from ai_toolkit.workspace.diagnostics import Weight
from ai_toolkit.workspace.workspace import Workspace


class Silent:
    def announce(self, _message):
        pass


@pytest.fixture
async def workspace(tmp_path):
    await create_project(tmp_path, Silent(), sample=False)
    return Workspace(tmp_path)


def put_model(folder, gigabytes):
    """A base model whose weights are said to be that large: only the file's header is there."""
    base = folder / "model-cache" / "org" / "model"
    base.mkdir(parents=True)
    (base / "config.json").write_text(json.dumps({"num_hidden_layers": 32, "num_attention_heads": 32, "head_dim": 128}))
    size = int(gigabytes * 1e9)
    header = json.dumps({"w": {"dtype": "F16", "shape": [size // 2, 1], "data_offsets": [0, size]}}).encode()
    (base / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


T4 = "Consumption-GPU-NC8as-T4"


def test_a_model_that_does_not_fit_its_gpu_is_told_where_the_gpu_is_named(workspace):
    """With the one that it fits as a quick fix, and the settings that would do."""
    put_model(workspace.folder, 20)
    text = json.dumps({"parameters": {"workloadProfileType": {"value": T4}}})
    (found,) = findings(workspace, workspace.provision_folder / "inference.parameters.json", text)

    assert "org/model does not fit Consumption-GPU-NC8as-T4: 20.0 GB of weights" in found.message
    assert 'quantization = "nf4"' in found.message
    assert found.weight is Weight.WARNING
    assert found.fix.text == '"Consumption-GPU-NC24-A100"'
    assert text[found.span.start : found.span.end] == f'"{T4}"'


def test_the_templates_own_gpu_counts_where_none_is_named(workspace):
    """At the parameters, because there is no line for it."""
    put_model(workspace.folder, 200)
    text = json.dumps({"parameters": {}})
    (found,) = findings(workspace, workspace.provision_folder / "inference.parameters.json", text)

    assert "does not fit Consumption-GPU-NC24-A100" in found.message
    assert found.fix is None


def test_settings_are_judged_as_they_are_edited(workspace):
    """Four bits make it fit, before the file is saved."""
    put_model(workspace.folder, 20)
    (workspace.provision_folder / "inference.parameters.json").write_text(
        json.dumps({"parameters": {"workloadProfileType": {"value": T4}}})
    )
    path = workspace.folder / "inference" / "settings.toml"
    whole = findings(workspace, path, 'quantization = "none"\n')
    small = findings(workspace, path, 'quantization = "nf4"\n')

    assert ["does not fit" in one.message for one in whole] == [True]
    assert small == []


def test_a_model_that_fits_is_not_spoken_of(workspace):
    """Nor one that is only on the share, nor a GPU whose memory is not known."""
    text = json.dumps({"parameters": {"workloadProfileType": {"value": T4}}})
    path = workspace.provision_folder / "inference.parameters.json"
    assert findings(workspace, path, text) == []

    put_model(workspace.folder, 2)
    assert findings(workspace, path, text) == []
    assert findings(workspace, path, json.dumps({"parameters": {"workloadProfileType": {"value": "NC24-A100"}}})) == []


@pytest.mark.parametrize(
    ("subscription", "settings", "said"),
    [
        ("11111111-1111-1111-1111-111111111111", 'quantization = "int8"', True),
        ("11111111-1111-1111-1111-111111111111", 'quantization = "int8"\ndevice = "cpu"', False),
        ("00000000-0000-0000-0000-000000000000", 'quantization = "int8"', False),
    ],
)
def test_eight_bits_on_azures_gpu_are_told(workspace, subscription, settings, said):
    """There "auto" means the GPU, which has none; this computer's processor has them."""
    names = ("RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    config = {"SUBSCRIPTION_ID": subscription, **dict.fromkeys(names, "name"), "ACA_APP_ENDPOINT": "https://app.test"}
    workspace.target_path.write_text(json.dumps(config))
    found = findings(workspace, workspace.folder / "inference" / "settings.toml", settings + "\n")

    assert ["has a GPU: write nf4" in one.message for one in found] == [True] * said
