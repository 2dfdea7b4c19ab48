"""Use-case: create an inference project, with the sample model when it is wanted."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import ToolMissing
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import first_cases
from ai_toolkit.workspace.sample.base_model import SampleModelError, check_sample
from ai_toolkit.workspace.sample.workspace import place_sample, place_second_adapter
from ai_toolkit.workspace.template import add_to_workspace

_CASES: Final = Path("evaluation/cases.jsonl")


@dataclass(frozen=True)
class Created:
    """The folder, and the paths that were added to it."""

    directory: Path
    added: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"directory": str(self.directory), "added": list(self.added)}


async def create_project(folder: Path, ui: Ui, *, sample: bool, two_adapters: bool = False) -> Created:
    """Adds what the folder lacks of `infra/` and `inference/`, and five cases.

    Existing files stay, and a folder that has an `evaluation/` already gets no cases. `two_adapters` puts a second one
    beside the sample's. Raises ToolMissing, before anything is written, where a package that the sample is made of is
    not installed.
    """
    try:
        if sample:
            check_sample()
        added = await asyncio.to_thread(add_to_workspace, folder)
        added += await asyncio.to_thread(_add_cases, folder, "sample.jsonl" if sample else "cases.jsonl")
        if sample:
            ui.report("preparing the sample model (half a minute the first time)")
            await asyncio.to_thread(place_sample, folder)
            ui.announce("Sample model SmolLM2-135M-Instruct and its adapter are in model-cache/ and models/.")
            if two_adapters:
                await asyncio.to_thread(place_second_adapter, folder)
                ui.announce("A second adapter, in another style, is in models/butler: a request names it butler.")
    except SampleModelError as error:
        raise ToolMissing(str(error), error.advice) from error
    return Created(folder, tuple(added))


def _add_cases(folder: Path, name: str) -> list[str]:
    place = folder / _CASES
    if place.parent.exists():
        return []
    place.parent.mkdir(parents=True)
    place.write_bytes((first_cases.FOLDER / name).read_bytes())
    return [_CASES.as_posix()]
