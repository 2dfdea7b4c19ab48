"""Azure Storage's Shared Key signature, verified.

Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
Written from that description alone, and sharing no code with any client.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from multidict import CIMultiDictProxy

ALLOWED_CLOCK_DIFFERENCE = timedelta(minutes=15)
SIGNED_HEADERS = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)


class SignatureError(Exception):
    """The request was not signed with a key of the account, and why."""


def verify(method: str, raw_path: str, headers: CIMultiDictProxy[str], account: str, keys: Iterable[bytes]) -> None:
    """Raise SignatureError unless the request carries a fresh signature by one of the account's keys.

    `raw_path` is the path with its query exactly as it was sent.
    """
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme != "SharedKey":
        raise SignatureError("The request is not authorized with a shared key.")
    named, _, signature = credentials.partition(":")
    if named != account:
        raise SignatureError(f"The signature is for the account '{named}'.")
    _check_time(headers.get("x-ms-date") or headers.get("Date"))
    text = string_to_sign(method, raw_path, headers, account).encode()
    for key in keys:
        expected = base64.b64encode(hmac.digest(key, text, hashlib.sha256))
        if hmac.compare_digest(expected, signature.encode()):
            return
    raise SignatureError("The signature does not match the one that was computed.")


def string_to_sign(method: str, raw_path: str, headers: CIMultiDictProxy[str], account: str) -> str:
    """What both sides sign: verb, standard headers, x-ms headers, resource."""
    lines = [method.upper()]
    for name in SIGNED_HEADERS:
        value = headers.get(name, "")
        if (name == "Content-Length" and value == "0") or (name == "Date" and "x-ms-date" in headers):
            value = ""
        lines.append(value)
    own = sorted({name.lower() for name in headers if name.lower().startswith("x-ms-")})
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in own]
    path, _, query = raw_path.partition("?")
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters.setdefault(name.lower(), []).append(value)
    resource = f"/{account}{path}" + "".join(
        f"\n{name}:{','.join(sorted(parameters[name]))}" for name in sorted(parameters)
    )
    return "\n".join(lines) + "\n" + resource


def _check_time(stated: str | None) -> None:
    if stated is None:
        raise SignatureError("The request has no x-ms-date.")
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError as error:
        raise SignatureError(f"The date '{stated}' cannot be read.") from error
    if abs(datetime.now(UTC) - moment) > ALLOWED_CLOCK_DIFFERENCE:
        raise SignatureError("The request is more than 15 minutes away from the local cloud's clock.")
