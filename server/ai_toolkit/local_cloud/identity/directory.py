"""Whom the local cloud knows beside this computer: an account with tenants and subscriptions, as Azure has them.

They stand in `directory.json` in the local cloud's folder, which is read whenever it changed:

    {
      "user": "ada@contoso.example",
      "tokenSeconds": 3600,
      "tenants": [
        {"id": "11111111-…", "name": "Contoso", "domain": "contoso.example", "subscriptions": [
          {"id": "aaaaaaaa-…", "name": "Research"},
          {"id": "bbbbbbbb-…", "name": "Closed", "state": "Disabled"}]},
        {"id": "22222222-…", "name": "Fabrikam", "refuses": "AADSTS50076: You must use multi-factor authentication."}
      ]
    }

The first tenant is the account's home. One that `refuses` gives no token and says why. As in Azure, a token opens the
subscriptions of one tenant only: for another's the answer is 401, and its header names the right tenant. Without
the file there is this computer alone.
"""

import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import SUBSCRIPTION, TENANT
from ai_toolkit.local_cloud.identity.tokens import read_token

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_COMMON = frozenset({"organizations", "common"})


@dataclass(frozen=True)
class Subscription:
    """A subscription; `state` is Azure's word, of which Disabled makes it read-only."""

    id: str
    name: str
    tenant: str
    state: str = "Enabled"


@dataclass(frozen=True)
class Tenant:
    """A tenant; `refuses` is why it gives no token."""

    id: str
    name: str
    domain: str
    subscriptions: tuple[Subscription, ...]
    refuses: str | None = None


THIS_COMPUTER = Tenant(TENANT, "This computer", "local.invalid", (Subscription(SUBSCRIPTION, "This computer", TENANT),))


@dataclass(frozen=True)
class Caller:
    """What the request being answered may see; `tenant` is its token's."""

    tenant: str
    tenants: tuple[Tenant, ...]
    subscriptions: tuple[Subscription, ...]

    def subscription(self, identifier: str) -> Subscription | None:
        return next((one for one in self.subscriptions if one.id.lower() == identifier.lower()), None)


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""None outside a request, where everything may be seen."""


@dataclass
class Directory:
    """The directory of one folder."""

    file: Path
    _read: tuple[int, JsonObject] = field(default=(0, {}))

    @property
    def user(self) -> str:
        return str(self._content().get("user", "someone@local.invalid"))

    @property
    def token_life(self) -> timedelta:
        return timedelta(seconds=float(self._content().get("tokenSeconds", 3600)))

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Those of the file, the home tenant first; empty without the file."""
        return tuple(
            Tenant(
                one["id"],
                one["name"],
                one.get("domain", "tenant.invalid"),
                tuple(
                    Subscription(each["id"], each["name"], one["id"], each.get("state", "Enabled"))
                    for each in one.get("subscriptions", ())
                ),
                one.get("refuses"),
            )
            for one in self._content().get("tenants", ())
        )

    def tenant(self, named: str) -> Tenant | None:
        """The tenant that a sign-in names: by id, or the account's home."""
        if named.lower() in _COMMON:
            return next(iter(self.tenants), THIS_COMPUTER)
        return next((one for one in (*self.tenants, THIS_COMPUTER) if one.id == named.lower()), None)

    def caller(self, tenant: str) -> Caller:
        """What a token of that tenant opens."""
        if tenant == TENANT:
            return Caller(TENANT, (THIS_COMPUTER,), THIS_COMPUTER.subscriptions)
        found = self.tenant(tenant)
        return Caller(tenant, self.tenants, found.subscriptions if found else ())

    def _content(self) -> JsonObject:
        try:
            changed = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if changed != self._read[0]:
            self._read = (changed, json.loads(self.file.read_text(encoding="utf-8")))
        return self._read[1]


def access_by_tenant(
    directory: Directory, own_token: Callable[[], str]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that shows each caller what the tenant of its token holds; the token itself was checked before."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        claims = read_token(own_token(), token) if token.count(".") == 2 else None  # noqa: PLR2004  # a JWT's
        tenant = str(claims["tid"]) if claims and "tid" in claims else TENANT
        caller = directory.caller(tenant)
        CALLER.set(caller)
        segments = request.path.strip("/").split("/")
        if len(segments) > 1 and segments[0].lower() == "subscriptions":
            found = caller.subscription(segments[1])
            if found is None:
                _name_right_tenant(directory, request, segments[1])
            elif found.state == "Disabled" and request.method not in _READING:
                raise ArmError(
                    "ReadOnlyDisabledSubscription",
                    f"The subscription '{found.id}' is disabled and therefore marked as read only. You cannot perform "
                    "any write actions on this subscription until it is re-enabled.",
                    status=409,
                )
        return await handler(request)

    return check


def _name_right_tenant(directory: Directory, request: web.Request, subscription: str) -> None:
    for tenant in (*directory.tenants, THIS_COMPUTER):
        if any(one.id.lower() == subscription.lower() for one in tenant.subscriptions):
            authority = f"{request.scheme}://{request.host}/{tenant.id}"
            raise ArmError(
                "InvalidAuthenticationTokenTenant",
                "The access token is from the wrong issuer. It must match the tenant "
                f"'{authority}/' associated with this subscription. Please use the authority (URL) '{authority}' "
                "to get the token.",
                status=401,
                challenge=f'Bearer authorization_uri="{authority}", error="invalid_token"',
            )
