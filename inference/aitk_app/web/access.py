"""Who may use the endpoint: the key, the signed link, and the cookie that a browser gets for either.

Standard library only: `start.py` needs it before any package is there.

- Programs send `Authorization: Bearer KEY`.
- A signed link is `https://…/#aitk=EXPIRY.SIGNATURE`: the fragment never reaches a server's or a proxy's log.
  The login page's script posts it to `session`, and gets a cookie of the same kind that lasts longer.
- No session is kept on the server, so that any replica accepts what another one gave.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKIE_LIFETIME = timedelta(hours=12)
SESSION_BODY_LIMIT_BYTES = 4096


@dataclass(frozen=True)
class Access:
    """Whether a caller may use the app; without a key (`None`) it is open, and the app listens on loopback only."""

    key: str | None

    @property
    def cookie_name(self) -> str:
        """A name of this key's own: two endpoints on one host (127.0.0.1) do not overwrite each other's."""
        return "aitk_" + hashlib.sha256((self.key or "").encode()).hexdigest()[:8]

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers (names in lower case) may pass."""
        if self.key is None or self.has_key(headers):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        cookie = cookies.get(self.cookie_name)
        return cookie is not None and self._verified("aitk-cookie", cookie.value)

    def has_key(self, headers: Mapping[str, str]) -> bool:
        """Whether a program sent the key."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return self.key is not None and scheme.lower() == "bearer" and _same(token.strip(), self.key)

    def no_cookie(self) -> str:
        """A `Set-Cookie` value that takes the cookie away."""
        return f"{self.cookie_name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"

    def session_cookie(self, body: bytes, *, secure: bool) -> str | None:
        """A `Set-Cookie` value for `{"link": "…"}` or `{"key": "…"}`; None when it is not valid."""
        if self.key is None or len(body) > SESSION_BODY_LIMIT_BYTES:
            return None
        try:
            offered = json.loads(body)
        except ValueError:
            return None
        if not isinstance(offered, dict):
            return None
        link, key = offered.get("link"), offered.get("key")
        by_link = isinstance(link, str) and self._verified("aitk-link", link)
        by_key = isinstance(key, str) and _same(key.strip(), self.key)
        if not (by_link or by_key):
            return None
        value = self.signed("aitk-cookie", COOKIE_LIFETIME)
        attributes = f"Max-Age={int(COOKIE_LIFETIME.total_seconds())}; Path=/; HttpOnly; SameSite=Lax"
        return f"{self.cookie_name}={value}; {attributes}" + ("; Secure" if secure else "")

    def signed(self, purpose: str, lifetime: timedelta) -> str:
        """`EXPIRY.SIGNATURE`, the expiry in seconds since 1970."""
        expiry = str(int(time.time() + lifetime.total_seconds()))
        return f"{expiry}.{self._signature(purpose, expiry)}"

    def _signature(self, purpose: str, expiry: str) -> str:
        return hmac.new((self.key or "").encode(), f"{purpose}:{expiry}".encode(), hashlib.sha256).hexdigest()

    def _verified(self, purpose: str, token: str) -> bool:
        expiry, _, signature = token.partition(".")
        if not _same(signature, self._signature(purpose, expiry)):
            return False
        return expiry.isdecimal() and int(expiry) > time.time()


def _same(left: str, right: str) -> bool:
    """Equality that takes the same time wherever the difference is."""
    return hmac.compare_digest(left.encode(), right.encode())


def openai_error(message: str, *, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """An error body in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": error}).encode()


def unexpected_message(number: str) -> str:
    """What whoever asked is told of an error that nobody foresaw; the log has the rest under this id."""
    return f"The server failed on this request. Its log says why under error {number}; try again."
