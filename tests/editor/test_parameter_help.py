"""What a parameter means, in a file whose `$schema` keeps editors from the bundled one."""

from pathlib import Path

import pytest

from ai_toolkit.editor.parameter_help import describe, descriptions, missing
from ai_toolkit.workspace.workspace import Workspace

TEXT = """{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
  "parameters": {
    "maximumInstanceCount": { "value": 1 },
    "acaAppName": { "value": "location {" }
  }
}
"""
HERE = Path("/workspace")
SAID = descriptions(Workspace(HERE), HERE / "infra/provision/inference.parameters.json")


def test_only_parameters_files_are_described():
    """Fine-tuning's by those that Provision takes from it."""
    shared = descriptions(Workspace(HERE), HERE / "infra/provision/finetuning.parameters.json")

    assert descriptions(Workspace(HERE), HERE / "infra/inference.config.json") == {}
    assert set(shared) < set(SAID)
    assert "Fine-tuning used it" in shared["acaEnvironmentName"]


def test_a_parameter_is_described_on_its_name():
    """By the template's own description, and nowhere else."""
    found = describe(TEXT, TEXT.index("maximumInstanceCount") + 3, SAID)

    assert found is not None
    assert "replicas" in found.text
    assert TEXT[found.span.start : found.span.end] == '"maximumInstanceCount"'
    assert describe(TEXT, TEXT.index("$schema"), SAID) is None
    assert describe(TEXT, TEXT.index('"value"'), SAID) is None
    assert describe(TEXT[:-3], TEXT.index("maximumInstanceCount"), SAID) is None


@pytest.mark.parametrize("typed", ["", '"', '"loc', "loc"])
def test_a_new_name_is_completed_by_those_that_are_missing(typed):
    """What was typed is replaced, with the closing quote that an editor adds."""
    closing = '"' if typed.startswith('"') else ""
    head = TEXT.partition('    "maximumInstanceCount"')[0] + "    "
    text = head + typed + closing + "\n" + TEXT[len(head) - 4 :]
    span, names = missing(text, len(head) + len(typed), SAID)

    assert text[span.start : span.end] == typed + closing
    assert {"location", "storageAccountName"} <= set(names)
    assert not {"maximumInstanceCount", "acaAppName", "apiKey", "createEnvironment"} & set(names)


@pytest.mark.parametrize("place", ['"value": 1', "parameters", '"location {"'])
def test_nothing_is_offered_where_no_parameter_can_stand(place):
    """Inside a value, and outside of `parameters`."""
    assert missing(TEXT, TEXT.index(place) + 1, SAID)[1] == {}
