"""Pages of other origins that may call the API from a browser: those that `AITK_ALLOWED_ORIGINS` names, and no other.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_METHODS = "GET, POST, OPTIONS"
_SECONDS_KEPT = "600"


class AllowedOrigins:
    """The origins, such as `https://app.contoso.example`; cookies are for our own pages, so that a key is needed."""

    def __init__(self, named: str) -> None:
        self._origins = frozenset(each.strip().rstrip("/").lower() for each in named.split(",") if each.strip())

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What the answer to a request with these headers (names in lower case) gets besides; nothing for others."""
        origin = headers.get("origin", "")
        if origin.lower() not in self._origins:
            return {}
        return {"access-control-allow-origin": origin, "access-control-expose-headers": "retry-after", "vary": "origin"}

    def preflight(self, method: str, headers: Mapping[str, str]) -> dict[str, str] | None:
        """The headers that answer a browser's question before its request; None for every other request."""
        allowed = self.headers(headers)
        if method != "OPTIONS" or "access-control-request-method" not in headers or not allowed:
            return None
        asked = headers.get("access-control-request-headers", "authorization, content-type")
        return allowed | {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": asked,
            "access-control-max-age": _SECONDS_KEPT,
        }
