"""Ranges of files over HTTP: written, cleared, listed."""

import asyncio
import base64
import hashlib
import os
import re
from dataclasses import replace

from aiohttp import web

from ai_toolkit.local_cloud.files.copy_source import source_of
from ai_toolkit.local_cloud.files.file_request import FileRequest, check_md5_text, file_times
from ai_toolkit.local_cloud.files.share_folder import SharePath
from ai_toolkit.local_cloud.files.side_data import FileFacts
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.operating_system import NO_FOLLOW, read_at, write_at

LARGEST_RANGE_BYTES = 4 * 1024**2
CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 16  # written sooner than a thread takes over
MOST_RANGES = 10_000
PAGE_BYTES = 512  # what is cleared in whole pages counts as never written
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
Ranges = list[list[int]]  # [first, last], in order, none touching the next


async def put_range(request: FileRequest) -> web.Response:
    """201; the bytes are in the file, or nothing is when their MD5 does not match."""
    at = request.existing_file()
    headers = request.http.headers
    request.check_lease(request.facts(at))
    start, end = parse_range(headers.get("x-ms-range") or headers.get("Range"))
    if end is None:
        raise StorageError("InvalidHeaderValue", "The range needs its end.")
    if end >= at.on_disk.stat().st_size or start > end:
        raise StorageError("InvalidRange")
    last_write = _last_write_time(request, at)
    answer: dict[str, str] = {}
    if headers.get("x-ms-write", "update").lower() == "clear":
        await asyncio.to_thread(_clear, at, start, end)
        whole_pages = start % PAGE_BYTES == 0 and (end + 1) % PAGE_BYTES == 0
        change = remove if whole_pages else add
    else:
        data = await (_copied if "x-ms-copy-source" in headers else _body)(request, end - start + 1)
        answer["Content-MD5"] = _checked_md5(headers.get("Content-MD5"), data)
        if len(data) > SMALL_BYTES:
            await asyncio.to_thread(_write, at, start, data)
        else:
            _write(at, start, data)
        change = add
    # Read again: other ranges may have been recorded while these bytes were written.
    facts = request.facts(at)
    size = at.on_disk.stat().st_size
    written = change(written_ranges(facts, size), start, end)
    facts = replace(facts, last_write_time=last_write, written=None if written == [[0, size - 1]] else written)
    request.keep(at, facts)
    return web.Response(status=201, headers={**request.headers(at, facts), **answer})


def _last_write_time(request: FileRequest, at: SharePath) -> str | None:
    """What the file's time of writing will be; None for the time that the disk gives it."""
    given = request.http.headers.get("x-ms-file-last-write-time", "now")
    if given.lower() == "preserve":
        return file_times(at.on_disk.stat(), request.facts(at)).last_write
    return None if given.lower() == "now" else given


async def _body(request: FileRequest, length: int) -> bytearray:
    if length > LARGEST_RANGE_BYTES:
        raise StorageError("RequestBodyTooLarge")
    data = bytearray()
    async for chunk in request.http.content.iter_chunked(CHUNK_BYTES):
        data += chunk
        if len(data) > length:
            raise StorageError("InvalidHeaderValue", "The body is longer than the range.")
    if len(data) != length:
        raise StorageError("InvalidHeaderValue", "The body is shorter than the range.")
    return data


async def _copied(request: FileRequest, length: int) -> bytearray:
    """The bytes of the source's range."""
    source = source_of(request)
    first, last = parse_range(request.http.headers.get("x-ms-source-range"))
    data = await asyncio.to_thread(_read, source, first, length if last is None else last - first + 1)
    if len(data) != length:
        raise StorageError("CannotVerifyCopySource", "The source is not as long as the range that is written.")
    return bytearray(data)


def _read(at: SharePath, start: int, length: int) -> bytes:
    with at.on_disk.open("rb") as stream:
        return read_at(stream.fileno(), length, start)


def _checked_md5(given: str | None, data: bytearray) -> str:
    """The data's MD5 in base 64; StorageError when the caller says another."""
    computed = hashlib.md5(data, usedforsecurity=False).digest()
    check_md5_text(given)
    if given is not None and base64.b64decode(given) != computed:
        raise StorageError("Md5Mismatch")
    return base64.b64encode(computed).decode()


def _write(at: SharePath, start: int, data: bytes | bytearray) -> None:
    descriptor = os.open(at.on_disk, os.O_WRONLY | NO_FOLLOW)
    try:
        view = memoryview(data)
        while view:
            written = write_at(descriptor, view, start)
            view, start = view[written:], start + written
    finally:
        os.close(descriptor)


def _clear(at: SharePath, start: int, end: int) -> None:
    for offset in range(start, end + 1, CHUNK_BYTES):
        _write(at, offset, bytes(min(CHUNK_BYTES, end + 1 - offset)))


async def list_ranges(request: FileRequest) -> web.Response:
    """What was written, so that an upload that was cut can go on; what never was is not listed."""
    at = request.existing_file()
    if "prevsharesnapshot" in request.query:
        raise StorageError("NotImplementedByLocalCloud", "Differences between snapshots.")
    facts, size = request.facts(at), at.on_disk.stat().st_size
    request.check_named_lease(facts)
    ranges = written_ranges(facts, size)
    asked = request.http.headers.get("x-ms-range") or request.http.headers.get("Range")
    if asked is not None:
        first, last = parse_range(asked)
        ranges = remove(ranges, 0, first - 1)
        ranges = ranges if last is None else remove(ranges, last + 1, size)
    marker, most = request.query.get("marker", ""), request.query.get("maxresults", str(MOST_RANGES))
    if not most.isdigit() or int(most) < 1 or not (marker.isdigit() or not marker):
        raise StorageError("InvalidQueryParameterValue", "marker and maxresults are numbers.")
    ranges = [one for one in ranges if one[0] >= int(marker or 0)]
    ranges, rest = ranges[: int(most)], ranges[int(most) :]
    rows = "".join(f"<Range><Start>{first}</Start><End>{last}</End></Range>" for first, last in ranges)
    next_marker = f"<NextMarker>{rest[0][0]}</NextMarker>" if rest else ""
    text = f'<?xml version="1.0" encoding="utf-8"?><Ranges>{rows}{next_marker}</Ranges>'
    headers = {**request.headers(at, facts), "x-ms-content-length": str(size)}
    return web.Response(text=text, content_type="application/xml", headers=headers)


def written_ranges(facts: FileFacts, size: int) -> Ranges:
    """The ranges of a file that were written; of a file that another program made, all of it."""
    if facts.written is None:
        return [[0, size - 1]] if size else []
    return remove(facts.written, size, max([size, *(last for _first, last in facts.written)]))


def add(ranges: Ranges, first: int, last: int) -> Ranges:
    """The ranges with one more, joined with those that it touches."""
    apart = [one for one in ranges if one[1] < first - 1 or one[0] > last + 1]
    touching = [one for one in ranges if one not in apart]
    joined = [min([first, *(one[0] for one in touching)]), max([last, *(one[1] for one in touching)])]
    return sorted([*apart, joined])


def remove(ranges: Ranges, first: int, last: int) -> Ranges:
    """What is left of the ranges outside of one."""
    if first > last:
        return ranges
    left = []
    for begin, end in ranges:
        if begin < first:
            left.append([begin, min(end, first - 1)])
        if end > last:
            left.append([max(begin, last + 1), end])
    return left


def parse_range(value: str | None) -> tuple[int, int | None]:
    """First and last byte of a range header; StorageError for another form."""
    match = RANGE.fullmatch(value or "")
    if match is None:
        raise StorageError("InvalidHeaderValue", "x-ms-range is bytes=FIRST-LAST.")
    return int(match[1]), int(match[2]) if match[2] else None
