"""How far a start is, from lines as Azure's event stream writes them, and when it is given up."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ai_toolkit.endpoint.start_phase import Phase, Verdict, read_events, start_phase

BEGAN = datetime(2024, 4, 23, 5, 11, 0, tzinfo=UTC)
# As recorded: the stream's own lines first, in another form and without names; then events, not sorted.
HEAD = (
    '{"TimeStamp":"2024-04-23T05:11:40Z","Type":"Normal","ContainerAppName":null,"RevisionName":null,'
    '"ReplicaName":null,"Msg":"Connecting to the events collector...","Reason":"StartingGettingEvents",'
    '"EventSource":"ContainerAppController","Count":1}'
)


def line(seconds, reason, message="", revision="app--1"):
    moment = (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
    return json.dumps(
        {
            "TimeStamp": moment,
            "Type": "Normal",
            "ContainerAppName": "app",
            "RevisionName": revision,
            "ReplicaName": f"{revision}-655666db6c-cwvfm",
            "Msg": message,
            "Reason": reason,
            "EventSource": "ContainerAppController",
            "Count": 1,
        }
    )


def judged(after_seconds, *lines):
    events = read_events([HEAD, "not JSON", *lines])
    return start_phase(events, ["app--1"], BEGAN + timedelta(seconds=after_seconds))


ASSIGNED, PULLING = line(0, "AssigningReplica"), line(5, "PullingImage")
PULLED = line(65, "ImagePulled")
FULL = line(3, "AssigningReplica", "WorkLoad Profile Full")
MOUNT = line(70, "FailedMount", 'MountVolume.SetUp failed for volume "share" : mount error(13): Permission denied')


@pytest.mark.parametrize(
    ("after", "lines", "phase", "verdict"),
    [
        (7 * 60, [ASSIGNED], Phase.ASSIGNING, None),
        (9 * 60, [ASSIGNED], Phase.ASSIGNING, Verdict.NO_CAPACITY),
        (10, [ASSIGNED, FULL], Phase.ASSIGNING, Verdict.NO_CAPACITY),
        (10, [ASSIGNED, line(4, "AssigningReplicaFailed", "no node")], Phase.ASSIGNING, Verdict.NO_CAPACITY),
        (60, [FULL, PULLING, ASSIGNED], Phase.PULLING, None),  # room was found since
        (5 + 479, [ASSIGNED, PULLING], Phase.PULLING, None),
        (5 + 480, [PULLING, ASSIGNED], Phase.PULLING, Verdict.PULL_STALLS),
        (65 + 299, [ASSIGNED, PULLING, PULLED], Phase.PULLED, None),
        (65 + 300, [ASSIGNED, PULLING, PULLED], Phase.PULLED, Verdict.NOT_STARTED),
        (65 + 300, [ASSIGNED, PULLING, line(65, "PulledImage")], Phase.PULLED, Verdict.NOT_STARTED),
        (80, [ASSIGNED, PULLED, MOUNT], Phase.PULLED, Verdict.MOUNT_REFUSED),
        (900, [line(70, "ContainerStarted"), line(70, "ContainerCreated"), PULLED, ASSIGNED], Phase.STARTED, None),
        (
            100,
            [ASSIGNED, line(70, "ContainerStarted"), *(line(70 + n, "ContainerTerminated") for n in range(3))],
            Phase.STARTED,
            Verdict.CRASH_LOOP,
        ),
    ],
)
def test_a_start_is_told_by_its_phase_and_judged_in_its_time(after, lines, phase, verdict):
    """Never before: a minute too early is a start that somebody ends for nothing."""
    found = judged(after, *lines)

    assert (found.phase, found.verdict) == (phase, verdict)
    assert bool(found.says) == bool(found.advice) == bool(verdict)


def test_what_is_usual_stands_beside_the_seconds():
    """Who waits reads how long it has been, and how long it takes."""
    assert judged(45, ASSIGNED, PULLING).in_words() == "pulling the image for 40 s, usually one to five minutes"
    assert "WorkLoad Profile Full" in judged(10, ASSIGNED, FULL).says


def test_another_revision_s_events_say_nothing():
    """Nor does a stream without any."""
    assert judged(900, line(0, "AssigningReplica", revision="app--2")) is None
    assert judged(900) is None
