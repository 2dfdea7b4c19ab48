"""Use-case: create an inference project, with the sample model when it is wanted."""

import asyncio
from pathlib import Path
from typing import Final

from ai_toolkit.ui import Ui
from ai_toolkit.workspace import first_cases
from ai_toolkit.workspace.sample.workspace import place_sample, place_second_adapter
from ai_toolkit.workspace.template import add_to_workspace

_CASES: Final = Path("evaluation/cases.jsonl")


async def create_project(folder: Path, ui: Ui, *, sample: bool, two_adapters: bool = False) -> list[str]:
    """Adds what the folder lacks of `infra/` and `inference/`, and five cases; returns the added paths.

    Existing files stay, and a folder that has an `evaluation/` already gets no cases.
    `two_adapters` puts a second one beside the sample's.
    """
    added = await asyncio.to_thread(add_to_workspace, folder)
    added += await asyncio.to_thread(_add_cases, folder, "sample.jsonl" if sample else "cases.jsonl")
    ui.announce(f"{folder}: {len(added)} files added" if added else f"{folder}: nothing was missing")
    if sample:
        ui.report("preparing the sample model")
        await asyncio.to_thread(place_sample, folder)
        ui.announce("Sample model SmolLM2-135M-Instruct and its adapter are in model-cache/ and models/.")
        if two_adapters:
            await asyncio.to_thread(place_second_adapter, folder)
            ui.announce("A second adapter, in another style, is in models/butler: a request names it butler.")
    return added


def _add_cases(folder: Path, name: str) -> list[str]:
    place = folder / _CASES
    if place.parent.exists():
        return []
    place.parent.mkdir(parents=True)
    place.write_bytes((first_cases.FOLDER / name).read_bytes())
    return [_CASES.as_posix()]
