"""How the weights' files come from their disk or share: mapped page by page, or read from end to end beforehand.

Which is quicker depends on the share, its mount and the network between, so it is measured at every start, on samples
of the files themselves. Loading always maps them (safetensors); what was read before is then found in memory.
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from aitk_app.engine.memory import free_main_memory_bytes
from aitk_app.loading.folders import weight_files
from aitk_app.readiness import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aitk_app.readiness import Readiness

logger = logging.getLogger(__name__)

Way = Literal["mapped", "read ahead"]

_SAMPLE_BYTES = 32 << 20
_WORTH_MEASURING = 4  # samples: a smaller model is there before it is measured
_PIECE_BYTES = 1 << 20
# A network's share answers many requests in the time of one.
_READERS = 16
# As many as transformers materialises weights with.
_MAPPERS = 4
_MEMORY_FOR_WEIGHTS = 0.8  # of what is free
_MEGABYTE = 10**6
_LOOKED_AT_SECONDS = 0.5

Piece = tuple[Path, int]  # a file and the offset in it


@dataclass(frozen=True)
class Sample:
    """What the two ways took for as many bytes each, in seconds."""

    bytes: int
    mapped_seconds: float
    read_seconds: float
    mapped_after_seconds: float  # what was read, which a mount without a cache has to fetch again

    @property
    def way(self) -> Way:
        """The quicker one."""
        return "read ahead" if self.read_seconds + self.mapped_after_seconds < self.mapped_seconds else "mapped"


@dataclass(frozen=True)
class Reading:
    """The way that was taken, and why."""

    way: Way
    why: str
    bytes: int
    sample: Sample | None = None

    def as_json(self) -> dict[str, object]:
        """As `/version` tells it."""
        return {
            "way": self.way,
            "why": self.why,
            "bytes": self.bytes,
            "sample": asdict(self.sample) if self.sample else None,
        }


def bring_near(folder: Path, name: str, readiness: Readiness) -> Reading:
    """Measure, and where reading is quicker read all weights below `folder`, so that mapping finds them in memory."""
    files = weight_files(folder)
    total = sum(file.stat().st_size for file in files)
    readiness.report(Stage.LOADING_WEIGHTS, f"Loading {name}.", progress=(0, total // _MEGABYTE))
    reading = _choose(files, total)
    if reading.way == "read ahead":
        done, lock = 0, threading.Lock()

        def count(size: int) -> None:
            nonlocal done
            with lock:
                done += size
                progress = (done // _MEGABYTE, total // _MEGABYTE)
                readiness.report(Stage.LOADING_WEIGHTS, f"Loading {name} (MB).", progress=progress)

        read_pieces([piece for file in files for piece in pieces_of(file)], count)
    logger.info("the weights of %s are %s: %s", name, reading.way, reading.why)
    return reading


@contextmanager
def shown_progress(name: str, total: int, device: str, readiness: Readiness) -> Iterator[None]:
    """While it lasts `/ready` says how much of `total` bytes has come to the device, as its memory tells."""
    before, ended = _held_bytes(device), threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOKED_AT_SECONDS):
            come = min(max(_held_bytes(device) - before, 0), total)
            progress = (come // _MEGABYTE, total // _MEGABYTE)
            readiness.report(Stage.LOADING_WEIGHTS, f"Putting {name} on the device (MB).", progress=progress)

    watching = threading.Thread(target=watch, name="progress", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def _held_bytes(device: str) -> int:
    """What the device, or this process in main memory, holds; 0 where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.memory_allocated(device))
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


def _choose(files: list[Path], total: int) -> Reading:
    largest = max(files, key=lambda file: file.stat().st_size, default=None)
    if largest is None or largest.stat().st_size < _WORTH_MEASURING * _SAMPLE_BYTES:
        return Reading("mapped", "They are small.", total)
    if not hasattr(os, "preadv"):
        return Reading("mapped", "This system reads a file in one stream only.", total)
    if total > free_main_memory_bytes() * _MEMORY_FOR_WEIGHTS:
        return Reading("mapped", "Main memory does not hold them.", total)
    sample = measure(largest)
    mapped, read = (
        sample.bytes / _MEGABYTE / seconds
        for seconds in (sample.mapped_seconds, sample.read_seconds + sample.mapped_after_seconds)
    )
    return Reading(sample.way, f"{mapped:.0f} MB/s mapped, {read:.0f} MB/s read and then mapped.", total, sample)


def measure(file: Path, size: int = _SAMPLE_BYTES) -> Sample:
    """Both ways, each on a part of `file` that is drawn anew, so that an earlier start has hardly left it in memory."""
    half = (file.stat().st_size - 2 * size) // 2 // mmap.PAGESIZE
    first = random.randrange(half) * mmap.PAGESIZE  # noqa: S311 - no secret
    second = first + size + random.randrange(half) * mmap.PAGESIZE  # noqa: S311 - no secret
    to_read = pieces_of(file, second, size)
    begun = time.monotonic()
    read_pieces(to_read, lambda _: None)
    read = time.monotonic()
    map_pieces(to_read)
    mapped_after = time.monotonic()
    # Nobody waits longer for the other way than it takes to know.
    touched = map_pieces(pieces_of(file, first, size), until=mapped_after + 2 * (mapped_after - begun))
    mapped = (time.monotonic() - mapped_after) * len(to_read) / touched
    return Sample(size, mapped, read - begun, mapped_after - read)


def pieces_of(file: Path, offset: int = 0, size: int | None = None) -> list[Piece]:
    """The pieces of `file`, or of `size` bytes of it."""
    end = file.stat().st_size if size is None else offset + size
    return [(file, start) for start in range(offset, end, _PIECE_BYTES)]


def read_pieces(pieces: list[Piece], count: Callable[[int], None]) -> None:
    """Read the pieces, many at a time; `count` hears of the bytes of each."""
    with ExitStack() as stack:
        files = {
            file: stack.enter_context(file.open("rb", buffering=0)).fileno() for file in {each[0] for each in pieces}
        }

        def read(piece: Piece) -> None:
            count(os.preadv(files[piece[0]], [bytearray(_PIECE_BYTES)], piece[1]))

        with ThreadPoolExecutor(_READERS, "reading") as pool:
            list(pool.map(read, pieces))


def map_pieces(pieces: list[Piece], until: float = math.inf) -> int:
    """Touch pieces as loading does, mapped and copied from there; how many they were by then."""

    def touch(piece: Piece) -> bool:
        file, offset = piece
        if offset > pieces[_MAPPERS - 1][1] and time.monotonic() > until:
            return False
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            count = min(_PIECE_BYTES, len(mapped) - offset)
            torch.frombuffer(mapped, dtype=torch.uint8, count=count, offset=offset).clone()
        return True

    with ThreadPoolExecutor(_MAPPERS, "mapping") as pool:
        return sum(pool.map(touch, pieces))
