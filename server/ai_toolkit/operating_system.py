"""What Windows does otherwise than Linux and macOS: locks on files, reads at a place, signals, groups of processes.

The local cloud runs commands as Linux does and is refused on Windows (`CANNOT_RUN_HERE`); the rest runs on all three.
"""

import asyncio
import ctypes
import getpass
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import PurePath, PureWindowsPath
from typing import Final
from urllib.parse import unquote

LONGEST_WINDOWS_PATH: Final = 259
"""Characters of a path, unless the computer opens longer ones (Microsoft Learn, "Maximum Path Length Limitation")."""

CANNOT_RUN_HERE: Final = (
    (
        "The local cloud runs on Linux and macOS, and on Windows inside WSL, the Windows Subsystem for Linux.",
        "Choose an Azure subscription, or install WSL (wsl --install) and open this folder there.",
    )
    if sys.platform == "win32"
    else None
)
"""Why this computer cannot have a local cloud, and what to do instead; None where it can."""

if sys.platform == "win32":
    import msvcrt

    NO_FOLLOW: Final = 0
    """The flag for `os.open` that refuses a link."""
    _MOVING: Final = threading.Lock()

    def take_lock(descriptor: int) -> bool:
        """Whether the open file is now this process's alone; the system lets go of it when the process ends."""
        try:
            with _MOVING:
                os.lseek(descriptor, 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def read_at(descriptor: int, length: int, offset: int) -> bytes:
        """At most `length` bytes from there; threads may read one file at the same time."""
        with _MOVING:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)

    def write_at(descriptor: int, content: memoryview, offset: int) -> int:
        """How many bytes were written there."""
        with _MOVING:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, content)

    _QUERY_LIMITED_INFORMATION: Final = 0x1000
    _INVALID_PARAMETER: Final = 87
    """What OpenProcess fails with where there is no such process (Microsoft Learn, "OpenProcess function")."""
    _STILL_ACTIVE: Final = 259

    def has_ended(process: int) -> bool:
        """Whether there is certainly no such process; another user's, which may not be looked at, counts as alive."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, 0, process)
        if not handle:
            return ctypes.get_last_error() == _INVALID_PARAMETER
        code = ctypes.c_ulong()
        told = kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        kernel.CloseHandle(ctypes.c_void_p(handle))
        return bool(told) and code.value != _STILL_ACTIVE

    def end_group(group: int, *, politely: bool = False) -> None:
        """End every process of a group; raises ProcessLookupError for one that is gone."""
        del politely
        os.kill(group, signal.SIGTERM)
else:
    import fcntl

    NO_FOLLOW: Final = os.O_NOFOLLOW
    """The flag for `os.open` that refuses a link."""

    def take_lock(descriptor: int) -> bool:
        """Whether the open file is now this process's alone; the system lets go of it when the process ends."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def read_at(descriptor: int, length: int, offset: int) -> bytes:
        """At most `length` bytes from there; threads may read one file at the same time."""
        return os.pread(descriptor, length, offset)

    def write_at(descriptor: int, content: memoryview, offset: int) -> int:
        """How many bytes were written there."""
        return os.pwrite(descriptor, content, offset)

    def has_ended(process: int) -> bool:
        """Whether there is certainly no such process; another user's counts as alive."""
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def end_group(group: int, *, politely: bool = False) -> None:
        """End every process of a group; raises ProcessLookupError for one that is gone."""
        os.killpg(group, signal.SIGTERM if politely else signal.SIGKILL)


def path_in(host: str, path: str, system: type[PurePath]) -> PurePath:
    """The file that a `file:` URI's host and path name on a system: VS Code writes a drive as `/c%3A/`."""
    plain = unquote(path)
    if not issubclass(system, PureWindowsPath):
        return system(plain)
    if host:
        return system(f"//{host}{plain}")
    drive = re.match(r"/([A-Za-z]):", plain)
    return system(f"{drive[1].upper()}:{plain[drive.end() :] or '/'}" if drive else plain)


def path_problem(path: PurePath) -> str | None:
    """Why this system does not open a file of that path, as far as the path's length tells."""
    length = len(str(path))
    if not isinstance(path, PureWindowsPath) or length <= LONGEST_WINDOWS_PATH or _opens_long_paths():
        return None
    return (
        f"its path has {length} characters, and Windows opens {LONGEST_WINDOWS_PATH} unless long paths are on: "
        "move the folder nearer to the drive's root, or set LongPathsEnabled"
    )


def user_name() -> str:
    """The name of who runs this process, as far as the system tells one."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without an entry, a service
        return "somebody"


def _opens_long_paths() -> bool:
    if sys.platform != "win32":
        return False
    return bool(ctypes.windll.ntdll.RtlAreLongPathsEnabled())


def on_interruption(loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
    """Calls `work` on the loop's thread when Ctrl+C is pressed, or the system asks this process to end."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    for number in numbers:
        try:
            loop.add_signal_handler(number, work)
        except NotImplementedError:  # Windows' loop has none
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(work))
