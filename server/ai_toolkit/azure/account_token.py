"""What an access token says of itself: JSON Web Tokens are read, not verified, which is the cloud's to do."""

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class AccountToken:
    """Expiry (seconds since the epoch), tenant and account of a token."""

    expires_on: int
    tenant: str | None
    account: str | None


def read_token(token: str) -> AccountToken:
    """The token's claims. Raises ValueError for what is no JSON Web Token with an expiry.

    Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires_on = int(claims["exp"])
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError("it is no JSON Web Token with an expiry") from error
    names = ("upn", "preferred_username", "unique_name", "email", "appid", "oid")
    account = next((str(claims[name]) for name in names if claims.get(name)), None)
    return AccountToken(expires_on, claims.get("tid"), account)
