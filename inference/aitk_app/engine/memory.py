"""How much memory there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_UNKNOWN_BYTES = 1 << 40


def free_bytes(device: torch.device) -> int:
    """What can still be allocated on `device`; on the processor also what the container's limit leaves."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415 - reading ahead needs only the lines below

        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return free_main_memory_bytes()


def free_main_memory_bytes() -> int:
    """As the kernel and the container's limit say; very much where neither does."""
    free = _UNKNOWN_BYTES
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdecimal():
        free = min(free, int(limit[0]) - int(used[0]) + _file_cache_bytes())
    return max(free, 0)


def _file_cache_bytes() -> int:
    """What the limit counts as used, and gives back when it is needed."""
    return sum(int(line.split()[1]) for line in _lines("/sys/fs/cgroup/memory.stat") if line.startswith("file "))


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text("ascii").splitlines()
    except OSError:  # another system
        return []
