"""The packages that the inference app runs on are named twice, and are the same."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_extra_and_requirements_are_the_same():
    """A replica on Azure installs requirements.txt, the demo the extra `inference`."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["inference"]
    lines = (ROOT / "inference/requirements.txt").read_text().splitlines()

    assert extra == [line for line in lines if line and not line.startswith("#")]
