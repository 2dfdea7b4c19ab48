"""What a request gets before the app proper sees it: one table, for `start.py` and for the gate.

| request | answer |
| --- | --- |
| `/health` | 200 |
| `/ready` | 200 when ready, else 503 with the stage |
| `POST /session` | 204 with a cookie for a valid link or key, else 401 |
| `DELETE /session` | 204, and the cookie is gone |
| with the cookie, from another site's page | 403 |
| without a key set, from another computer's page | 403 |
| without the key or a cookie | 401: a login page for people, OpenAI's error shape for programs |
| before the model is ready | 503: a waiting page for people, OpenAI's error shape for programs (unless held) |
| else | nothing: the app answers |

A program's request below `/v1/` that arrives while the app starts is not told to come back but held until it can be
answered: `may_wait` says which. A start that has failed, or with nothing deployed, is told at once, and that asking
again by itself is of no use (`x-should-retry`, which OpenAI's clients heed).

Standard library only: `start.py` needs it before any package is there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aitk_app.readiness import Stage, State
from aitk_app.web.access import openai_error
from aitk_app.web.pages import REFRESH_SECONDS, login_page, waiting_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitk_app.web.access import Access

SESSION = "/session"
_THIS_COMPUTER = {"localhost", "127.0.0.1", "[::1]"}
_JSON, _HTML = "application/json", "text/html; charset=utf-8"
# Of pages: nothing from elsewhere is loaded or sent to, and no other site shows them in a frame. Gradio's own page has
# scripts and styles in it.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
}
_RETRY = {"retry-after": str(REFRESH_SECONDS)}
_NO_USE = {"x-should-retry": "false"}
_WAITING_METHODS = frozenset({"GET", "POST"})
_READY = State(Stage.READY)


@dataclass(frozen=True)
class Answer:
    """A whole response; header names are in lower case."""

    status: int
    body: bytes = b""
    kind: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_headers(self) -> dict[str, str]:
        """With what every answer has; 204 has no body."""
        about = {} if self.status == 204 else {"content-type": self.kind, "content-length": str(len(self.body))}  # noqa: PLR2004 - HTTP's number
        safe = PAGE_HEADERS if self.kind == _HTML else {}
        return {"cache-control": "no-store", **safe, **self.headers, **about}


def entrance(  # noqa: PLR0911 - one return a row of the table
    path: str, headers: Mapping[str, str], access: Access, state: State, method: str = "GET"
) -> Answer | None:
    """The answer to a request with these headers (names in lower case); None where the app is to answer.

    `POST /session` is for `open_session`, which needs the body.
    """
    for_people = "text/html" in headers.get("accept", "")
    if path == "/health":
        return Answer(200, b'{"status": "ok"}')
    if path == "/ready":
        body = json.dumps(state.as_json()).encode()
        return Answer(200, body) if state.ready else Answer(503, body, headers=_RETRY)
    if access.key is None and not _from_here(headers):
        message = "Without a key this endpoint answers only this computer. Set AITK_API_KEY to answer others."
        return Answer(403, openai_error(message, kind="invalid_request_error", code="foreign_host"))
    by_cookie = access.key is not None and access.allows(headers) and not access.has_key(headers)
    if by_cookie and _from_elsewhere(headers, method):
        message = (
            "A page of another site asks. Programs send the key; a browser's cookie is for this endpoint's own page."
        )
        return Answer(403, openai_error(message, kind="invalid_request_error", code="foreign_page"))
    if path == SESSION and method == "DELETE":
        return Answer(204, headers={"set-cookie": access.no_cookie()})
    if not access.allows(headers):
        if for_people:
            return Answer(401, login_page(path), _HTML)
        message = "A key is needed: Authorization: Bearer KEY. `aitk key` prints it."
        body = openai_error(message, kind="invalid_request_error", code="invalid_api_key")
        return Answer(401, body, headers={"www-authenticate": "Bearer"})
    if state.ready:
        return None
    if for_people:
        page = waiting_page(path, state.stage, state.detail, state.reason, state.progress)
        return Answer(503, page, _HTML, _RETRY)
    return not_ready(state)


def not_ready(state: State, retry_seconds: int = REFRESH_SECONDS) -> Answer:
    """What a program is told that is not held, or not any longer."""
    message = f"Not ready: {state.stage.said}. {state.reason or state.detail}"
    headers = {"retry-after": str(retry_seconds)} if state.starting or state.ready else _NO_USE
    return Answer(503, openai_error(message, kind="server_error", code="not_ready"), headers=headers)


def may_wait(method: str, path: str, headers: Mapping[str, str], access: Access, state: State) -> bool:
    """Whether a request may be held until the app is ready: a program's, to the API, with the key."""
    if not (state.starting and path.startswith("/v1/") and method in _WAITING_METHODS):
        return False
    return "text/html" not in headers.get("accept", "") and entrance(path, headers, access, _READY, method) is None


def open_session(body: bytes, access: Access, *, secure: bool) -> Answer:
    """A cookie for a valid link or key; `secure` when the browser came by https."""
    cookie = access.session_cookie(body, secure=secure)
    if cookie:
        return Answer(204, headers={"set-cookie": cookie})
    message = "Not this endpoint's key, or a link that has expired."
    return Answer(401, openai_error(message, kind="invalid_request_error"))


def _from_elsewhere(headers: Mapping[str, str], method: str) -> bool:
    """Whether a browser says that another site's page asks; following a link to here is not asking.

    Source: https://www.w3.org/TR/fetch-metadata/
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        follows = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
        return site not in {"same-origin", "none"} and not follows
    origin = headers.get("origin")
    if origin is None:
        return False
    here = {headers.get("host"), headers.get("x-forwarded-host")}
    return origin.partition("://")[2] not in here or origin == "null"


def _from_here(headers: Mapping[str, str]) -> bool:
    """Whether a browser on this computer asks from a page of this computer: no other page may, by any name."""
    names = [_host(headers.get("host", ""))]
    if "origin" in headers:
        names.append(_host(headers["origin"].partition("://")[2]))
    return all(name in _THIS_COMPUTER for name in names)


def _host(address: str) -> str:
    return address.partition("]")[0] + "]" if address.startswith("[") else address.partition(":")[0]
