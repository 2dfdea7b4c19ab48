"""How far the app is: what `/ready` answers. Standard library only: `start.py` needs it before any package is there."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SOON_SECONDS, _MOST_SECONDS = 5, 60


class Stage(StrEnum):
    """How far a start is. The values are what `/ready` sends, for programs; `said` is for people."""

    NOTHING_DEPLOYED = "nothing deployed"
    PREPARING = "preparing"
    INSTALLING = "installing"
    LOADING_WEIGHTS = "loading weights"
    ADAPTER = "adapter"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"

    @property
    def said(self) -> str:
        """The stage in words."""
        return _SAID[self]


_SAID = {
    Stage.NOTHING_DEPLOYED: "nothing is deployed yet",
    Stage.PREPARING: "preparing",
    Stage.INSTALLING: "installing packages",
    Stage.LOADING_WEIGHTS: "loading weights",
    Stage.ADAPTER: "loading the adapter",
    Stage.WARMING: "warming up",
    Stage.READY: "ready",
    Stage.FAILED: "failed",
}


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
        return self.stage is Stage.READY

    @property
    def starting(self) -> bool:
        """Whether it gets ready by itself, so that waiting makes sense."""
        return self.stage not in {Stage.READY, Stage.FAILED, Stage.NOTHING_DEPLOYED}

    def as_json(self) -> dict[str, object]:
        """The body of `/ready`."""
        progress = {"done": self.progress[0], "total": self.progress[1]} if self.progress else None
        return {"ready": self.ready} | asdict(self) | {"progress": progress}


class Readiness:
    """The current state, written by the loading thread and read by all: a frozen value, replaced whole."""

    def __init__(self, warnings: tuple[str, ...] = ()) -> None:
        self.warnings = warnings
        self.state = State(Stage.PREPARING, "Starting the app.", warnings=warnings)
        self._since = time.monotonic()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every report, in the thread that reports."""
        self._listeners.append(listener)

    def report(self, stage: Stage, detail: str = "", *, progress: tuple[int, int] | None = None) -> None:
        """The next stage."""
        self._set(State(stage, detail, progress=progress, warnings=self.warnings))

    def warn(self, *warnings: str) -> None:
        """What is not as it should be, from the next report on."""
        self.warnings = (*self.warnings, *warnings)

    def fail(self, reason: str) -> None:
        """The start has failed, for this reason; it stays so."""
        self._set(State(Stage.FAILED, "The model could not be loaded.", reason, warnings=self.warnings))

    def retry_seconds(self) -> int:
        """When to ask again: what is left of a stage that counts, at its pace so far; else soon, to be held again."""
        done, total = self.state.progress or (0, 0)
        if not 0 < done < total:
            return _SOON_SECONDS
        left = (time.monotonic() - self._since) / done * (total - done)
        return max(_SOON_SECONDS, min(_MOST_SECONDS, round(left)))

    def _set(self, state: State) -> None:
        if state.stage is not self.state.stage:
            self._since = time.monotonic()
        self.state = state
        for listener in self._listeners:
            listener()
