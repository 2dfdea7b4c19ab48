"""What fine-tuning left, in both of its layouts and under each of its names."""

import json

import pytest

from ai_toolkit.workspace.fine_tuning import fine_tuning_of
from ai_toolkit.workspace.workspace import Workspace

CONFIG = {
    "SUBSCRIPTION_ID": "11111111-1111-1111-1111-111111111111",
    "RESOURCE_GROUP_NAME": "tuned",
    "STORAGE_ACCOUNT_NAME": "aistorageabcde",
    "FILE_SHARE_NAME": "aifileshareabcde",
    "ACA_JOB_NAME": "aiacajob",
    "COMMANDS": ["cd /mount", "python finetune.py"],
}


def left_in(folder):
    workspace = Workspace(folder)
    return fine_tuning_of(folder, workspace.finetuning_path, workspace.finetuning())


def write(folder, path, document):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(json.dumps(document))


@pytest.mark.parametrize("place", ["infra", "infra/provision"])
def test_the_config_file_is_read_in_either_folder(tmp_path, place):
    """Older templates put it beside the parameters."""
    write(tmp_path, f"{place}/finetuning.config.json", CONFIG)
    found = left_in(tmp_path)

    assert (found.resource_group, found.job) == ("tuned", "aiacajob")
    assert found.values["storageAccountName"] == ("aistorageabcde", f"{place}/finetuning.config.json")


@pytest.mark.parametrize(
    ("key", "parameter"),
    [
        ("LOG_ANALYTICS_NAME", "acaLogAnalyticsName"),
        ("ACA_LOG_ANALYTICS_NAME", "acaLogAnalyticsName"),
        ("ACA_ENVIRONMENT_NAME", "acaEnvironmentName"),
        ("ACA_ENVIRONMENT_STORAGE_NAME", "acaEnvironmentStorageName"),
        ("LOCATION", "location"),
    ],
)
def test_every_name_that_it_wrote_is_taken(tmp_path, key, parameter):
    """Its templates write different ones of them."""
    write(tmp_path, "infra/finetuning.config.json", CONFIG | {key: "its-own"})

    assert left_in(tmp_path).values[parameter] == ("its-own", "infra/finetuning.config.json")


@pytest.mark.parametrize("place", ["infra", "infra/provision"])
@pytest.mark.parametrize("name", ["acaLogAnalyticsName", "LogAnalyticsName", "acaloganalyticsname"])
def test_its_parameters_are_read_in_any_case(tmp_path, place, name):
    """Resource Manager does not look at the case of a parameter's name either."""
    path = f"{place}/finetuning.parameters.json"
    write(tmp_path, path, {"parameters": {name: {"value": "ailogabcde"}}})

    assert left_in(tmp_path).values == {"acaLogAnalyticsName": ("ailogabcde", path)}
