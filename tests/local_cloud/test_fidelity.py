"""The page of what is emulated names what is kept, and the versions whose types were read."""

import re
from pathlib import Path

import pytest
from tests.support.local_cloud.engine import needs_engine, read

from ai_toolkit.local_cloud.container_apps.app_resource import ContainerApps
from ai_toolkit.local_cloud.container_apps.bodies import APP_TYPES, APP_VERSIONS, WORKSPACE_TYPES, WORKSPACE_VERSIONS
from ai_toolkit.local_cloud.container_apps.environment_resource import ManagedEnvironments
from ai_toolkit.local_cloud.container_apps.job_resource import Jobs
from ai_toolkit.local_cloud.container_apps.log_workspace_resource import Workspaces
from ai_toolkit.local_cloud.core.shapes import InVersions, Kept, ListOf, MapOf
from ai_toolkit.local_cloud.files.account_resource import FileServices, FileShares, StorageAccounts
from ai_toolkit.local_cloud.files.bodies import STORAGE_TYPES, STORAGE_VERSIONS

PAGE = (Path(__file__).parents[2] / "server" / "ai_toolkit" / "local_cloud" / "FIDELITY.md").read_text()
TYPES = (ContainerApps, ManagedEnvironments, Jobs, Workspaces, StorageAccounts, FileServices, FileShares)


def kept(shape, path=""):
    """The paths of a table's properties that are kept."""
    if isinstance(shape, InVersions):
        yield from kept(shape.inner, path)
    elif isinstance(shape, Kept):
        yield path
    elif isinstance(shape, ListOf | MapOf):
        yield from kept(shape.item, path)
    elif isinstance(shape, dict):
        for name, inner in shape.items():
            yield from kept(inner, f"{path}.{name.rstrip('*=')}".lstrip("."))


@pytest.mark.parametrize("resource_type", TYPES)
def test_each_property_that_is_kept_is_named(resource_type):
    """On the line of its type, by its path."""
    kind = resource_type.name.rpartition("/")[2]
    lines = [line for line in PAGE.splitlines() if line.startswith(f"- {kind} `")]
    named = {path for line in lines for path in re.findall(r"`([^`]+)`", line)}

    assert set(kept(resource_type.body)) == named


@pytest.mark.parametrize("typed", [APP_TYPES, STORAGE_TYPES, WORKSPACE_TYPES])
def test_the_versions_whose_types_were_read_are_named(typed):
    """All of one provider in one row."""
    assert f"| {', '.join(typed.versions)} |" in PAGE


@needs_engine
def test_every_version_of_azures_is_known():
    """As the compiler has types for them."""
    published = read("api-versions.json")

    assert frozenset(published["Microsoft.App/containerApps"]) == APP_VERSIONS
    assert frozenset(published["Microsoft.App/jobs"]) == Jobs.api_versions
    assert frozenset(published["Microsoft.Storage/storageAccounts"]) == STORAGE_VERSIONS
    assert frozenset(published["Microsoft.OperationalInsights/workspaces"]) == WORKSPACE_VERSIONS
