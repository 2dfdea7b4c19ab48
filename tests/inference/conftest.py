"""A real process of the app with the sample, for every test that asks it something."""

# ruff: noqa: PLC0415 - PyTorch is imported only by the tests that need it

from __future__ import annotations

import shutil

import pytest
from tests.support.inference.app import INFERENCE, launching

from ai_toolkit.workspace.sample.workspace import place_sample


@pytest.fixture
def launch(tmp_path_factory):
    """`launching`, until the end of the test."""
    with launching(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def launch_for_module(tmp_path_factory):
    """`launching`, until the end of the file's tests."""
    with launching(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def put_code():
    """Puts the app's code into a workspace, as Deploy would."""

    def put(workspace):
        shutil.copytree(INFERENCE, workspace / "inference", ignore=shutil.ignore_patterns("__pycache__"))

    return put


@pytest.fixture(scope="session")
def sample_workspace(tmp_path_factory, put_code):
    workspace = tmp_path_factory.mktemp("workspace")
    place_sample(workspace)
    put_code(workspace)
    return workspace


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory, sample_workspace):
    """The sample, ready to answer."""
    with launching(tmp_path_factory) as start:
        started = start(sample_workspace, environment={"CONTAINER_APP_REVISION": "app--one"})
        started.wait_for("ready")
        yield started


@pytest.fixture(scope="session")
def make_tiny(tmp_path_factory):
    """Makes `Tiny`s: two layers, one adapter of each kind that is served."""
    import torch
    from tests.support.inference import tiny

    torch.set_num_threads(1)  # for so little work more threads only wait for one another

    def make(*arguments, **settings):
        return tiny.make_tiny(tmp_path_factory.mktemp("tiny"), *arguments, **settings)

    return make
