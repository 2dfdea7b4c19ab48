"""Which tests `scripts/test --quick` leaves out, and which files are begun first: both are decided here alone."""

from collections.abc import Iterable

import pytest

# Real browsers, real editors, whole journeys (provisioned, deployed and asked, as a person does it by `aitk`), and
# installations of packages. A file, or one test of it.
WHOLE = (
    "tests/e2e/test_vscode.py",
    "tests/extension/test_make_environment.py",
    "tests/inference/test_lock.py::test_the_app_starts_on_what_the_lock_installs",
    "tests/e2e/test_readme.py",
    "tests/e2e/test_journey.py",
    "tests/e2e/test_terminal.py",
    "tests/e2e/test_interrupted.py",
    "tests/e2e/test_full_disk.py",
    "tests/e2e/test_earlier_version.py",
    "tests/e2e/test_windows.py::test_the_whole_road_on_azure",
    "tests/inference/test_chat_page.py",
    "tests/inference/test_cold_start.py",
    "tests/inference/test_page_accessibility.py",
    "tests/e2e/test_idle_page.py",
    "tests/e2e/test_editor_journey.py",
    "tests/e2e/test_adapter_deploy.py",
    "tests/e2e/test_gate.py",
    "tests/e2e/test_gate_roads.py",
    "tests/e2e/test_editor_evaluation.py",
    "tests/e2e/test_open_endpoint.py",
    "tests/e2e/test_deploy_interrupted.py",
    "tests/e2e/test_deploy_options.py",
    "tests/e2e/test_new_revision.py",
    "tests/e2e/test_several_workspaces.py",
    "tests/e2e/test_every_replica.py",
    "tests/local_cloud/test_replica_environment.py",
    "tests/local_cloud/test_judges.py",
    "tests/inference/clients/test_clients.py",
    "tests/inference/clients/test_fuzzing.py",
)

# The longest files, the longest first. Files are shared out as the workers come to them: a long one that is begun last
# leaves the other worker with nothing to do. The durations at the end of a run tell when this is no longer so.
LONGEST = (
    "tests/e2e/test_vscode.py",
    "tests/extension/test_make_environment.py",
    "tests/inference/test_lock.py",
    "tests/inference/clients/test_clients.py",
    "tests/inference/test_structured_output.py",
    "tests/e2e/test_readme.py",
    "tests/e2e/test_journey.py",
    "tests/inference/test_chat_page.py",
    "tests/inference/test_cold_start.py",
    "tests/inference/test_page_accessibility.py",
    "tests/e2e/test_idle_page.py",
    "tests/e2e/test_gate.py",
    "tests/e2e/test_gate_roads.py",
    "tests/e2e/test_editor_evaluation.py",
    "tests/e2e/test_deploy_interrupted.py",
    "tests/inference/test_api.py",
    "tests/inference/test_adapters_at_run_time.py",
    "tests/inference/test_packages.py",
    "tests/e2e/test_provision_run.py",
    "tests/e2e/test_editor_journey.py",
    "tests/e2e/test_adapter_deploy.py",
    "tests/e2e/test_deploy_options.py",
    "tests/deploy/test_killed.py",
    "tests/local_cloud/test_replicas.py",
    "tests/e2e/test_open_endpoint.py",
    "tests/e2e/test_sign_in.py",
    "tests/e2e/test_new_revision.py",
    "tests/local_cloud/test_replica_environment.py",
)


def mark(items: Iterable[pytest.Item]) -> None:
    """Gives the tests of `WHOLE` their marker."""
    for item in items:
        if _file(item) in WHOLE or item.nodeid.partition("[")[0] in WHOLE:
            item.add_marker(pytest.mark.whole)


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Puts the files of `LONGEST` first; the order within a file stays."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(_file(item), len(places)))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
