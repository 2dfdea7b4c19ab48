"""Shared access signatures, of an account and of a share or file, verified.

Source: https://learn.microsoft.com/rest/api/storageservices/create-account-sas and …/create-service-sas
Written from those descriptions alone, and sharing no code with any client.
"""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ai_toolkit.local_cloud.files.storage_error import StorageError

OLDEST_VERSION: Final = "2015-04-05"  # the first whose text to sign has protocol and addresses
WITH_ENCRYPTION_SCOPE: Final = "2020-12-06"
OVERRIDES: Final = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}
_TIME_FORMATS: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Target:
    """What a request is for, and from where it comes."""

    account: str
    share: str
    path: str
    scheme: str
    address: str


@dataclass(frozen=True)
class Grant:
    """What a signature permits: letters, and for an account's the kinds of resources (`s`, `c`, `o`)."""

    permissions: str
    kinds: str | None

    def check(self, kind: str, any_of: str) -> None:
        """Raise StorageError unless one of the permissions is granted for that kind of resource."""
        if self.kinds is not None and kind not in self.kinds:
            raise StorageError("AuthorizationResourceTypeMismatch")
        if self.kinds is None and kind == "s":
            raise StorageError("AuthorizationFailure")
        if not set(any_of) & set(self.permissions):
            raise StorageError("AuthorizationPermissionMismatch")


@dataclass(frozen=True)
class AccessPolicy:
    """A policy that is stored with a share; a signature names it by its id."""

    id: str
    start: str = ""
    expiry: str = ""
    permissions: str = ""


def verify_sas(
    query: Mapping[str, str], target: Target, keys: Iterable[bytes], policies: Iterable[AccessPolicy] = ()
) -> Grant:
    """What the request's signature permits; StorageError for one that is not good here and now.

    `query` has each value as it was before it was written into the URL.
    """
    version = query.get("sv", "")
    if version < OLDEST_VERSION:
        raise _refused(f"sv={version} is not a version of signatures that is understood here.")
    if "skoid" in query:
        raise StorageError("NotImplementedByLocalCloud", "Signatures by a user delegation key.")
    of_account = "ss" in query or "srt" in query
    text = _account_text(query, target) if of_account else _service_text(query, target)
    digests = [base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)) for key in keys]
    if not any(hmac.compare_digest(digest, query["sig"].encode()) for digest in digests):
        raise _refused("Signature did not match. String to sign used was " + repr(text))
    policy = AccessPolicy("")
    if not of_account and (name := query.get("si")):
        found = next((one for one in policies if one.id == name), None)
        if found is None:
            raise _refused(f"The share has no stored access policy '{name}'.")
        policy = found
    _check_time(query.get("st") or policy.start, query.get("se") or policy.expiry)
    _check_origin(query, target)
    if of_account and "f" not in query.get("ss", ""):
        raise StorageError("AuthorizationServiceMismatch")
    return Grant(query.get("sp") or policy.permissions, query.get("srt", "") if of_account else None)


def _account_text(query: Mapping[str, str], target: Target) -> str:
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if query["sv"] >= WITH_ENCRYPTION_SCOPE:
        names.append("ses")
    return "\n".join([target.account, *(query.get(name, "") for name in names), ""])


def _service_text(query: Mapping[str, str], target: Target) -> str:
    kind = query.get("sr")
    if kind not in {"s", "f"}:
        raise _refused("sr is s, for a share, or f, for a file.")
    resource = f"/file/{target.account}/{target.share}" + (f"/{target.path}" if kind == "f" else "")
    fields = [query.get("sp", ""), query.get("st", ""), query.get("se", ""), resource, query.get("si", "")]
    fields += [query.get(name, "") for name in ("sip", "spr", "sv", *OVERRIDES)]
    return "\n".join(fields)


def _check_time(start: str, expiry: str) -> None:
    now = datetime.now(UTC)
    begins, ends = _moment(start, "st") if start else now, _moment(expiry, "se")
    if not begins <= now < ends:
        shown = [f"{one:%a, %d %b %Y %H:%M:%S GMT}" for one in (begins, ends, now)]
        raise _refused(
            f"Signature not valid in the specified time frame: Start [{shown[0]}] - Expiry [{shown[1]}] - "
            f"Current [{shown[2]}]"
        )


def _moment(text: str, name: str) -> datetime:
    for form in _TIME_FORMATS:
        try:
            return datetime.strptime(text[:26] + "Z" if len(text) > 27 else text, form).replace(tzinfo=UTC)  # noqa: PLR2004  # Azure has seven digits of a second, Python six
        except ValueError:
            continue
    raise _refused(f"{name} is not a time: '{text}'.")


def _check_origin(query: Mapping[str, str], target: Target) -> None:
    if query.get("spr") and target.scheme not in query["spr"].split(","):
        raise StorageError("AuthorizationProtocolMismatch")
    if query.get("sip"):
        first, _, last = query["sip"].partition("-")
        try:
            low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last or first)
            admitted = low <= ipaddress.IPv4Address(target.address) <= high
        except ValueError as error:
            raise _refused(f"sip is not an address or a range: '{query['sip']}'.") from error
        if not admitted:
            raise StorageError("AuthorizationSourceIPMismatch")


def _refused(detail: str) -> StorageError:
    return StorageError("AuthenticationFailed", authentication_detail=detail)
