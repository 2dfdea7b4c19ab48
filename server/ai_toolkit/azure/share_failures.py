"""What the file service refused, in words: by its own code, its own text, and the clock that its answer shows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.network import LOOPBACK
from ai_toolkit.errors import AiToolkitError, LocalCloudFailed, ResourceMissing, ShareRefused
from ai_toolkit.known_causes import cause_of_code

CODE_HEADER: Final = "x-ms-error-code"
_VERSION_HEADER: Final = "x-ms-version"
_DISK_FULL: Final = "LocalDiskFull"
_MAKE_ROOM: Final = "Make room there, or name a folder on another disk in AITK_LOCAL_CLOUD_HOME; then run it again."
_NO_SHARE: Final = "ShareNotFound"
_SIGNATURE_REFUSED: Final = "AuthenticationFailed"
_WRONG_CLOCK: Final = timedelta(minutes=5)
"""Azure Files takes a signature for 15 minutes; what is 5 off is no clock that is set by itself."""


def code_of(error: BaseException) -> str:
    """The file service's own code; empty for an error of another service."""
    code = getattr(error, "error_code", None)
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    if code is None and _VERSION_HEADER in headers:
        code = headers.get(CODE_HEADER)
    return str(getattr(code, "value", code) or "")


def as_share_error(error: HttpResponseError) -> AiToolkitError | None:
    """The error for people; None for one of another service."""
    code, response = code_of(error), error.response
    if not code or response is None:
        return None
    account, share = _names(address_of(response))
    if code == _DISK_FULL:
        return LocalCloudFailed(_text(error), _MAKE_ROOM)
    if code == _NO_SHARE:
        return ResourceMissing("file share", share, account)
    off = clock_difference(response)
    if code == _SIGNATURE_REFUSED and off is not None and abs(off) > _WRONG_CLOCK:
        return ShareRefused.by_clock(f"{share} of the storage account {account}", off)
    cause = cause_of_code(code)
    advice = cause.advice if cause else "Correct the cause and run the command again; what was sent is not sent again."
    return ShareRefused(
        f"{share} of the storage account {account}", code, cause.says if cause else _text(error), advice
    )


def clock_difference(response: Any) -> timedelta | None:  # noqa: ANN401  (the SDK's response, of either kind)
    """How far this computer's clock is ahead of the one that answered; None where the answer has no date."""
    try:
        return datetime.now(UTC) - parsedate_to_datetime(response.headers["Date"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def address_of(response: Any) -> str:  # noqa: ANN401  (the SDK's response, of either kind)
    """The URL that was asked; empty where the response does not know."""
    return str(getattr(response.request, "url", ""))


def _names(url: str) -> tuple[str, str]:
    """Account and share: the host's first label and the path's first part; both in the path on this computer."""
    parts = urlsplit(url)
    path = [one for one in parts.path.split("/") if one]
    if parts.hostname not in LOOPBACK:
        path.insert(0, (parts.hostname or "").partition(".")[0])
    account, share = [*path, "", ""][:2]
    return account, share or "the file service"


def _text(error: HttpResponseError) -> str:
    """The service's own sentence, without the ids that the SDK adds to it."""
    if getattr(getattr(error.response, "request", None), "method", "") == "HEAD":
        return f"{error.reason}."  # which has no body
    first = str(error.message or "").strip().partition("\n")[0]
    return f"{first.rstrip('.')}." if first else "It gave no reason."
