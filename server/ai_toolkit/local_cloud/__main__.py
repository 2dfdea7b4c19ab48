"""`python -m ai_toolkit.local_cloud --home DIR`: serve one folder until told to end."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from ai_toolkit.local_cloud.core.home import HomeFolder

FIRST_INHERITED, LAST_INHERITED = 3, 256  # descriptors that a careless parent may have left open


@contextlib.contextmanager
def _no_authorities() -> Iterator[None]:
    """While aiohttp is imported it reads every authority that this computer trusts: a fifth of our start.

    The local cloud calls only its own replicas, without TLS, so there is nothing to trust.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():  # replicas get the user's own
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def main() -> int:
    """0 after an orderly end, 1 when the folder cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m ai_toolkit.local_cloud")
    parser.add_argument("--home", type=Path, required=True, help="folder of token, state, shares and logs")
    parser.add_argument("--tls", action="store_true", help="answer by https, too, with a certificate of its own")
    arguments = parser.parse_args()
    gc.disable()  # nothing that an import makes is garbage: `serve` turns it on again
    os.closerange(FIRST_INHERITED, LAST_INHERITED)
    with _no_authorities():
        from ai_toolkit.local_cloud.core import full_disk  # noqa: PLC0415
        from ai_toolkit.local_cloud.core.arm_error import ArmError  # noqa: PLC0415  # costly, see there
        from ai_toolkit.local_cloud.core.state import StateVersionError  # noqa: PLC0415
        from ai_toolkit.local_cloud.server import AlreadyServedError, CloudSettings, serve  # noqa: PLC0415  # costly, see there
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = CloudSettings.read(os.environ)
        asyncio.run(serve(HomeFolder(arguments.home.absolute()), tls=arguments.tls, settings=settings))
    except (AlreadyServedError, StateVersionError, ArmError, OSError, ValueError, sqlite3.OperationalError) as error:
        told = full_disk.in_words(arguments.home) if full_disk.is_full(error) else str(error)
        sys.stderr.write(f"{told}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
