"""Use-case: create an inference project, with the sample model when it is wanted."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import ToolMissing
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import first_cases
from ai_toolkit.workspace.newer_files import Newer, shipped, take_over
from ai_toolkit.workspace.sample.base_model import SampleModelError, check_sample
from ai_toolkit.workspace.sample.workspace import place_sample, place_second_adapter
from ai_toolkit.workspace.template import add_to_workspace, templates_folder

_CASES: Final = Path("evaluation/cases.jsonl")


@dataclass(frozen=True)
class Created:
    """The folder, the paths that were added to it, and what of it was older than this version."""

    directory: Path
    added: tuple[str, ...]
    newer: Newer

    def as_json(self) -> dict[str, Any]:
        return {
            "directory": str(self.directory),
            "added": list(self.added),
            "updated": list(self.newer.taken),
            "changedByYou": list(self.newer.kept),
        }


async def create_project(folder: Path, ui: Ui, *, sample: bool, two_adapters: bool = False) -> Created:
    """Adds what the folder lacks of `infra/` and `inference/`, and five cases; what is older there is taken over.

    A file that a person changed stays, and a folder that has an `evaluation/` already gets no cases. `two_adapters`
    puts a second adapter beside the sample's. Raises ToolMissing, before anything is written, where a package that the
    sample is made of is not installed.
    """
    try:
        if sample:
            check_sample()
        newer = await asyncio.to_thread(take_over, folder, templates_folder(), shipped())
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
    _tell(ui, newer)
    return Created(folder, tuple(added), newer)


def _tell(ui: Ui, newer: Newer) -> None:
    if newer.taken:
        ui.announce(f"Of an earlier version and as it came, so this version's now: {', '.join(newer.taken)}.")
    if newer.kept:
        ui.announce(
            f"Changed by you, or standing with what you changed, and left as it is: {', '.join(newer.kept)}. "
            f"This version's are in {templates_folder()}; a file that you delete comes anew with the next init."
        )


def _add_cases(folder: Path, name: str) -> list[str]:
    place = folder / _CASES
    if place.parent.exists():
        return []
    place.parent.mkdir(parents=True)
    place.write_bytes((first_cases.FOLDER / name).read_bytes())
    return [_CASES.as_posix()]
