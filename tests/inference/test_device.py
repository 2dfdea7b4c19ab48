"""Which device a model gets, and what is said where the one that is paid for cannot be used."""

from __future__ import annotations

import pytest

from aitk_app.loading.device import choose_device, no_gpu

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by "
    "downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)
NONE = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
    "from http://www.nvidia.com/Download/index.aspx"
)


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        (TOO_OLD, "older CUDA as image in infra/provision/inference.parameters.json"),
        (NONE, "workloadProfileName and workloadProfileType"),
        ("No CUDA GPUs are available", "The replica has no GPU"),
        ("Torch not compiled with CUDA enabled", "leave torch to the image"),
        ("Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized", "under error 1234"),
    ],
)
def test_what_pytorch_says_of_a_gpu_gets_an_advice(told, advice):
    """PyTorch's own sentences, each with what to do in this product's files, and the way on without a GPU."""
    said = no_gpu(told, "The log says why under error 1234.")

    assert advice in said
    assert 'write device = "cpu" in inference/settings.toml' in said
    assert "  " not in said
    assert told not in said


def test_on_this_computer_no_gpu_is_normal():
    """By hand, and in the local cloud, which says that it bills none."""
    usual = choose_device("auto", {})

    assert usual in {"cpu", "cuda"}
    assert choose_device("auto", {"CONTAINER_APP_NAME": "app", "AITK_GPU": "optional"}) == usual
    assert choose_device("cpu", {"CONTAINER_APP_NAME": "app"}) == "cpu"
