"""Runs a command as Container Apps runs those of GPU replicas: as a user without a name, who may write little.

    python unprivileged.py UID COMMAND…

Since June 2026 a container with a GPU whose user would be root runs as an injected user who has no entry in passwd;
only the working directory, /tmp and mounts are writable. The user gets the right to read and enter every folder, since
shares and Python environments lie in folders of this computer's that are closed to others; writing is asked for.
Source: https://github.com/microsoft/azure-container-apps/issues/1746

Standard library only, and nothing of the package: as a script it must start in a few milliseconds.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path
from typing import Final

_FIRST_USER: Final = 64198
_CHOWN, _READ_AND_SEARCH, _SET_GROUP, _SET_USER, _SET_BITS = 0, 2, 6, 7, 8  # linux/capability.h
_KEEP_CAPABILITIES, _SET_SECURE_BITS, _AMBIENT, _RAISE = 8, 28, 47, 2  # linux/prctl.h
_NO_SETUID_FIXUP: Final = 1 << 2  # linux/securebits.h
_VERSION_3: Final = 0x20080522


def unnamed_user() -> int | None:
    """A user id without an entry in passwd; None where this process may not change users."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return None
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    effective = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    if any(not effective >> needed & 1 for needed in (_CHOWN, _READ_AND_SEARCH, _SET_GROUP, _SET_USER, _SET_BITS)):
        return None
    return next(number for number in range(_FIRST_USER, _FIRST_USER + 1000) if not _has_name(number))


def as_user(user: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `command` as that user."""
    return (sys.executable, "-I", "-S", __file__, str(user), *command)


def _has_name(user: int) -> bool:
    if sys.platform != "linux":  # see `unnamed_user`
        raise NotImplementedError
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _become(user: int) -> None:
    """Another user for good, but for the right to read; raises OSError."""
    if sys.platform != "linux":  # see `unnamed_user`
        raise NotImplementedError
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0))
    # Else access(), by which a shell looks for its programs, answers as if the right to read were not there.
    _check(libc.prctl(_SET_SECURE_BITS, _NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    rights = 1 << _READ_AND_SEARCH
    _check(libc.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)(rights, rights, rights, 0, 0, 0)))
    _check(libc.prctl(_AMBIENT, _RAISE, _READ_AND_SEARCH, 0, 0))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> int:
    """Become the command; an exit status only where there is none of that name."""
    _become(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # the app's command
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main())
