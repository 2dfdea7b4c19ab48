"""How far a deployment is, resource by resource: queued, running with seconds, done, failed."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ai_toolkit.azure.deployments import Operation
from ai_toolkit.ui import Tone, Ui

_WORDS: Final[Mapping[str, str]] = {"Succeeded": "done", "Failed": "failed", "Canceled": "cancelled"}
# Medians of Azure's recorded answers, 2023 to 2024; apps there had no GPU.
_USUAL: Final[Mapping[str, str]] = {
    "managedenvironments": "usually about a minute and a half",
    "containerapps": "usually a quarter of a minute without a GPU; with one it is not known here",
}
_LONG_SECONDS: Final = 10
"""After so many it is said what is usual."""
_FIRST_PERCENT, _LAST_PERCENT = 5, 95


@dataclass
class _Seen:
    name: str
    since: float
    ended: str = ""


class ResourceProgress:
    """Tells a person each change in the output, and the seconds of what runs in the notification."""

    def __init__(
        self,
        ui: Ui,
        expected: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
        tone: Tone = Tone.PLAIN,
    ) -> None:
        """`expected`: ids of the resources that the deployment is to create or change; `tone` is that of an end."""
        self._tone = tone
        self._ui = ui
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._queued = {one.lower(): _name_of(one) for one in expected if "[" not in one}  # that is no id yet
        for name in self._queued.values():
            ui.announce(f"    queued   {name}", Tone.DETAIL)

    def observe(self, operations: list[Operation]) -> None:
        """Takes in what the deployment does now."""
        now = self._clock()
        for operation in operations:
            self._queued.pop(operation.id.lower(), None)
            seen = self._seen.get(operation.id.lower())
            if seen is None:
                seen = self._seen[operation.id.lower()] = _Seen(_name_of(operation.id), now)
                if operation.state not in _WORDS:
                    self._ui.announce(f"    running  {seen.name}", Tone.DETAIL)
            word = _WORDS.get(operation.state, "")
            if word and not seen.ended:
                seen.ended = word
                tone = Tone.BAD if word == _WORDS["Failed"] else self._tone
                self._ui.announce(f"    {word:8} {seen.name} after {now - seen.since:.0f} s", tone)
        self._report(now)

    def _report(self, now: float) -> None:
        running = [seen for seen in self._seen.values() if not seen.ended]
        done = sum(seen.ended == "done" for seen in self._seen.values())
        whole = len(self._seen) + len(self._queued)
        percent = _FIRST_PERCENT + (_LAST_PERCENT - _FIRST_PERCENT) * done // max(whole, 1)
        what = ", ".join(_running(seen.name, now - seen.since) for seen in running) or "waiting for Azure"
        self._ui.report(f"{what} ({done} of {whole} done)", percent)


def _running(name: str, seconds: float) -> str:
    usual = _USUAL.get(name.partition(" ")[0].lower(), "") if seconds >= _LONG_SECONDS else ""
    return f"{name}: running {seconds:.0f} s{f', {usual}' if usual else ''}"


def _name_of(resource_id: str) -> str:
    """Kind and name: `containerApps aiacaapp`."""
    parts = resource_id.strip("/").split("/")
    return f"{parts[-2]} {parts[-1]}" if len(parts) > 1 else resource_id
