"""Access tokens of the local cloud: JSON Web Tokens (RFC 7519), signed with the token of its folder."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta

from ai_toolkit.local_cloud.core.arm_error import JsonObject


def issue_token(own: str, life: timedelta, claims: JsonObject) -> str:
    """A token that lives so long and says so (`exp`), with further claims such as `tid` and `upn`.

    One with a `use` (refresh, id) opens nothing by itself.
    """
    now = int(time.time())
    payload = {"iat": now, "exp": int(now + life.total_seconds()), **claims}
    head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
    body = _encode(json.dumps(payload).encode())
    return f"{head}.{body}.{_signature(own, f'{head}.{body}')}"


def read_token(own: str, token: str) -> JsonObject | None:
    """The claims of a token that this cloud signed and that has not expired; None for any other."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(own, signed).encode()):
        return None
    payload = signed.partition(".")[2]
    claims: JsonObject = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims if claims["exp"] > time.time() else None


def _signature(own: str, signed: str) -> str:
    return _encode(hmac.digest(own.encode(), f"token:{signed}".encode(), hashlib.sha256))


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
