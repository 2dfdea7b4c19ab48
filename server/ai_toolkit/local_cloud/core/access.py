"""Who may call: this computer's own programs that hold the token, and no web page."""

import hmac
import logging
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})


def is_own_host(request: web.Request) -> bool:
    """Whether the request names this computer: a page that rebinds a foreign name does not."""
    name, _, _port = (request.headers.get("Host") or "").partition(":")
    return name.lower() in LOOPBACK_NAMES


def resource_manager_access(
    tokens: Callable[[str], bool], is_public: Callable[[web.Request], bool]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that lets through what holds a token and translates `ArmError`s.

    `tokens` says whether a bearer token is a good one, `is_public` what is answered without.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_own_page(request)
            if not is_public(request):
                _check_token(request, tokens)
            response = await handler(request)
        except ArmError as error:
            response = error.response()
            if error.status == 401:  # noqa: PLR2004  # HTTP's number for "not authenticated"
                response.headers["WWW-Authenticate"] = error.challenge or 'Bearer error="invalid_token"'
        except web.HTTPException as error:
            response = ArmError("BadRequest", error.reason, status=error.status).response()
        except Exception:
            log.exception("unexpected failure in %s %s", request.method, request.path)
            response = ArmError(
                "InternalServerError",
                "The local cloud failed; its log says why (logs/local-cloud.log in its folder).",
                status=500,
            ).response()
        if not response.prepared:
            identifier = request.headers.get("x-ms-client-request-id") or str(uuid.uuid4())
            response.headers["x-ms-request-id"] = str(uuid.uuid4())
            response.headers["x-ms-correlation-request-id"] = identifier
            response.headers["Cache-Control"] = "no-cache"
        return response

    return check


def _check_own_page(request: web.Request) -> None:
    """Raise ArmError for what a web page may have sent."""
    if not is_own_host(request):
        raise ArmError("InvalidHost", "The Host header does not name this computer.", status=403)
    if "Origin" in request.headers:
        raise ArmError("OriginNotAllowed", "Web pages may not call the local cloud.", status=403)


def _check_token(request: web.Request, tokens: Callable[[str], bool]) -> None:
    """Raise ArmError unless the request carries a good token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not token:
        raise ArmError(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
            status=401,
        )
    if scheme.lower() != "bearer" or not tokens(token.strip()):
        raise ArmError("InvalidAuthenticationToken", "The access token is not one of this local cloud.", status=401)


def same_token(given: str, expected: str) -> bool:
    """Whether two tokens are equal, in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())
