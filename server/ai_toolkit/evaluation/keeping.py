"""Where an evaluation's answers are kept: JSON for programs and a page for people, below `evaluation/results/`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.evaluation.cases import FOLDER
from ai_toolkit.evaluation.page import page_of
from ai_toolkit.evaluation.result import Evaluation
from ai_toolkit.workspace.workspace import write_atomically

RESULTS: Final = "results"


@dataclass(frozen=True)
class Kept:
    """The two files of an evaluation."""

    page: Path
    document: Path


def keep(workspace: Path, found: Evaluation) -> Kept:
    """Writes the files, named by when the evaluation began."""
    folder = workspace / FOLDER / RESULTS
    name = found.begun.replace(":", "-").removesuffix("+00-00")
    number = 1
    while (folder / f"{name}.json").exists():
        number += 1
        name = f"{name.partition('_')[0]}_{number}"
    kept = Kept(folder / f"{name}.html", folder / f"{name}.json")
    write_atomically(kept.document, json.dumps(found.as_json(), indent=1) + "\n")
    write_atomically(kept.page, page_of(found).encode(errors="replace").decode())  # half of a pair is no text
    return kept
