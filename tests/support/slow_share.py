"""Runs a command for which a folder answers as slowly as a share behind a network.

    python slow_share.py FOLDER SECONDS BYTES_PER_SECOND CACHE -- COMMAND…

For the command alone: it gets a mount namespace of its own, in which a file system lies over the folder. Every read
that the kernel asks for takes SECONDS, as a round trip does, and all of them share one line of BYTES_PER_SECOND (0:
as fast as it goes). With CACHE 0 nothing that was read is kept in memory, as on a mount with `cache=none`. Both ways
of reading are slowed as a network slows them: by `read`, and by touching a mapped page.

What is a file system here speaks the kernel's FUSE protocol itself, and is read-only. It needs Linux, /dev/fuse and
the right to mount. Standard library only: it starts in an
isolated interpreter. mfusepy, the one binding that is kept and
needs no compiler, would need libfuse on every computer that runs the tests.
Source: https://www.kernel.org/doc/html/latest/filesystems/fuse.html and linux/fuse.h
"""

import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 26, 27, 28, 29, 36, 42
UNANSWERED = {FORGET, BATCH_FORGET, INTERRUPT}
ASYNC_READ, BIG_PAGES = 1 << 0, 1 << 22
KEEP_CACHE, DIRECT = 1 << 1, 1 << 0
PAGES_PER_READ = 256
KNOWN_SECONDS = 60  # how long the kernel may go by a name and its attributes
NEW_NAMESPACE, PRIVATE, RECURSIVE, READ_ONLY = 0x20000, 1 << 18, 1 << 14, 1
THREADS = 16


class SlowShare:
    """Answers the kernel's requests from `folder`, taking its time for what is read."""

    def __init__(self, device: int, folder: str, seconds: float, bytes_per_second: float, *, cache: bool) -> None:
        self._device = device
        self._seconds = seconds
        self._bytes_per_second = bytes_per_second
        self._opened_with = KEEP_CACHE if cache else DIRECT
        self._nodes = {1: folder}
        self._numbers = {folder: 1}
        self._lists: dict[int, list[tuple[str, os.stat_result]]] = {}
        self._lock = threading.Lock()
        self._line_free_at = 0.0
        self._next_handle = 1
        self._known_seconds = KNOWN_SECONDS

    def serve(self) -> None:
        """Answer until nothing is mounted any more; several threads may."""
        while True:
            try:
                request = os.read(self._device, 1 << 21)
            except OSError as error:
                if error.errno in {errno.EINTR, errno.EAGAIN, errno.ENOENT}:
                    continue
                return
            _, operation, unique, node = struct.unpack_from("<IIQQ", request)
            if operation in UNANSWERED:
                continue
            try:
                body, problem = self._answer(operation, node, request[40:]), 0
            except OSError as error:
                body, problem = b"", error.errno or errno.EIO
            with contextlib.suppress(OSError):  # whoever asked has gone
                os.write(self._device, struct.pack("<IiQ", 16 + len(body), -problem, unique) + body)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes:
        if operation == INIT:
            return self._begin(body)
        answers = {
            LOOKUP: self._look_up,
            GETATTR: self._tell,
            READLINK: lambda path, _: os.fsencode(Path(path).readlink()),
            OPEN: lambda path, _: struct.pack("<QIi", os.open(path, os.O_RDONLY), self._opened_with, 0),
            READ: self._read,
            RELEASE: self._release,
            OPENDIR: self._open_list,
            READDIR: self._list,
            RELEASEDIR: self._release_list,
            STATFS: self._room,
        }
        if operation not in answers:
            raise OSError(errno.ENOSYS, "not in this file system")
        return answers[operation](self._nodes[node], body)

    def _begin(self, body: bytes) -> bytes:
        _, minor, ahead, flags = struct.unpack_from("<IIII", body)
        flags &= ASYNC_READ | BIG_PAGES
        limits = (64, 48, 4096, 1, PAGES_PER_READ, 0, 0, 0)
        return struct.pack("<IIIIHHIIHHII", 7, min(minor, 31), ahead, flags, *limits).ljust(64, b"\0")

    def _look_up(self, path: str, body: bytes) -> bytes:
        found = str(Path(path, os.fsdecode(body.rstrip(b"\0"))))
        attributes = os.lstat(found)
        with self._lock:
            node = self._numbers.setdefault(found, len(self._numbers) + 1)
            self._nodes[node] = found
        known = struct.pack("<QQQQII", node, 0, self._known_seconds, self._known_seconds, 0, 0)
        return known + self._attributes(node, attributes)

    def _tell(self, path: str, _: bytes) -> bytes:
        return struct.pack("<QII", self._known_seconds, 0, 0) + self._attributes(self._numbers[path], os.lstat(path))

    def _read(self, _: str, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        self._take_time(size)
        return os.pread(handle, size, offset)

    def _release(self, _: str, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _release_list(self, _: str, body: bytes) -> bytes:
        self._lists.pop(struct.unpack_from("<Q", body)[0], None)
        return b""

    def _room(self, path: str, _: bytes) -> bytes:
        found = os.statvfs(path)
        counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<QQQQQIIII24x", *counts, found.f_bsize, found.f_namemax, found.f_frsize, 0)

    def _take_time(self, size: int) -> None:
        time.sleep(self._seconds)
        if self._bytes_per_second:
            with self._lock:
                through = max(time.monotonic(), self._line_free_at) + size / self._bytes_per_second
                self._line_free_at = through
            time.sleep(max(0.0, through - time.monotonic()))

    def _attributes(self, node: int, found: os.stat_result) -> bytes:
        times = [divmod(each, 10**9) for each in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        whole, parts = zip(*times, strict=True)
        owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
        return struct.pack("<6Q10I", node, found.st_size, found.st_blocks, *whole, *parts, *owner, 0, 4096, 0)

    def _open_list(self, path: str, _: bytes) -> bytes:
        with self._lock:
            self._next_handle += 1
            handle = self._next_handle
        with os.scandir(path) as entries:
            self._lists[handle] = [(each.name, each.stat(follow_symlinks=False)) for each in entries]
        return struct.pack("<QIi", handle, 0, 0)

    def _list(self, _: str, body: bytes) -> bytes:
        handle, first, size = struct.unpack_from("<QQI", body)
        listed = b""
        for number, (name, found) in enumerate(self._lists[handle][first:], first + 1):
            encoded = os.fsencode(name)
            kind = stat.S_IFMT(found.st_mode) >> 12
            entry = struct.pack("<QQII", found.st_ino or 1, number, len(encoded), kind) + encoded
            entry += b"\0" * (-len(entry) % 8)
            if len(listed) + len(entry) > size:
                break
            listed += entry
        return listed


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _become(command: list[str], device: int, folder: str, mounted: int, flags: int) -> None:
    """Mount over `folder`, seen by this process alone, and run the command in its place."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(NEW_NAMESPACE))
    _checked(libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None))
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
    _checked(libc.mount(b"slow-share", os.fsencode(folder), b"fuse", flags, options))
    os.write(mounted, b"1")
    os.execvp(command[0], command)  # the command that was given


def main() -> int:
    """The command's exit status, as a shell would give it."""
    folder, seconds, bytes_per_second, cache, _, *command = sys.argv[1:]
    folder = os.path.realpath(folder)
    make = partial(SlowShare, cache=cache == "1")
    return run(lambda device: make(device, folder, float(seconds), float(bytes_per_second)), folder, command, READ_ONLY)


def run(make: Callable[[int], "SlowShare"], folder: str, command: list[str], flags: int) -> int:
    """The exit status of a command that sees the folder through the share, mounted with those flags."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # a polite end is for the command, which reads the share until then
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
        share = make(device)
        mounted, tell = os.pipe()
        child = os.fork()
        if child == 0:
            _become(command, device, folder, tell, flags)
    except (OSError, AttributeError) as error:  # no such call: another system
        sys.stderr.write(f"The share cannot be made slow on this computer: {error}\n")
        os._exit(127)
    os.close(tell)
    os.read(mounted, 1)  # what asks the device before something is mounted is refused
    for _ in range(THREADS):
        threading.Thread(target=share.serve, daemon=True).start()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    code = main()
    os._exit(code if code >= 0 else 128 - code)  # the threads must not hold the process
