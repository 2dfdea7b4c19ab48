"""The page on which the directory's user signs in, and the code that it gives: OAuth 2.0's code flow with PKCE.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
The password is the local cloud's token. As on every route, what a foreign web page sends is refused.
"""

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.identity.directory import Directory
from ai_toolkit.local_cloud.identity.tokens import issue_token, read_token

CODE_GRANTS = frozenset({"authorization_code", "refresh_token"})
CODE_SECONDS = 600
REFRESH_LIFE = timedelta(days=1)


class SignInRefused(Exception):
    """No token: OAuth 2.0's code for why, and the description as Microsoft Entra words it."""

    def __init__(self, code: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


@dataclass(frozen=True)
class _Asked:
    """What a code was given for."""

    redirect: str
    challenge: str
    nonce: str | None
    expires: float


class SignInPage:
    """Codes for who signs in, and the tokens that they are worth once."""

    def __init__(self, own_token: Callable[[], str], directory: Directory) -> None:
        self._own_token = own_token
        self._directory = directory
        self._codes: dict[str, _Asked] = {}
        self._nonces: dict[str, str | None] = {}

    async def show(self, request: web.Request) -> web.Response:
        """The form."""
        _checked_redirect(request)
        return _page(request.path_qs, {"username": self._directory.user, "password": ""})

    async def enter(self, request: web.Request) -> web.Response:
        """A page that posts the code to the program which asked, or the form again."""
        redirect = _checked_redirect(request)
        form = await request.post()
        known = hmac.compare_digest(str(form.get("password", "")).encode(), self._own_token().encode())
        if not known or form.get("username") != self._directory.user:
            return _page(request.path_qs, {"username": self._directory.user, "password": ""}, status=401)
        code = secrets.token_urlsafe(32)
        asked = request.query
        self._codes[code] = _Asked(
            redirect, asked.get("code_challenge", ""), asked.get("nonce"), time.time() + CODE_SECONDS
        )
        return _page(redirect, {"code": code, "state": asked.get("state", "")})

    def redeem(self, form: Mapping[str, str]) -> JsonObject:
        """The claims that a code or a refresh token is worth. Raises SignInRefused."""
        if form.get("grant_type") == "refresh_token":
            kept = read_token(self._own_token(), form.get("refresh_token", ""))
            if kept is None or kept.get("use") != "refresh":
                raise SignInRefused("invalid_grant", "AADSTS70008: The refresh token is not valid.")
            return self._claims()
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        verified = asked is not None and hmac.compare_digest(_encode(digest), asked.challenge)
        if asked is None or not verified or asked.expires < time.time() or form.get("redirect_uri") != asked.redirect:
            raise SignInRefused("invalid_grant", "AADSTS70008: The code is not valid.")
        self._nonces[form["code"]] = asked.nonce
        return self._claims()

    def further_tokens(self, form: Mapping[str, str], tenant: str, origin: str) -> JsonObject:
        """The refresh token and, for who asked for them, the id token and the account's home."""
        own, user = self._own_token(), self._directory.user
        found = {"refresh_token": issue_token(own, REFRESH_LIFE, {"use": "refresh"}), "scope": form.get("scope", "")}
        if "openid" in form.get("scope", ""):
            nonce = self._nonces.pop(form.get("code", ""), None)
            about = {"aud": form.get("client_id", ""), "iss": f"{origin}/{tenant}/v2.0", "sub": user, "tid": tenant}
            claims = {"use": "id", "preferred_username": user, **about, **({"nonce": nonce} if nonce else {})}
            home = next(iter(self._directory.tenants), None)
            client = {"uid": user, "utid": home.id if home else tenant}
            found |= {
                "id_token": issue_token(own, self._directory.token_life, claims),
                "client_info": _encode(json.dumps(client).encode()),
            }
        return found

    def _claims(self) -> JsonObject:
        return {"upn": self._directory.user, "unique_name": self._directory.user}


def _checked_redirect(request: web.Request) -> str:
    """Where the code goes: to a program on this computer only."""
    redirect = request.query.get("redirect_uri", "")
    if not redirect.startswith(("http://localhost:", "http://127.0.0.1:")):
        raise ArmError("InvalidRedirect", "AADSTS50011: The redirect URI is not one of this computer.")
    if request.query.get("code_challenge_method") != "S256":
        raise ArmError("InvalidRequest", "AADSTS501491: A code challenge with S256 is needed.")
    return redirect


def _page(action: str, fields: Mapping[str, str], *, status: int = 200) -> web.Response:
    inputs = "".join(f'<input name="{name}" value="{html.escape(value)}">' for name, value in fields.items())
    text = f'<form method="post" action="{html.escape(action)}">{inputs}<button>Sign in</button></form>'
    return web.Response(text=text, content_type="text/html", status=status)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
