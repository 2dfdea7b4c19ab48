"""Likely causes of a failure, from `causes.toml`: by a replica's last log lines, or by Azure's error code."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ai_toolkit.two_faces import worded


@dataclass(frozen=True)
class Cause:
    """A cause in one sentence, and what to do about it."""

    says: str
    advice: str


@dataclass(frozen=True)
class _Entry:
    log: re.Pattern[str] | None
    codes: frozenset[str]
    cause: Cause


@cache
def _entries() -> tuple[_Entry, ...]:
    document = tomllib.loads((Path(__file__).parent / "causes.toml").read_text(encoding="utf-8"))
    return tuple(
        _Entry(
            re.compile(entry["log"]) if "log" in entry else None,
            frozenset(code.lower() for code in entry.get("codes", ())),
            Cause(entry["says"], entry["advice"]),
        )
        for entry in document["cause"]
    )


def cause_of_code(code: str) -> Cause | None:
    """What Azure's error code usually means; None for one that is not known."""
    found = next((entry.cause for entry in _entries() if code.lower() in entry.codes), None)
    return Cause(found.says, worded(found.advice)) if found else None


def cause_in_log(lines: Sequence[str]) -> Cause | None:
    """What the last telling line of a replica's log usually means; None when no line tells."""
    for line in reversed(lines):
        for entry in _entries():
            found = entry.log.search(line) if entry.log is not None else None
            if found:
                words = [found[0], *(group or "" for group in found.groups()), ""]
                return Cause(entry.cause.says.format(*words), worded(entry.cause.advice))
    return None
