"""How far the app is: what `/ready` answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Stage = Literal[
    "nothing deployed", "preparing", "installing", "loading weights", "adapter", "warming", "ready", "failed"
]


@dataclass(frozen=True)
class State:
    """One moment of a start; `progress` is done and total of the stage's own units.

    `warnings` are sentences about what is not as it should be and yet no reason to fail.
    """

    stage: Stage
    detail: str = ""
    reason: str | None = None
    progress: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self.stage == "ready"

    def as_json(self) -> dict[str, object]:
        """The body of `/ready`."""
        progress = {"done": self.progress[0], "total": self.progress[1]} if self.progress else None
        return {"ready": self.ready} | asdict(self) | {"progress": progress}


class Readiness:
    """The current state, written by the loading thread and read by all: a frozen value, replaced whole."""

    def __init__(self, warnings: tuple[str, ...] = ()) -> None:
        self.warnings = warnings
        self.state = State("preparing", "Starting the app.", warnings=warnings)

    def report(self, stage: Stage, detail: str = "", *, progress: tuple[int, int] | None = None) -> None:
        """The next stage."""
        self.state = State(stage, detail, progress=progress, warnings=self.warnings)

    def fail(self, reason: str) -> None:
        """The start has failed, for this reason; it stays so."""
        self.state = State("failed", "The model could not be loaded.", reason, warnings=self.warnings)
