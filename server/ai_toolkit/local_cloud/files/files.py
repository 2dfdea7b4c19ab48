"""Files over HTTP: create, write ranges, read, rename, lease, delete."""

import asyncio
import base64
import hashlib
import os
import re
import shutil
import uuid
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.share_folder import SharePath
from ai_toolkit.local_cloud.files.storage_error import StorageError

LARGEST_FILE_BYTES = 4 * 1024**4
LARGEST_RANGE_BYTES = 4 * 1024**2
CHUNK_BYTES = 1 << 20
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


async def create(request: FileRequest) -> web.Response:
    """201; a file of that name is replaced by one of zeros, as on Azure."""
    at = request.at
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if at.is_directory():
        raise StorageError("ResourceTypeMismatch")
    size = _length(request, "x-ms-content-length")
    _check_md5_text(request.http.headers.get("x-ms-content-md5"))
    before = request.facts(at) if at.is_file() else None
    if before is not None:
        request.check_lease(before)
    await asyncio.to_thread(_make, at, size)
    facts = replace(
        request.given_facts(), metadata=request.metadata(), lease=before.lease if before else None
    )
    request.keep(at, facts)
    return web.Response(status=201, headers=request.headers(at, facts))


def _make(at: SharePath, size: int) -> None:
    """An empty file of that size, with the inode of the one that was there."""
    descriptor = os.open(at.on_disk, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


async def put_range(request: FileRequest) -> web.Response:
    """201; the bytes are in the file, or nothing is when their MD5 does not match."""
    at = _existing(request)
    headers = request.http.headers
    facts = request.facts(at)
    request.check_lease(facts)
    start, end = _range(headers.get("x-ms-range") or headers.get("Range"))
    if end is None:
        raise StorageError("InvalidHeaderValue", "The range needs its end.")
    size = at.on_disk.stat().st_size
    if end >= size or start > end:
        raise StorageError("InvalidRange")
    if headers.get("x-ms-write", "update").lower() == "clear":
        await asyncio.to_thread(_clear, at, start, end)
        return web.Response(status=201, headers=request.headers(at, facts))
    if headers.get("x-ms-copy-source") is not None:
        raise StorageError("NotImplementedByLocalCloud", "Copying from a URL.")
    length = end - start + 1
    if length > LARGEST_RANGE_BYTES:
        raise StorageError("RequestBodyTooLarge")
    data = bytearray()
    async for chunk in request.http.content.iter_chunked(CHUNK_BYTES):
        data += chunk
        if len(data) > length:
            raise StorageError("InvalidHeaderValue", "The body is longer than the range.")
    if len(data) != length:
        raise StorageError("InvalidHeaderValue", "The body is shorter than the range.")
    computed = hashlib.md5(data, usedforsecurity=False).digest()
    given = headers.get("Content-MD5")
    _check_md5_text(given)
    if given is not None and base64.b64decode(given) != computed:
        raise StorageError("Md5Mismatch")
    await asyncio.to_thread(_write, at, start, bytes(data))
    if headers.get("x-ms-file-last-write-time", "now").lower() == "now" and facts.last_write_time:
        facts = replace(facts, last_write_time=None)
        request.keep(at, facts)
    answer = {**request.headers(at, facts), "Content-MD5": base64.b64encode(computed).decode()}
    return web.Response(status=201, headers=answer)


def _write(at: SharePath, start: int, data: bytes) -> None:
    descriptor = os.open(at.on_disk, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, start)
            view, start = view[written:], start + written
    finally:
        os.close(descriptor)


def _clear(at: SharePath, start: int, end: int) -> None:
    for offset in range(start, end + 1, CHUNK_BYTES):
        _write(at, offset, bytes(min(CHUNK_BYTES, end + 1 - offset)))


async def read(request: FileRequest) -> web.Response:
    """The file's properties."""
    at = _existing(request)
    facts = request.facts(at)
    headers = {**request.headers(at, facts), **request.content_headers(facts)}
    if facts.content_md5:
        headers["Content-MD5"] = facts.content_md5
    headers["Content-Length"] = str(at.on_disk.stat().st_size)
    return web.Response(status=200, headers=headers)


async def download(request: FileRequest) -> web.StreamResponse:
    """The file or a range of it, read as it is sent."""
    at = _existing(request)
    facts = request.facts(at)
    asked = request.http.headers.get("x-ms-range") or request.http.headers.get("Range")
    descriptor = os.open(at.on_disk, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = os.fstat(descriptor).st_size
        start, end = _range(asked) if asked else (0, None)
        last = size - 1 if end is None else min(end, size - 1)
        if asked and start >= size:
            raise StorageError("InvalidRange")
        headers = {**request.headers(at, facts), **request.content_headers(facts)}
        headers["Content-Length"] = str(last - start + 1)
        if asked:
            headers["Content-Range"] = f"bytes {start}-{last}/{size}"
            if request.http.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
                part = await asyncio.to_thread(os.pread, descriptor, last - start + 1, start)
                headers["Content-MD5"] = base64.b64encode(
                    hashlib.md5(part, usedforsecurity=False).digest()
                ).decode()
            if facts.content_md5:
                headers["x-ms-content-md5"] = facts.content_md5
        elif facts.content_md5:
            headers["Content-MD5"] = facts.content_md5
        response = web.StreamResponse(status=206 if asked else 200, headers=headers)
        await response.prepare(request.http)
        while start <= last:
            data = await asyncio.to_thread(os.pread, descriptor, min(CHUNK_BYTES, last - start + 1), start)
            if not data:
                break  # truncated meanwhile: the client sees that the body is too short
            await response.write(data)
            start += len(data)
        await response.write_eof()
        return response
    finally:
        os.close(descriptor)


async def delete(request: FileRequest) -> web.Response:
    """202."""
    at = _existing(request)
    request.check_lease(request.facts(at))
    at.on_disk.unlink()
    request.shares.side_data.forget(at.account, at.share, at.text)
    return web.Response(status=202)


async def set_metadata(request: FileRequest) -> web.Response:
    """The file's metadata, replaced."""
    at = _existing(request)
    facts = replace(request.facts(at), metadata=request.metadata())
    request.check_lease(facts)
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def set_properties(request: FileRequest) -> web.Response:
    """Content headers, times, attributes, and the size where it is given."""
    at = _existing(request)
    before = request.facts(at)
    request.check_lease(before)
    _check_md5_text(request.http.headers.get("x-ms-content-md5"))
    if "x-ms-content-length" in request.http.headers:
        await asyncio.to_thread(os.truncate, at.on_disk, _length(request, "x-ms-content-length"))
    facts = request.given_facts(before)
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def list_ranges(request: FileRequest) -> web.Response:
    """The whole file as one range: which parts are holes is not told."""
    at = _existing(request)
    size = at.on_disk.stat().st_size
    ranges = f"<Range><Start>0</Start><End>{size - 1}</End></Range>" if size else ""
    text = f'<?xml version="1.0" encoding="utf-8"?><Ranges>{ranges}</Ranges>'
    headers = {**request.headers(at, request.facts(at)), "x-ms-content-length": str(size)}
    return web.Response(text=text, content_type="application/xml", headers=headers)


async def rename(request: FileRequest) -> web.Response:
    """The source under this name; a file that is there is replaced only where the caller says so."""
    at = request.at
    headers = request.http.headers
    source_path = unquote(urlsplit(headers.get("x-ms-file-rename-source", "")).path)
    parts = source_path.strip("/").split("/", 2)
    if len(parts) != 3 or parts[0] != request.account or parts[1].lower() != at.share:  # noqa: PLR2004
        raise StorageError("InvalidHeaderValue", "The source of a rename is a path in the same share.")
    source = request.shares.path(request.account, request.share, parts[2])
    if not source.is_file() and not source.is_directory():
        raise StorageError("ResourceNotFound")
    if (request.query.get("restype") == "directory") != source.is_directory():
        raise StorageError("ResourceTypeMismatch")
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    same = source.on_disk == at.on_disk
    if (at.is_file() or at.is_directory()) and not same:
        replace_it = headers.get("x-ms-file-rename-replace-if-exists", "false").lower() == "true"
        if not replace_it or at.is_directory() or source.is_directory():
            raise StorageError("ResourceAlreadyExists")
        lease_facts = request.facts(at)
        given = headers.get("x-ms-destination-lease-id")
        if lease_facts.lease and given != lease_facts.lease:
            raise StorageError("LeaseIdMissing" if given is None else "LeaseIdMismatchWithFileOperation")
    wanted = request.path.rstrip("/").rpartition("/")[2].rstrip(".")
    target = SharePath(at.account, at.share, (*at.names[:-1], wanted), at.root)
    await asyncio.to_thread(
        shutil.move if source.is_directory() else os.replace, source.on_disk, target.on_disk
    )
    if target.on_disk != at.on_disk and not same:
        at.on_disk.unlink(missing_ok=True)  # the replaced one's name had another case
    if source.text.casefold() != target.text.casefold():
        request.shares.side_data.move(at.account, at.share, source.text, target.text)
    facts = request.facts(target)
    if metadata := request.metadata():
        facts = replace(facts, metadata=metadata)
        request.keep(target, facts)
    return web.Response(status=200, headers=request.headers(target, facts))


async def lease(request: FileRequest) -> web.Response:
    """Acquire, change, release or break a lease; it never ends by itself."""
    at = _existing(request)
    facts = request.facts(at)
    headers = request.http.headers
    action = headers.get("x-ms-lease-action", "").lower()
    given, proposed = headers.get("x-ms-lease-id"), headers.get("x-ms-proposed-lease-id")
    status, answer = 200, {}
    if action == "acquire":
        if facts.lease and facts.lease != proposed:
            raise StorageError("LeaseAlreadyPresent")
        facts = replace(facts, lease=proposed or str(uuid.uuid4()))
        status, answer = 201, {"x-ms-lease-id": facts.lease or ""}
    elif action in {"release", "change"}:
        if not facts.lease:
            raise StorageError("LeaseNotPresentWithLeaseOperation")
        if given != facts.lease:
            raise StorageError("LeaseIdMismatchWithLeaseOperation")
        facts = replace(facts, lease=proposed if action == "change" else None)
        answer = {"x-ms-lease-id": facts.lease} if facts.lease else {}
    elif action == "break":
        if not facts.lease:
            raise StorageError("LeaseNotPresentWithLeaseOperation")
        facts = replace(facts, lease=None)
        status, answer = 202, {"x-ms-lease-time": "0"}
    else:
        raise StorageError("InvalidHeaderValue", "x-ms-lease-action is acquire, change, release or break.")
    request.keep(at, facts)
    return web.Response(status=status, headers={**request.headers(at, facts), **answer})


def _existing(request: FileRequest) -> SharePath:
    at = request.at
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if not at.is_file():
        raise StorageError("ResourceNotFound")
    return at


def _length(request: FileRequest, header: str) -> int:
    value = request.http.headers.get(header)
    if value is None:
        raise StorageError("MissingRequiredHeader", header)
    if not value.isdigit() or int(value) > LARGEST_FILE_BYTES:
        raise StorageError("InvalidHeaderValue", header)
    quota_bytes = request.quota_gib(request.account, request.share) * 1024**3
    if int(value) > quota_bytes:
        raise StorageError("ShareSizeLimitReached")
    return int(value)


def _range(value: str | None) -> tuple[int, int | None]:
    match = RANGE.fullmatch(value or "")
    if match is None:
        raise StorageError("InvalidHeaderValue", "x-ms-range is bytes=FIRST-LAST.")
    return int(match[1]), int(match[2]) if match[2] else None


def _check_md5_text(value: str | None) -> None:
    if value is None:
        return
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise StorageError("InvalidMd5") from error
    if len(decoded) != hashlib.md5(usedforsecurity=False).digest_size:
        raise StorageError("InvalidMd5")
