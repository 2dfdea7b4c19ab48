"""Where `aitk` begins: Ctrl+C ends it in a word from here on, also while the rest is being loaded."""

import os
import signal

_CANCELLED = 130


def main() -> None:
    """Runs `aitk`."""

    def leave(_number: int, _frame: object) -> None:
        os.write(2, b"\nCancelled: nothing was changed.\n")
        os._exit(_CANCELLED)

    signal.signal(signal.SIGINT, leave)
    from ai_toolkit.cli.commands import main as run  # noqa: PLC0415  (loads the libraries)

    run()


if __name__ == "__main__":
    main()
