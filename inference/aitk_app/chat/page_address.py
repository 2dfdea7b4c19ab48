"""Lets the chat page work behind a prefix, as in a remote editor that forwards the port as `/proxy/7860/`.

Gradio's page asks its server at the address that the server thinks it has. A proxy that takes its prefix away
leaves that wrong, so the page is told to ask where it came from. What Gradio serves besides (uploads, files, other
servers, profiles), and the page does not use, is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitk_app.web.access import openai_error

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from aitk_app.web.gate import App, Receive, Scope, Send

_BEFORE = b"<script data-gradio-mode>"
_OWN_ADDRESS = (
    b'<script>sessionStorage.removeItem("aitk"); if (location.hash.startsWith("#aitk=")) '
    b'history.replaceState(null, "", location.pathname + location.search); if (window.gradio_config) '
    b'window.gradio_config.root = location.origin + location.pathname.replace(/\\/$/, "");</script>'
)


# The first parts of Gradio's routes that the page does not use; a test holds Gradio's own routes against them.
_CLOSED = frozenset(
    {"upload", "upload_progress", "file", "proxy", "stream", "component_server", "custom_component", "deep_link"}
    | {"process_recording", "vibe-code", "vibe-edit", "vibe-starter-queries", "undo-vibe-edit", "monitoring", "dev"}
    | {"profiling", "run-history", "runs", "login", "login_check", "token", "user"}
)


def is_closed(path: str) -> bool:
    """Whether it is a route of Gradio's that the page does not use."""
    own = path.removeprefix("/gradio_api").lstrip("/")
    return own.partition("/")[0].partition("=")[0] in _CLOSED


class PageAddress:
    """An ASGI middleware around Gradio that adds one script to the page at `/`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but what is closed; the page is collected and sent with the script."""
        if scope["type"] == "http" and is_closed(scope["path"]):
            body = openai_error(f"There is no {scope['path']} here.", kind="invalid_request_error", code="not_found")
            kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 404, "headers": kind})
            await send({"type": "http.response.body", "body": body})
            return
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        # Uncompressed, or the script's place would not be found.
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        start: MutableMapping[str, Any] = {}
        body = b""

        async def collect(message: MutableMapping[str, Any]) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await finish()

        async def finish() -> None:
            page = body.replace(_BEFORE, _OWN_ADDRESS + _BEFORE, 1)
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            length = (b"content-length", str(len(page)).encode())
            await send({**start, "headers": [*kept, length]})
            await send({"type": "http.response.body", "body": page})

        await self._app({**scope, "headers": headers}, receive, collect)
