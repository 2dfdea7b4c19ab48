"""How the Azure SDK's clients reach a cloud: base URL, credential, authentication policy."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy

from ai_toolkit.azure.network import LOOPBACK, Transport

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest, PipelineResponse

Client = TypeVar("Client")

_RETRIED_METHODS: Final = frozenset({"HEAD", "GET", "PUT", "PATCH", "DELETE", "POST"})
# The versions that infra/provision/inference.bicep deploys with: what is read is what was written.
APP_API_VERSION: Final = "2025-07-01"
STORAGE_API_VERSION: Final = "2025-08-01"


_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class Credential(Protocol):
    """A credential of the SDK that also knows what to do when the cloud refused its token."""

    async def get_token(self, *scopes: str, **options: Any) -> Any:  # noqa: ANN401  (the SDK's protocol)
        """A token for the scope."""

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the scope."""

    async def refused(self, tenant: str | None) -> bool:
        """Whether the next token may be better; `tenant` is the one that the cloud named, if any."""

    async def close(self) -> None:
        """Lets go of connections."""


class _BearerPolicy(AsyncBearerTokenCredentialPolicy[Any, Any]):
    """The SDK's bearer policy, which may also speak to this computer without TLS.

    A token that is refused, because it expired or is another tenant's, is replaced once.
    """

    def __init__(self, credential: Credential, scope: str) -> None:
        super().__init__(cast("Any", credential), scope)
        self._asks = credential
        self._scope = scope

    async def on_request(self, request: "PipelineRequest[Any]") -> None:
        host = urlsplit(request.http_request.url).hostname
        request.context.options["enforce_https"] = host not in LOOPBACK
        await super().on_request(request)

    async def on_challenge(self, request: "PipelineRequest[Any]", response: "PipelineResponse[Any, Any]") -> bool:
        if await super().on_challenge(request, response):
            return True
        challenge = dict(_CHALLENGE.findall(response.http_response.headers["WWW-Authenticate"]))
        if challenge.get("error") != "invalid_token":
            return False
        # Source: Resource Manager names a subscription's tenant so, as https://login.windows.net/<tenant>.
        tenant = urlsplit(challenge.get("authorization_uri", "")).path.strip("/") or None
        if not await self._asks.refused(tenant):
            return False
        await self.authorize_request(request, self._scope)
        body = getattr(request.http_request, "body", None)
        if body is not None and hasattr(body, "seek"):
            body.seek(0)  # it was read to its end when it was sent first
        return True


class _RetryPolicy(AsyncRetryPolicy[Any, Any]):
    """The SDK's retry policy, for POST too: each that we send (list keys, restart, cancel) may be sent twice."""

    def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
        options.setdefault("retry_on_methods", _RETRIED_METHODS)
        return super().configure_retries(options)


@dataclass(frozen=True)
class Connection:
    """A Resource Manager and the credential that it accepts."""

    base_url: str
    credential: Credential
    scope: str

    def client(self, kind: Callable[..., Client], *arguments: str, **options: Any) -> Client:  # noqa: ANN401  (the SDK's own)
        """A client of the given SDK class; the caller closes it (`async with`)."""
        return kind(
            self.credential,
            *arguments,
            base_url=self.base_url,
            credential_scopes=[self.scope],
            authentication_policy=_BearerPolicy(self.credential, self.scope),
            retry_policy=_RetryPolicy(),
            transport=Transport(known=True),
            **options,
        )
