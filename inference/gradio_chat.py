"""The inference app: a chat page at `/` and an OpenAI-compatible API at `/v1`, for a model and its adapters.

In the container `start.py` runs it. By hand, beside `models/` and `model-cache/`:

    python3 gradio_chat.py [--base-model …] [--help]

What you may want to edit: `settings.toml`, `chat_page.py`, and this file. The rest is in `aitk_app/`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitk_app.web.answering import Completions

FOLDER = Path(__file__).resolve().parent
_LOOK_FOR_EVENTS_SECONDS = 0.05


def build_page(completions: Completions) -> Callable[[Any], Any]:
    """What puts the chat page into the app; called once the model is loaded: Gradio's import takes long."""
    import gradio  # noqa: PLC0415 - see above

    from aitk_app.chat.page_address import PageAddress  # noqa: PLC0415 - it belongs to the page
    from chat_page import chat_page, look  # noqa: PLC0415 - see above

    page = chat_page(completions)

    def add_to(app: Any) -> Any:  # noqa: ANN401 - a FastAPI
        app.add_middleware(PageAddress)
        mounted = gradio.mount_gradio_app(
            app,
            page,
            path="/",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            show_error=False,
            **look(),
        )
        # Gradio looks for events a thousand times a second otherwise, which takes a tenth of a processor while idle.
        page._queue.sleep_when_free = _LOOK_FOR_EVENTS_SECONDS  # noqa: SLF001 - it has no public setting
        return mounted

    return add_to


def main() -> None:
    """Listen, then load and serve."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from aitk_app.settings import read_settings  # noqa: PLC0415 - help needs nothing else

        read_settings(FOLDER / "settings.toml", sys.argv[1:], os.environ)
    listener = inherited_socket() or own_socket()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    host, port = listener.getsockname()[:2]
    logging.getLogger("gradio_chat").info("listening on http://%s:%s", host, port)

    from aitk_app.web.access import Access  # noqa: PLC0415 - after the socket: the sooner it listens, the better
    from aitk_app.web.service import Service  # noqa: PLC0415 - the same

    service = Service(FOLDER, share_folder(), Access(os.environ.get("AITK_API_KEY") or None), build_page)
    asyncio.run(service.run(listener, sys.argv[1:]))


def share_folder() -> Path:
    """The folder that holds `models/` and `model-cache/`."""
    configured = os.environ.get("AITK_SHARE")
    return Path(configured) if configured else FOLDER.parent


def inherited_socket() -> socket.socket | None:
    """The listening socket that `start.py` handed over."""
    descriptor = os.environ.pop("AITK_SOCKET_FD", None)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


def own_socket() -> socket.socket:
    """A listening socket: every interface when there is a key, else the loopback interface only."""
    host = os.environ.get("AITK_HOST") or ("0.0.0.0" if os.environ.get("AITK_API_KEY") else "127.0.0.1")  # noqa: S104 - every route asks for the key
    port = int(os.environ.get("CONTAINER_APP_PORT") or 7860)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(256)
    return listener


if __name__ == "__main__":
    main()
