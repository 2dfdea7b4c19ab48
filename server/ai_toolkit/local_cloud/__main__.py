"""`python -m ai_toolkit.local_cloud --home DIR`: serve one folder until told to end."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from ai_toolkit.local_cloud.home import HomeFolder
from ai_toolkit.local_cloud.server import AlreadyServedError, serve
from ai_toolkit.local_cloud.state import StateVersionError

FIRST_INHERITED, LAST_INHERITED = 3, 256  # descriptors that a careless parent may have left open


def main() -> int:
    """0 after an orderly end, 1 when the folder cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m ai_toolkit.local_cloud")
    parser.add_argument("--home", type=Path, required=True, help="folder of token, state, shares and logs")
    parser.add_argument("--tls", action="store_true", help="answer by https, too, with a certificate of its own")
    arguments = parser.parse_args()
    os.closerange(FIRST_INHERITED, LAST_INHERITED)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(HomeFolder(arguments.home.absolute()), tls=arguments.tls))
    except (AlreadyServedError, StateVersionError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
