"""The editor's own Microsoft account as a credential of the Azure SDK."""

import asyncio
from typing import Final

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from ai_toolkit.azure.account_token import read_token
from ai_toolkit.azure.credential import Credential
from ai_toolkit.azure.sign_in_choice import EditorTokens
from ai_toolkit.errors import SignInNeeded

_ANSWER_SECONDS: Final = 30.0


class EditorCredential(Credential):
    """Asks the editor for each token; the editor renews its own. Never makes it ask the person."""

    def __init__(self, tokens: EditorTokens) -> None:
        self._tokens = tokens

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token with the expiry that stands in it. Raises CredentialUnavailableError, ClientAuthenticationError."""
        tenant = (options or {}).get("tenant_id")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                token = await self._tokens(scopes[0], tenant, False)
        except TimeoutError as error:
            raise CredentialUnavailableError("the editor did not answer") from error
        except SignInNeeded as error:
            raise CredentialUnavailableError(error.reason) from error
        if token is None:
            where = f" for the tenant {tenant}" if tenant else ""
            raise CredentialUnavailableError(f"no Microsoft account is signed in{where}")
        try:
            return AccessTokenInfo(token, read_token(token).expires_on)
        except ValueError as error:
            raise ClientAuthenticationError(f"the editor's token cannot be used: {error}") from error
