"""Data that some tests need and this repository lacks: which variable names its folder, and where it comes from."""

import os
from pathlib import Path

import pytest

SOURCES = {
    "AZURE_SCHEMAS": "the descriptions that Azure publishes of templates (json-schema/, from"
    " github.com/Azure/azure-resource-manager-schemas) and of resources (resource-types/, from"
    " github.com/Azure/bicep-types-az)",
    "AZURE_RECORDINGS": "HTTP exchanges with Azure, one JSON object a line, as public test suites have recorded them"
    " (github.com/Azure/azure-sdk-for-python and others)",
    "AZURE_ENGINE": "templates and what the Bicep CLI makes of them (`bicep snapshot`, github.com/Azure/bicep)",
}


def needs(variable: str) -> pytest.MarkDecorator:
    """Marks a test that reads the folder that `variable` names.

    Without it the test is skipped, and says where the data comes from; where AITK_MISSING_DATA is `fail`, it fails.
    """
    assert variable in SOURCES
    return pytest.mark.needs_data(variable)


def is_there(variable: str) -> bool:
    """Whether the variable names a folder that exists."""
    return Path(os.environ.get(variable) or "no folder").is_dir()


def folder(variable: str) -> Path:
    """The folder; only for a test that `needs` it."""
    return Path(os.environ[variable])


def decide(item: pytest.Item) -> None:
    """Skips or fails a test whose data is not there."""
    for mark in item.iter_markers("needs_data"):
        [variable] = mark.args
        if is_there(variable):
            continue
        said = f"{variable} names no folder with {SOURCES[variable]}."
        if os.environ.get("AITK_MISSING_DATA") == "fail":
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
