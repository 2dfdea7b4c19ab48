"""One request to Azure Files, and the headers that describe what it is about."""

import base64
import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Any

from aiohttp import web

from ai_toolkit.local_cloud.files.sas import OVERRIDES, AccessPolicy
from ai_toolkit.local_cloud.files.security_descriptor import permission_key
from ai_toolkit.local_cloud.files.share_folder import SharePath, ShareRecords, Shares, on_disk_name
from ai_toolkit.local_cloud.files.side_data import FileFacts
from ai_toolkit.local_cloud.files.storage_error import StorageError

METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FACT_HEADERS = {
    "x-ms-content-type": "content_type",
    "x-ms-content-md5": "content_md5",
    "x-ms-content-encoding": "content_encoding",
    "x-ms-content-language": "content_language",
    "x-ms-cache-control": "cache_control",
    "x-ms-content-disposition": "content_disposition",
}
ANSWER_HEADERS = {
    "content_type": "Content-Type",
    "content_encoding": "Content-Encoding",
    "content_language": "Content-Language",
    "cache_control": "Cache-Control",
    "content_disposition": "Content-Disposition",
}


@dataclass(frozen=True)
class FileRequest:
    """A verified request for a share, or a path in one."""

    http: web.Request
    account: str
    share: str
    path: str
    query: dict[str, str]
    shares: Shares
    records: ShareRecords
    account_keys: Callable[[str], list[bytes] | None]

    @cached_property
    def at(self) -> SharePath:
        """The path that is meant; StorageError when there is no such share or snapshot."""
        return self.shares.path(
            self.account, self.share, self.path, keep_trailing_dots=self._keeps_dots, snapshot=self.snapshot
        )

    @property
    def snapshot(self) -> str:
        """The snapshot that is meant; empty for the share as it is now."""
        return self.query.get("sharesnapshot", "")

    @property
    def _keeps_dots(self) -> bool:
        return self.http.headers.get("x-ms-allow-trailing-dot", "").lower() == "true"

    def written_name(self) -> str:
        """The path's last name as the caller wrote it, whatever its case on disk is."""
        name = self.path.rstrip("/").rpartition("/")[2]
        return on_disk_name(name if self._keeps_dots else name.rstrip("."))

    def long_name(self) -> str | None:
        """The path's last name, where the disk has a shorter one for it."""
        name = self.path.rstrip("/").rpartition("/")[2]
        return name if on_disk_name(name) != name else None

    def policies_of(self, account: str, share: str) -> list[AccessPolicy]:
        """The access policies that are stored with a share; none where there is no such share."""
        if not self.shares.exists(account, share):
            return []
        return [AccessPolicy(**one) for one in self.facts(self.shares.path(account, share, "")).policies]

    def existing_file(self) -> SharePath:
        """The file that is meant; StorageError when there is none."""
        if not self.at.parent.is_directory():
            raise StorageError("ParentNotFound")
        if not self.at.is_file():
            raise StorageError("ResourceNotFound")
        return self.at

    async def claim_space(self, growth_bytes: int) -> None:
        """Raise StorageError when the share is too full to grow so much."""
        quota_bytes = self.records.quota_gib(self.account, self.share) * 1024**3
        await self.shares.usage.claim(self.at.root, growth_bytes, quota_bytes)

    def metadata(self) -> dict[str, str]:
        """The x-ms-meta headers."""
        found = {
            name[len("x-ms-meta-") :]: value
            for name, value in self.http.headers.items()
            if name.lower().startswith("x-ms-meta-")
        }
        if not all(METADATA_NAME.fullmatch(name) for name in found):
            raise StorageError("InvalidHeaderValue", "A metadata name must be an identifier.")
        return found

    def given_facts(self, before: FileFacts | None = None) -> FileFacts:
        """The facts that the headers give, on top of what was there before."""
        facts = before or FileFacts()
        headers = self.http.headers
        content: dict[str, Any] = {field: headers.get(header) for header, field in FACT_HEADERS.items()}
        times: dict[str, Any] = {
            "creation_time": _time(headers.get("x-ms-file-creation-time"), facts.creation_time),
            "last_write_time": _time(headers.get("x-ms-file-last-write-time"), facts.last_write_time),
        }
        attributes = headers.get("x-ms-file-attributes")
        if attributes is None or attributes.lower() in {"none", "preserve"}:
            attributes = facts.attributes
        key, sddl = headers.get("x-ms-file-permission-key"), headers.get("x-ms-file-permission", "inherit")
        if key is None and sddl.lower() not in {"inherit", "preserve"}:
            key = permission_key(sddl)
        return replace(facts, **content, **times, attributes=attributes, permission_key=key or facts.permission_key)

    def facts(self, at: SharePath) -> FileFacts:
        """What is known of a path that exists."""
        return self.shares.side_data.get(at.account, at.share, at.text, at.on_disk.stat().st_ino)

    def keep(self, at: SharePath, facts: FileFacts) -> None:
        """Record what is known of a path that exists."""
        self.shares.side_data.put(at.account, at.share, at.text, at.on_disk.stat().st_ino, facts)

    def touched(self, facts: FileFacts) -> FileFacts:
        """The facts, changed now: Last-Modified and the etag follow, the time of writing does not."""
        return replace(facts, changed_ns=time.time_ns())

    def headers(self, at: SharePath, facts: FileFacts) -> dict[str, str]:
        """The headers that describe a file or directory as it is now."""
        status = at.on_disk.stat()
        times = file_times(status, facts)
        default = "Directory" if stat.S_ISDIR(status.st_mode) else "Archive"
        return {
            "ETag": etag(status, facts),
            "Last-Modified": times.last_modified,
            "x-ms-request-server-encrypted": "true",
            "x-ms-server-encrypted": "true",
            "x-ms-file-attributes": facts.attributes or default,
            "x-ms-file-creation-time": times.creation,
            "x-ms-file-last-write-time": times.last_write,
            "x-ms-file-change-time": times.change,
            "x-ms-file-id": str(status.st_ino),
            "x-ms-file-parent-id": str(at.on_disk.parent.stat().st_ino),
            "x-ms-file-permission-key": facts.permission_key or "0*0",
            **{f"x-ms-meta-{name}": value for name, value in facts.metadata.items()},
        }

    def content_headers(self, facts: FileFacts) -> dict[str, str]:
        """The headers that say what a file's content is."""
        found = {header: getattr(facts, field) for field, header in ANSWER_HEADERS.items()}
        return {
            "Content-Type": "application/octet-stream",
            **{header: value for header, value in found.items() if value},
            "x-ms-type": "File",
            "Accept-Ranges": "bytes",
            "x-ms-lease-status": "locked" if facts.lease else "unlocked",
            "x-ms-lease-state": "leased" if facts.lease else "available",
            **({"x-ms-lease-duration": "infinite"} if facts.lease else {}),
            **({"x-ms-copy-status": "success"} if facts.copied else {}),
            **{f"x-ms-copy-{name}": value for name, value in facts.copied.items()},
            **self._overrides(),
        }

    def _overrides(self) -> dict[str, str]:
        """The headers that a shared access signature gives to an answer."""
        if "sig" not in self.query:
            return {}
        return {header: self.query[name] for name, header in OVERRIDES.items() if name in self.query}

    def check_named_lease(self, facts: FileFacts) -> None:
        """Raise StorageError when the caller names a lease that the file does not have; it need not name one."""
        if "x-ms-lease-id" in self.http.headers:
            self.check_lease(facts)

    def check_lease(self, facts: FileFacts) -> None:
        """Raise StorageError when the file is leased and the caller does not name the lease."""
        given = self.http.headers.get("x-ms-lease-id")
        if facts.lease and given is None:
            raise StorageError("LeaseIdMissing")
        if facts.lease and given != facts.lease:
            raise StorageError("LeaseIdMismatchWithFileOperation")
        if given is not None and not facts.lease:
            raise StorageError("LeaseNotPresentWithFileOperation")


def request_headers(http: web.Request) -> dict[str, str]:
    """What every answer tells of its request: some SDKs take one without their own id for another request's."""
    told = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-version": http.headers.get("x-ms-version", "2025-11-05")}
    client = http.headers.get("x-ms-client-request-id")
    return told if client is None else {**told, "x-ms-client-request-id": client}


@dataclass(frozen=True)
class FileTimes:
    """A file's times, as headers and listings write them."""

    creation: str
    last_write: str
    last_access: str
    change: str
    last_modified: str


def file_times(status: os.stat_result, facts: FileFacts) -> FileTimes:
    """The times of a file: what a client gave, else what the disk says."""
    return FileTimes(
        facts.creation_time or file_time(min(status.st_mtime_ns, status.st_ctime_ns)),
        facts.last_write_time or file_time(status.st_mtime_ns),
        file_time(status.st_atime_ns),
        file_time(max(status.st_ctime_ns, facts.changed_ns)),
        http_time(max(status.st_mtime_ns, facts.changed_ns) / 1e9),
    )


def etag(status: os.stat_result, facts: FileFacts | None = None) -> str:
    """A tag that changes whenever the file, its properties or its metadata do."""
    changed = facts.changed_ns if facts else 0
    return f'"0x8D{(status.st_mtime_ns ^ (status.st_size << 8) ^ changed) & 0xFFFFFFFFFFFFFFF:015X}"'


def http_time(seconds: float) -> str:
    """RFC 1123, as in Last-Modified."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def file_time(nanoseconds: int) -> str:
    """ISO 8601 with seven digits, as in x-ms-file-creation-time."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}Z"


def _time(given: str | None, before: str | None) -> str | None:
    if given is None or given.lower() == "preserve":
        return before
    if given.lower() == "now":
        return None
    return given


def check_md5_text(value: str | None) -> None:
    """Raise StorageError for a header that cannot be an MD5 in base 64."""
    if value is None:
        return
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise StorageError("InvalidMd5") from error
    if len(decoded) != hashlib.md5(usedforsecurity=False).digest_size:
        raise StorageError("InvalidMd5")
