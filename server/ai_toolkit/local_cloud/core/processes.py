"""Which process is meant, although numbers are used again: a pid together with its start time."""

import os
import subprocess
import sys
from pathlib import Path

from ai_toolkit.operating_system import end_group


def start_time(pid: int) -> str | None:
    """When the process began, in the system's own words; None when it is gone or only a zombie.

    None on Windows too, where nothing of the local cloud runs.
    """
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        state, started = fields[0], fields[19]
        return None if state in "ZX" else started
    listing = subprocess.run(  # noqa: S603  # a fixed command; only a number is inserted
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    state, _, started = listing.partition(" ")
    return started.strip() if started and not state.startswith("Z") else None


def is_alive(pid: int, started: str) -> bool:
    """Whether that very process still runs."""
    return start_time(pid) == started


def kill_group(group: int) -> None:
    """Kill every process of a group at once; a group that is gone is no error."""
    try:
        end_group(group)
    except (ProcessLookupError, PermissionError):
        return


def reap(pid: int) -> None:
    """Collect the exit status if the process is a child of ours; otherwise nothing."""
    if sys.platform == "win32":
        return
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def kill_recorded_groups(records: Path) -> list[int]:
    """Kill the process groups that are recorded in a folder and still the ones recorded.

    A record is a file named by the leader's pid that holds the leader's start time. Where the leader
    itself is gone, its group is ended only while it exists: a group's number is not used again before.
    """
    killed: list[int] = []
    if not records.is_dir():
        return killed
    for record in records.iterdir():
        if record.name.isdigit():
            pid = int(record.name)
            now, recorded = start_time(pid), record.read_text(encoding="utf-8").strip()
            if now == recorded:
                kill_group(pid)
                killed.append(pid)
        record.unlink(missing_ok=True)
    return killed
