"""Runs a command for which a folder is mounted as Container Apps mounts an Azure file share.

    python forgetful_share.py FOLDER SECONDS -- COMMAND…

As `cifs file_mode=0777,dir_mode=0777,actimeo=30` does, the mount goes for SECONDS by what it knows of a file, and by
what it knows not to be there; opening a file asks anew. Anybody may read and write everything; `chmod` and `utime` are
refused. What the command itself writes it sees at once. For the command alone, as `slow_share.py`, which it stands on.
Source: https://github.com/microsoft/azure-container-apps/issues/873
"""

import contextlib
import errno
import os
import stat
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120  # as a script of an isolated interpreter
import slow_share

SETATTR, MKDIR, UNLINK, RMDIR, RENAME, WRITE, FSYNC, FLUSH, FSYNCDIR, CREATE, RENAME2 = (
    4, 9, 10, 11, 12, 16, 20, 25, 30, 35, 45,
)  # fmt: skip
MODE, OWNER, SIZE, TIMES = 1 << 0, 1 << 1 | 1 << 2, 1 << 3, 1 << 4 | 1 << 5
BIG_WRITES, LONGEST_WRITE = 1 << 5, 1 << 17
INVALIDATE = 2
EVERYBODY = 0o777
OPENED = os.O_ACCMODE | os.O_APPEND | os.O_TRUNC


class ForgetfulShare(slow_share.SlowShare):
    """Answers the kernel's requests from `folder`, and lets it remember the answers for so many seconds."""

    def __init__(self, device: int, folder: str, seconds: int) -> None:
        super().__init__(device, folder, 0.0, 0.0, cache=False)
        self._known_seconds = seconds
        self._opened_with = 0  # through the page cache, which each open empties

    def _answer(self, operation: int, node: int, body: bytes) -> bytes:
        answers = {
            SETATTR: self._change,
            MKDIR: self._make_folder,
            UNLINK: lambda path, name: self._remove(os.unlink, path, name),
            RMDIR: lambda path, name: self._remove(os.rmdir, path, name),
            RENAME: lambda path, sent: self._rename(path, sent, 8),
            RENAME2: lambda path, sent: self._rename(path, sent, 16),
            WRITE: self._write,
            CREATE: self._create,
            FSYNC: lambda _path, _body: b"",
            FLUSH: lambda _path, _body: b"",
            FSYNCDIR: lambda _path, _body: b"",
        }
        if operation in answers:
            return answers[operation](self._nodes[node], body)
        if operation == slow_share.OPEN:
            return self._open(node, body)
        return super()._answer(operation, node, body)

    def _begin(self, body: bytes) -> bytes:
        _, minor, ahead, flags = struct.unpack_from("<IIII", body)
        flags &= slow_share.ASYNC_READ | slow_share.BIG_PAGES | BIG_WRITES
        limits = (64, 48, LONGEST_WRITE, 1, slow_share.PAGES_PER_READ, 0, 0, 0)
        return struct.pack("<IIIIHHIIHHII", 7, min(minor, 31), ahead, flags, *limits).ljust(64, b"\0")

    def _look_up(self, path: str, body: bytes) -> bytes:
        try:
            return super()._look_up(path, body)
        except FileNotFoundError:  # which is remembered, too
            return struct.pack("<QQQQII", 0, 0, self._known_seconds, 0, 0, 0).ljust(128, b"\0")

    def _attributes(self, node: int, found: os.stat_result) -> bytes:
        mode = stat.S_IFMT(found.st_mode) | EVERYBODY
        seen = os.stat_result((mode, *found[1:4], 0, 0, *found[6:]), {"st_blocks": found.st_blocks,
            **{name: getattr(found, name) for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")}})  # fmt: skip
        return super()._attributes(node, seen)

    def _open(self, node: int, body: bytes) -> bytes:
        """A handle; what is known of the file is forgotten, for an SMB client learns it anew with every open."""
        flags = struct.unpack_from("<I", body)[0] & OPENED
        handle = os.open(self._nodes[node], flags)
        notice = struct.pack("<IiQQqq", 40, INVALIDATE, 0, node, -1, 0)
        with contextlib.suppress(OSError):  # it knew nothing
            os.write(self._device, notice)
        return struct.pack("<QIi", handle, self._opened_with, 0)

    def _create(self, path: str, body: bytes) -> bytes:
        flags = struct.unpack_from("<I", body)[0] & OPENED
        name = body[16:]
        handle = os.open(Path(path, os.fsdecode(name.rstrip(b"\0"))), flags | os.O_CREAT, 0o666)
        return super()._look_up(path, name) + struct.pack("<QIi", handle, self._opened_with, 0)

    def _write(self, _path: str, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def _make_folder(self, path: str, body: bytes) -> bytes:
        Path(path, os.fsdecode(body[8:].rstrip(b"\0"))).mkdir()
        return super()._look_up(path, body[8:])

    def _remove(self, remove: "object", path: str, name: bytes) -> bytes:
        remove(Path(path, os.fsdecode(name.rstrip(b"\0"))))  # type: ignore[operator]
        return b""

    def _rename(self, path: str, body: bytes, names_at: int) -> bytes:
        (folder,) = struct.unpack_from("<Q", body)
        old, new, _ = body[names_at:].split(b"\0", 2)
        before, after = str(Path(path, os.fsdecode(old))), str(Path(self._nodes[folder], os.fsdecode(new)))
        os.replace(before, after)  # noqa: PTH105
        with self._lock:
            for node, known in list(self._nodes.items()):
                if known == before or known.startswith(f"{before}/"):
                    moved = after + known[len(before) :]
                    self._nodes[node] = moved
                    self._numbers.pop(known, None)
                    self._numbers[moved] = node
        return b""

    def _change(self, path: str, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        if valid & (MODE | OWNER | TIMES):
            raise PermissionError(errno.EPERM, "not on a share of this kind")
        if valid & SIZE:
            os.truncate(path, size)
        return self._tell(path, b"")


def main() -> int:
    """The command's exit status, as a shell would give it."""
    folder, seconds, _, *command = sys.argv[1:]
    folder = os.path.realpath(folder)
    return slow_share.run(lambda device: ForgetfulShare(device, folder, int(seconds)), folder, command, 0)


if __name__ == "__main__":
    code = main()
    os._exit(code if code >= 0 else 128 - code)  # the threads must not hold the process
