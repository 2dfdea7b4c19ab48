"""How far a replica's start is, from the platform's event stream, and a verdict where it does not go on.

The words are those of Azure's stream; lines are not sorted, and a time stands in one of two forms.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from ai_toolkit.two_faces import worded


class Phase(StrEnum):
    """How far a start is; the value is what people read."""

    ASSIGNING = "looking for a free GPU"
    PULLING = "pulling the image"
    PULLED = "creating the container"
    CREATED = "starting the container"
    STARTED = "the container runs"


class Verdict(StrEnum):
    """Why a start does not go on by itself."""

    NO_CAPACITY = "no capacity"
    PULL_STALLS = "pull stalls"
    NOT_STARTED = "not started"
    CRASH_LOOP = "crash loop"
    MOUNT_REFUSED = "mount refused"


_PHASES: Final = {
    "AssigningReplica": Phase.ASSIGNING,
    "PullingImage": Phase.PULLING,
    "ImagePulled": Phase.PULLED,
    "PulledImage": Phase.PULLED,
    "ContainerCreated": Phase.CREATED,
    "ContainerStarted": Phase.STARTED,
}
_ORDER: Final = tuple(Phase)
# Source: public measurements (shared by their authors): 15 s to 18 s from assigning to started; the image has 5 GB.
_USUAL: Final = {
    Phase.ASSIGNING: "usually seconds",
    Phase.PULLING: "usually one to five minutes",
    Phase.PULLED: "usually seconds",
    Phase.CREATED: "usually seconds",
    Phase.STARTED: "the app answers soon",
}
_PATIENCE: Final = timedelta(minutes=8)
_PATIENCE_AFTER_PULL: Final = timedelta(minutes=5)
_FULL: Final = "workload profile full"
_MOUNT: Final = "MountVolume.SetUp failed"
_CRASHES: Final = 3
_ENDED: Final = "ContainerTerminated"
_NOT_ASSIGNED: Final = "AssigningReplicaFailed"
_SAID: Final = {
    Verdict.NO_CAPACITY: (
        "Azure has no free GPU of this kind in the region now.",
        "Try again later, or choose another location or workloadProfileType and provision again.",
    ),
    Verdict.PULL_STALLS: (
        "The image has been pulled for more than eight minutes.",
        "Stop the app and start it again: another node may be quicker. A smaller image in your own registry is, too.",
    ),
    Verdict.NOT_STARTED: (
        "The image is there, and the container has not started for more than five minutes; Azure bills this time.",
        "Stop the app and start it again: it then gets another node.",
    ),
    Verdict.CRASH_LOOP: (
        "The container ends again and again.",
        "Look at its log ({LOGS}), correct the cause and deploy again.",
    ),
    Verdict.MOUNT_REFUSED: (
        "Azure cannot mount the file share into the replica.",
        "Provision again, which renews the key; allow the environment's network on the storage account.",
    ),
}


@dataclass(frozen=True)
class Event:
    """A line of the event stream."""

    reason: str
    message: str
    revision: str
    at: datetime


@dataclass(frozen=True)
class StartPhase:
    """A start's phase, for how long, and the verdict where it does not go on; `words` are the platform's own."""

    phase: Phase
    lasts: timedelta
    verdict: Verdict | None = None
    words: str = ""

    def in_words(self) -> str:
        """`pulling the image for 40 s, usually one to five minutes`."""
        return f"{self.phase.value} for {self.lasts.total_seconds():.0f} s, {_USUAL[self.phase]}"

    @property
    def says(self) -> str:
        """The verdict for a person, with the platform's own words; empty where there is none."""
        if self.verdict is None:
            return ""
        return f"{_SAID[self.verdict][0]}{f' Azure says: {self.words}' if self.words else ''}"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return worded(_SAID[self.verdict][1]) if self.verdict else ""


def read_events(lines: Iterable[str]) -> list[Event]:
    """The events of the lines that are some, the oldest first."""
    found = []
    for line in lines:
        try:
            body = json.loads(line)
            moment = _moment(str(body["TimeStamp"]))
        except (ValueError, KeyError, TypeError):
            continue
        reason, message, revision = (str(body.get(name) or "") for name in ("Reason", "Msg", "RevisionName"))
        found.append(Event(reason, message, revision, moment))
    return sorted(found, key=lambda one: one.at)


def time_of(events: Sequence[Event]) -> datetime:
    """The platform's time when the stream was opened, which its first lines tell; else this computer's."""
    opened = [one.at for one in events if one.reason in {"StartingGettingEvents", "ConnectedToEventsServer"}]
    return max(opened, default=datetime.now(UTC))


def start_phase(events: Sequence[Event], revisions: Iterable[str], now: datetime) -> StartPhase | None:
    """How far the last start of a replica of these revisions is; None where the stream says nothing of one."""
    wanted = set(revisions)
    own = [one for one in events if one.revision in wanted]
    began = max((number for number, one in enumerate(own) if one.reason == "AssigningReplica"), default=0)
    crashes = sum(one.reason == _ENDED for one in own[began:])
    told = [one for one in own[began:] if one.reason in _PHASES]
    refusal = next((one for one in reversed(own[began:]) if _refuses(one)), None)
    if not told:
        if refusal is None:
            return None
        return StartPhase(Phase.ASSIGNING, now - refusal.at, _kind(refusal), refusal.message)
    # Lines of one second come in any order: the furthest is meant.
    last = max(told, key=lambda one: (_ORDER.index(_PHASES[one.reason]), one.at))
    phase, lasts = _PHASES[last.reason], max(now - last.at, timedelta())
    if phase is not Phase.STARTED and refusal is not None and refusal.at >= last.at:
        return StartPhase(phase, lasts, _kind(refusal), refusal.message)
    if crashes >= _CRASHES:
        return StartPhase(phase, lasts, Verdict.CRASH_LOOP)
    return StartPhase(phase, lasts, _overdue(phase, lasts))


def _overdue(phase: Phase, lasts: timedelta) -> Verdict | None:
    if phase is Phase.ASSIGNING and lasts >= _PATIENCE:
        return Verdict.NO_CAPACITY
    if phase is Phase.PULLING and lasts >= _PATIENCE:
        return Verdict.PULL_STALLS
    if phase in {Phase.PULLED, Phase.CREATED} and lasts >= _PATIENCE_AFTER_PULL:
        return Verdict.NOT_STARTED
    return None


def _refuses(event: Event) -> bool:
    return _FULL in event.message.lower() or event.reason == _NOT_ASSIGNED or _MOUNT in event.message


def _kind(event: Event) -> Verdict:
    return Verdict.MOUNT_REFUSED if _MOUNT in event.message else Verdict.NO_CAPACITY


def _moment(text: str) -> datetime:
    """`2023-06-27 03:58:12 +0000 UTC`, or ISO 8601."""
    plain = text.removesuffix(" UTC").replace(" +0000", "+00:00")
    moment = datetime.fromisoformat(plain)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
