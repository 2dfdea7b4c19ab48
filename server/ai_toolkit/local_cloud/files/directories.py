"""Directories over HTTP: create, read, list, rename, delete."""

import asyncio
import base64
import os
from dataclasses import replace
from html import escape

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest, etag, file_times
from ai_toolkit.local_cloud.files.files import rename as rename_path
from ai_toolkit.local_cloud.files.share_folder import OPEN_TO_ALL, SharePath
from ai_toolkit.local_cloud.files.side_data import FileFacts
from ai_toolkit.local_cloud.files.storage_error import StorageError

MOST_ENTRIES = 5000


async def create(request: FileRequest) -> web.Response:
    """201, or 409 when something of that name is there."""
    at = request.at
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if at.is_file():
        raise StorageError("ResourceTypeMismatch")
    try:
        at.on_disk.mkdir()
        at.on_disk.chmod(OPEN_TO_ALL)
    except FileExistsError as error:
        raise StorageError("ResourceAlreadyExists") from error
    facts = replace(request.given_facts(), metadata=request.metadata(), long_name=request.long_name())
    request.keep(at, facts)
    return web.Response(status=201, headers=request.headers(at, facts))


async def read(request: FileRequest) -> web.Response:
    """The directory's properties."""
    at = _existing(request)
    return web.Response(status=200, headers=request.headers(at, request.facts(at)))


async def delete(request: FileRequest) -> web.Response:
    """202; only an empty directory can be deleted."""
    at = _existing(request)
    if not at.names:
        raise StorageError("CannotDeleteFileOrDirectory")
    try:
        at.on_disk.rmdir()
    except OSError as error:
        raise StorageError("DirectoryNotEmpty") from error
    request.shares.side_data.forget(at.account, at.share, at.text)
    return web.Response(status=202)


async def set_metadata(request: FileRequest) -> web.Response:
    """The directory's metadata, replaced."""
    at = _existing(request)
    facts = request.touched(replace(request.facts(at), metadata=request.metadata()))
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def set_properties(request: FileRequest) -> web.Response:
    """Times and attributes."""
    at = _existing(request)
    facts = request.touched(request.given_facts(request.facts(at)))
    request.keep(at, facts)
    return web.Response(status=200, headers=request.headers(at, facts))


async def rename(request: FileRequest) -> web.StreamResponse:
    """The directory under a new name."""
    return await rename_path(request)


async def list_entries(request: FileRequest) -> web.Response:
    """Names, and what else was asked for, in order of name, a page at a time."""
    at = _existing(request)
    text = await asyncio.to_thread(_listing, request, at)
    return web.Response(text=text, content_type="application/xml")


def _listing(request: FileRequest, at: SharePath) -> str:
    prefix, marker = request.query.get("prefix", ""), _decode(request.query.get("marker", ""))
    most = _page_size(request.query.get("maxresults"))
    include = set(request.query.get("include", "").lower().split(","))
    known = request.shares.side_data.children(at.account, at.share, at.text)
    with os.scandir(at.on_disk) as found:
        named = [(_shown(entry.name, known), entry) for entry in found if not entry.is_symlink()]
    entries = sorted(
        (one for one in named if one[0].casefold().startswith(prefix.casefold()) and one[0] >= marker),
        key=lambda one: one[0],
    )
    page, rest = entries[:most], entries[most:]
    rows = [_row(name, entry, include, known.get(entry.name.casefold())) for name, entry in page]
    next_marker = _encode(rest[0][0]) if rest else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<EnumerationResults ServiceEndpoint="{request.http.url.origin()}/{at.account}/" ShareName="{request.share}" '
        f'DirectoryPath="{escape(at.text)}">'
        f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(request.query.get('marker', ''))}</Marker>"
        f"<MaxResults>{most}</MaxResults><DirectoryId>{at.on_disk.stat().st_ino}</DirectoryId>"
        f"<Entries>{''.join(rows)}</Entries><NextMarker>{next_marker}</NextMarker></EnumerationResults>"
    )


def _shown(name: str, known: dict[str, tuple[int, FileFacts]]) -> str:
    """The name that a client gave, where the disk has a shorter one."""
    found = known.get(name.casefold())
    return (found[1].long_name or name) if found else name


def _row(name: str, entry: os.DirEntry[str], include: set[str], known: tuple[int, FileFacts] | None) -> str:
    status = entry.stat(follow_symlinks=False)
    facts = known[1] if known and known[0] == status.st_ino else FileFacts()
    is_directory = entry.is_dir(follow_symlinks=False)
    properties = "" if is_directory else f"<Content-Length>{status.st_size}</Content-Length>"
    if "timestamps" in include:
        times = file_times(status, facts)
        properties += (
            f"<CreationTime>{times.creation}</CreationTime>"
            f"<LastAccessTime>{times.last_access}</LastAccessTime>"
            f"<LastWriteTime>{times.last_write}</LastWriteTime>"
            f"<ChangeTime>{times.change}</ChangeTime>"
            f"<Last-Modified>{times.last_modified}</Last-Modified>"
        )
    if "etag" in include:
        properties += f"<Etag>{escape(etag(status, facts))}</Etag>"
    row = f"<Name>{escape(name)}</Name><FileId>{status.st_ino}</FileId><Properties>{properties}</Properties>"
    if "attributes" in include:
        row += f"<Attributes>{facts.attributes or ('Directory' if is_directory else 'Archive')}</Attributes>"
    if "permissionkey" in include:
        row += f"<PermissionKey>{facts.permission_key or '0*0'}</PermissionKey>"
    kind = "Directory" if is_directory else "File"
    return f"<{kind}>{row}</{kind}>"


def _existing(request: FileRequest) -> SharePath:
    at = request.at
    if at.names and not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if not at.is_directory():
        raise StorageError("ResourceNotFound")  # for a file, too: clients ask to find out which it is
    return at


def _page_size(asked: str | None) -> int:
    if asked is None:
        return MOST_ENTRIES
    if not asked.isdigit() or not 1 <= int(asked) <= MOST_ENTRIES:
        raise StorageError("InvalidQueryParameterValue", "maxresults is 1 to 5000.")
    return int(asked)


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode()
    except ValueError as error:
        raise StorageError("InvalidQueryParameterValue", "The marker is not one of ours.") from error
