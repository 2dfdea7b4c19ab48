"""Whole files over HTTP: create, read, rename, delete."""

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import sys
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest, check_md5_text, request_headers
from ai_toolkit.local_cloud.files.ranges import CHUNK_BYTES, parse_range, remove, written_ranges
from ai_toolkit.local_cloud.files.share_folder import OPEN_TO_ALL, SharePath
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.operating_system import NO_FOLLOW, read_at

LARGEST_FILE_BYTES = 4 * 1024**4


async def create(request: FileRequest) -> web.Response:
    """201; a file of that name is replaced by one of zeros, as on Azure."""
    at = request.at
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if at.is_directory():
        raise StorageError("ResourceTypeMismatch")
    size = _length(request)
    check_md5_text(request.http.headers.get("x-ms-content-md5"))
    before = request.facts(at) if at.is_file() else None
    old_size = at.on_disk.stat().st_size if before else 0
    if before is not None:
        request.check_lease(before)
    await request.claim_space(size - old_size)
    _make(at, size)
    facts = replace(
        request.given_facts(),
        metadata=request.metadata(),
        lease=before.lease if before else None,
        written=[] if size else None,
        long_name=request.long_name(),
    )
    request.keep(at, facts)
    return web.Response(status=201, headers=request.headers(at, facts))


def _make(at: SharePath, size: int) -> None:
    """An empty file of that size, with the inode of the one that was there."""
    descriptor = os.open(at.on_disk, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_FOLLOW, 0o644)
    try:
        os.ftruncate(descriptor, size)
        with contextlib.suppress(PermissionError):  # a replica's own
            if sys.platform == "win32":  # where the local cloud does not run
                raise NotImplementedError
            os.fchmod(descriptor, OPEN_TO_ALL)
    finally:
        os.close(descriptor)


async def read(request: FileRequest) -> web.Response:
    """The file's properties."""
    at = request.existing_file()
    facts = request.facts(at)
    request.check_named_lease(facts)
    headers = {**request.headers(at, facts), **request.content_headers(facts)}
    if facts.content_md5:
        headers["Content-MD5"] = facts.content_md5
    headers["Content-Length"] = str(at.on_disk.stat().st_size)
    return web.Response(status=200, headers=headers)


async def read_metadata(request: FileRequest) -> web.Response:
    """The file's metadata alone."""
    at = request.existing_file()
    facts = request.facts(at)
    request.check_named_lease(facts)
    headers = request.headers(at, facts)
    shown = {name: value for name, value in headers.items() if not name.startswith("x-ms-file-")}
    return web.Response(status=200, headers=shown)


async def download(request: FileRequest) -> web.StreamResponse:
    """The file or a range of it, read as it is sent."""
    at = request.existing_file()
    facts = request.facts(at)
    request.check_named_lease(facts)
    asked = request.http.headers.get("x-ms-range") or request.http.headers.get("Range")
    descriptor = os.open(at.on_disk, os.O_RDONLY | NO_FOLLOW)
    try:
        size = os.fstat(descriptor).st_size
        start, end = parse_range(asked) if asked else (0, None)
        last = size - 1 if end is None else min(end, size - 1)
        if asked and start >= size:
            raise StorageError("InvalidRange")
        headers = {**request_headers(request.http), **request.headers(at, facts), **request.content_headers(facts)}
        headers["Content-Length"] = str(last - start + 1)
        if asked:
            headers["Content-Range"] = f"bytes {start}-{last}/{size}"
            if request.http.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
                part = await asyncio.to_thread(read_at, descriptor, last - start + 1, start)
                headers["Content-MD5"] = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
            if facts.content_md5:
                headers["x-ms-content-md5"] = facts.content_md5
        elif facts.content_md5:
            headers["Content-MD5"] = facts.content_md5
        response = web.StreamResponse(status=206 if asked else 200, headers=headers)
        await response.prepare(request.http)
        while start <= last:
            data = await asyncio.to_thread(read_at, descriptor, min(CHUNK_BYTES, last - start + 1), start)
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
    at = request.existing_file()
    request.check_lease(request.facts(at))
    at.on_disk.unlink()
    request.shares.side_data.forget(at.account, at.share, at.text)
    return web.Response(status=202)


async def set_metadata(request: FileRequest) -> web.Response:
    """The file's metadata, replaced."""
    at = request.existing_file()
    facts = request.touched(replace(request.facts(at), metadata=request.metadata()))
    request.check_lease(facts)
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def set_properties(request: FileRequest) -> web.Response:
    """Content headers, times, attributes, and the size where it is given."""
    at = request.existing_file()
    facts = request.facts(at)
    request.check_lease(facts)
    check_md5_text(request.http.headers.get("x-ms-content-md5"))
    if "x-ms-content-length" in request.http.headers:
        size, old_size = _length(request), at.on_disk.stat().st_size
        await request.claim_space(size - old_size)
        written = remove(written_ranges(facts, old_size), size, max(size, old_size))
        await asyncio.to_thread(os.truncate, at.on_disk, size)
        facts = replace(facts, written=written)
    facts = request.touched(request.given_facts(facts))
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def rename(request: FileRequest) -> web.Response:
    """The source under this name; a file that is there is replaced only where the caller says so."""
    at, source = request.at, _rename_source(request)
    if (request.query.get("restype") == "directory") != source.is_directory():
        raise StorageError("ResourceTypeMismatch")
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    same = source.on_disk == at.on_disk
    if not same:
        _check_rename_target(request, source)
    wanted = request.written_name()
    target = SharePath(at.account, at.share, (*at.names[:-1], wanted), at.root)
    await asyncio.to_thread(shutil.move if source.is_directory() else os.replace, source.on_disk, target.on_disk)
    if target.on_disk != at.on_disk and not same:
        at.on_disk.unlink(missing_ok=True)  # the replaced one's name had another case
    if source.text.casefold() != target.text.casefold():
        request.shares.side_data.move(at.account, at.share, source.text, target.text)
    facts = replace(request.touched(request.facts(target)), long_name=request.long_name())
    if metadata := request.metadata():
        facts = replace(facts, metadata=metadata)
    request.keep(target, facts)
    return web.Response(status=200, headers=request.headers(target, facts))


def _rename_source(request: FileRequest) -> SharePath:
    """What is renamed; StorageError unless it exists, in this share, and the caller may move it."""
    headers = request.http.headers
    parts = unquote(urlsplit(headers.get("x-ms-file-rename-source", "")).path).strip("/").split("/", 2)
    if len(parts) != 3 or parts[0] != request.account or parts[1].lower() != request.at.share:  # noqa: PLR2004
        raise StorageError("InvalidHeaderValue", "The source of a rename is a path in the same share.")
    dots = headers.get("x-ms-source-allow-trailing-dot", "").lower() == "true"
    source = request.shares.path(request.account, request.share, parts[2], keep_trailing_dots=dots)
    if source.is_file():
        _check_held(request.facts(source).lease, headers.get("x-ms-source-lease-id"))
    elif not source.is_directory():
        raise StorageError("ResourceNotFound")
    return source


def _check_rename_target(request: FileRequest, source: SharePath) -> None:
    """Raise StorageError when something is there that may not be replaced."""
    at, headers = request.at, request.http.headers
    if not at.is_file() and not at.is_directory():
        return
    replace_it = headers.get("x-ms-file-rename-replace-if-exists", "false").lower() == "true"
    if not replace_it or at.is_directory() or source.is_directory():
        raise StorageError("ResourceAlreadyExists")
    _check_held(request.facts(at).lease, headers.get("x-ms-destination-lease-id"))


def _check_held(held: str | None, given: str | None) -> None:
    if held and given != held:
        raise StorageError("LeaseIdMissing" if given is None else "LeaseIdMismatchWithFileOperation")


def _length(request: FileRequest) -> int:
    value = request.http.headers.get("x-ms-content-length")
    if value is None:
        raise StorageError("MissingRequiredHeader", "x-ms-content-length")
    if not value.isdigit() or int(value) > LARGEST_FILE_BYTES:
        raise StorageError("InvalidHeaderValue", "x-ms-content-length")
    return int(value)
