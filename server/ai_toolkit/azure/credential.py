"""The Azure SDK's async credential protocol over one method, and the credential of the local cloud."""

import time
from abc import ABC, abstractmethod
from typing import Any, Final, Self

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions

_LOCAL_TOKEN_SECONDS: Final = 3600


class Credential(ABC):
    """What the SDK's clients take: `get_token_info` answers, everything else follows from it."""

    @abstractmethod
    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the scopes and its expiry. Raises azure.core's ClientAuthenticationError and its kind."""

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **_options: Any,  # noqa: ANN401  (the SDK's protocol)
    ) -> AccessToken:
        options: TokenRequestOptions = {}
        if claims:
            options["claims"] = claims
        if tenant_id:
            options["tenant_id"] = tenant_id
        found = await self.get_token_info(*scopes, options=options)
        return AccessToken(found.token, found.expires_on)

    async def close(self) -> None:  # noqa: B027  (most hold nothing open)
        """Lets go of what is held open; here nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_about: object) -> None:
        await self.close()


class LocalCredential(Credential):
    """The local cloud's: the token in its folder, which is itself a bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token_info(self, *_scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        del options
        return AccessTokenInfo(self._token, int(time.time()) + _LOCAL_TOKEN_SECONDS)

    async def refused(self, _tenant: str | None) -> bool:
        """Asking again makes sense: the token is the same for every tenant."""
        return True
