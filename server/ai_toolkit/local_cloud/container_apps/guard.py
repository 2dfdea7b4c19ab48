"""Runs a replica's command so that it cannot outlive the local cloud.

The local cloud starts this file as a script, in a process group of its own, with a pipe as standard
input. When the pipe closes, because the local cloud ended in whatever way, the whole group is killed.
Standard library only, and nothing of the package: it must start in a few milliseconds.
"""

import os
import signal
import subprocess
import sys
import threading


def _kill_group_at_end_of_input() -> None:
    while os.read(0, 1):
        pass
    if sys.platform == "win32":  # where the local cloud does not run
        raise NotImplementedError
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """The command's exit status, as a shell would give it."""
    # A handler, not SIG_IGN, which the command would inherit: a polite end is for the command alone.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  # the app's command
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        return 127
    threading.Thread(target=_kill_group_at_end_of_input, daemon=True).start()
    status = command.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for the pipe must not hold the process
