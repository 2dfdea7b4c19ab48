"""What holds for every test."""

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support import hard_azure, long_tests, outside_data

from ai_toolkit.local_cloud.control import LocalCloudError
from ai_toolkit.operating_system import CANNOT_RUN_HERE

# One thread for each process that computes, here and in every replica that a test starts: the tests run beside one
# another, and threads of PyTorch that wait for one another while another process has the core burn it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The local clouds of tests give Azure's statuses and headers in less time than a person's: a second is 50 minutes.
if os.environ.get("AITK_HARD_AZURE") != "1":
    os.environ.setdefault("AITK_LOCAL_CLOUD_MINUTE", "0.02")
elif "AITK_LOCAL_CLOUD_FAULTS" not in os.environ:  # scripts/judge hard-azure; several workers share what is set here
    os.environ.update(hard_azure.variables(Path(tempfile.mkdtemp(prefix="hard-azure-"))))

# Two runs try the same values: a failure is met again, and a slow machine is no failure.
settings.register_profile("same every time", derandomize=True, database=None, deadline=None)
settings.load_profile("same every time")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long_tests.mark(items)
    if hasattr(config, "workerinput"):  # several at a time; one by one the quick ones come first, as they are collected
        long_tests.begin_with_the_longest(items)


@pytest.hookimpl(tryfirst=True)  # before any fixture is made
def pytest_runtest_setup(item: pytest.Item) -> None:
    outside_data.decide(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    return (yield from _skipped_where_no_local_cloud_runs())


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    return (yield from _skipped_where_no_local_cloud_runs())


def _skipped_where_no_local_cloud_runs() -> Generator[None, object, object]:
    try:
        return (yield)
    except LocalCloudError as error:
        if CANNOT_RUN_HERE is None:
            raise
        pytest.skip(str(error))
