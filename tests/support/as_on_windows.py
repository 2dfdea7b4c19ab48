"""Runs `aitk` as far as possible as on Windows: what this package cannot have there is not there for it.

    python as_on_windows.py ARGUMENTS…

Only the package itself is deceived: `sys.platform` is "win32" for its modules, the modules and functions that exist on
POSIX alone are missing, and the event loop has no signal handlers. Python's own library still sees this system.
"""

import asyncio.unix_events
import builtins
import fcntl
import signal
import sys
import types
from collections.abc import Mapping

# ruff: noqa: SIM905  (words read better than a list of them)
_frame = sys._getframe

MISSING_MODULES = frozenset(
    "crypt fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios tty".split()
)
# Availability of the functions of os, signal, socket, time and asyncio as docs.python.org/3.11 gives it.
MISSING = {
    "os": frozenset(
        "chown chroot confstr ctermid fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs getegid geteuid "
        "getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getresgid getresuid getsid getuid "
        "initgroups killpg lchown lockf major makedev minor mkfifo mknod nice openpty pathconf pipe2 posix_spawn "
        "posix_spawnp pread preadv pwrite pwritev readv sched_getaffinity sched_yield sendfile setegid seteuid setgid "
        "setgroups setpgid setpriority setregid setresgid setresuid setreuid setsid setuid statvfs sync sysconf "
        "tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev "
        "O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC POSIX_SPAWN_CLOSE POSIX_SPAWN_DUP2 "
        "POSIX_SPAWN_OPEN WNOHANG WEXITSTATUS WIFEXITED WIFSIGNALED WTERMSIG".split()
    ),
    "signal": frozenset(
        "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm pause "
        "pthread_kill pthread_sigmask setitimer sigpending sigwait sigtimedwait".split()
    ),
    "socket": frozenset("AF_UNIX SO_REUSEPORT sethostname socketpair_unix".split()),
    "time": frozenset("clock_gettime clock_settime pthread_getcpuclockid tzset".split()),
    "asyncio": frozenset("open_unix_connection start_unix_server".split()),
}
OTHERWISE: Mapping[tuple[str, str], object] = {
    ("sys", "platform"): "win32",
    ("os", "name"): "nt",
    ("signal", "SIGBREAK"): signal.SIGUSR1,
}


def _is_ours(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "ai_toolkit"


class _AsOnWindows(types.ModuleType):
    """A module that lacks, for this package, what Windows lacks."""

    def __getattribute__(self, name: str) -> object:
        if _is_ours(_frame(1)):
            module = super().__getattribute__("__name__")
            if (module, name) in OTHERWISE:
                return OTHERWISE[module, name]
            if name in MISSING.get(module, ()):
                raise AttributeError(f"module '{module}' has no attribute '{name}' on Windows")
        return super().__getattribute__(name)


def _locking(descriptor: int, mode: int, _bytes: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if mode == 2 else 0))  # which raises OSError too


def deceive() -> None:
    """From now on the package sees Windows."""
    for name in (*MISSING, "sys"):
        sys.modules[name].__class__ = _AsOnWindows
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.__dict__.update(LK_LOCK=1, LK_NBLCK=2, locking=_locking)
    sys.modules["msvcrt"] = msvcrt
    real = builtins.__import__

    def find(name: str, *rest: object, **named: object) -> types.ModuleType:
        if name.partition(".")[0] in MISSING_MODULES and _is_ours(_frame(1)):
            raise ModuleNotFoundError(f"No module named '{name}' on Windows")
        return real(name, *rest, **named)  # type: ignore[arg-type]

    builtins.__import__ = find

    def no_handler(*_given: object) -> None:
        raise NotImplementedError

    asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = no_handler  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    deceive()
    from ai_toolkit.cli.commands import main

    main(prog_name="aitk")
