"""Shares over HTTP: create, read, list, delete."""

import asyncio
import time
from dataclasses import replace
from html import escape

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest, etag, http_time
from ai_toolkit.local_cloud.files.share_folder import SHARE_NAME, SharePath
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.files.usage import used_bytes

LARGEST_QUOTA_GIB = 102400
MOST_SHARES = 5000
TIERED = "2019-12-12"  # the first version whose lists name the tier


async def create(request: FileRequest) -> web.Response:
    """201, or 409 when the share is there."""
    if not SHARE_NAME.fullmatch(request.share):
        raise StorageError("InvalidResourceName")
    if request.shares.exists(request.account, request.share):
        raise StorageError("ShareAlreadyExists")
    request.shares.check_free(request.account, request.share)
    request.records.record(request.account, request.share, _quota_gib(request))
    await request.shares.create(request.account, request.share)
    root = request.at
    request.keep(root, replace(request.facts(root), metadata=request.metadata()))
    return web.Response(status=201, headers=share_headers(request, root))


async def read(request: FileRequest) -> web.Response:
    """The share's properties."""
    root = request.at
    check_share_lease(request, root)
    held = held_lease(request, root)
    duration = "infinite" if request.facts(root).lease_until is None else "fixed"
    quota = request.records.quota_gib(request.account, request.share)
    return web.Response(
        status=200,
        headers={
            **share_headers(request, root),
            "x-ms-share-quota": str(quota),
            "x-ms-access-tier": "TransactionOptimized",
            "x-ms-enabled-protocols": "SMB",
            "x-ms-lease-status": "locked" if held else "unlocked",
            "x-ms-lease-state": "leased" if held else "available",
            **({"x-ms-lease-duration": duration} if held else {}),
            "x-ms-has-immutability-policy": "false",
            "x-ms-has-legal-hold": "false",
            **{f"x-ms-meta-{name}": value for name, value in request.facts(root).metadata.items()},
        },
    )


async def delete(request: FileRequest) -> web.Response:
    """202; everything in the share is gone, its snapshots where the caller says so."""
    request.shares.path(request.account, request.share, "", snapshot=request.snapshot)
    if request.snapshot:
        await request.shares.delete_snapshot(request.account, request.share, request.snapshot)
        return web.Response(status=202)
    check_share_lease(request, request.at, is_needed=True)
    if request.shares.snapshots(request.account, request.share) and not request.http.headers.get(
        "x-ms-delete-snapshots", ""
    ).lower().startswith("include"):
        raise StorageError("ShareHasSnapshots")
    await request.shares.delete(request.account, request.share)
    request.records.forget(request.account, request.share)
    return web.Response(status=202)


async def make_snapshot(request: FileRequest) -> web.Response:
    """201 with the snapshot's name, which is its time."""
    root = request.at
    check_share_lease(request, root)
    name = await request.shares.make_snapshot(request.account, request.share)
    if metadata := request.metadata():
        copy = request.shares.path(request.account, request.share, "", snapshot=name)
        request.keep(copy, replace(request.facts(copy), metadata=metadata))
    return web.Response(status=201, headers={**share_headers(request, root), "x-ms-snapshot": name})


async def read_metadata(request: FileRequest) -> web.Response:
    """The share's metadata."""
    check_share_lease(request, request.at)
    metadata = {f"x-ms-meta-{name}": value for name, value in request.facts(request.at).metadata.items()}
    return web.Response(status=200, headers={**share_headers(request, request.at), **metadata})


async def set_properties(request: FileRequest) -> web.Response:
    """The share's quota, set."""
    root = request.at
    check_share_lease(request, root)
    request.records.record(request.account, request.share, _quota_gib(request))
    return web.Response(status=200, headers=share_headers(request, root))


async def set_metadata(request: FileRequest) -> web.Response:
    """The share's metadata, replaced."""
    root = request.at
    check_share_lease(request, root)
    request.keep(root, replace(request.facts(root), metadata=request.metadata()))
    return web.Response(status=200, headers=share_headers(request, root))


async def statistics(request: FileRequest) -> web.Response:
    """How much the share holds: whole GiB, begun ones counted, and bytes where the version has them."""
    used = await asyncio.to_thread(used_bytes, request.at.root)
    if request.http.headers.get("x-ms-version", "9") >= "2018-11-09":
        usage = f"<ShareUsageBytes>{used}</ShareUsageBytes>"
    else:
        usage = f"<ShareUsage>{-(-used // 1024**3)}</ShareUsage>"
    text = f'\ufeff<?xml version="1.0" encoding="utf-8"?><ShareStats>{usage}</ShareStats>'
    return web.Response(text=text, content_type="application/xml", headers=share_headers(request, request.at))


async def list_shares(request: FileRequest) -> web.Response:
    """The account's shares in order of name, with metadata and snapshots where asked, a page at a time."""
    query = request.query
    prefix, include = query.get("prefix", ""), set(query.get("include", "").lower().split(","))
    most = query.get("maxresults")
    if most is not None and (not most.isdigit() or not 1 <= int(most) <= MOST_SHARES):
        raise StorageError("InvalidQueryParameterValue", f"maxresults is 1 to {MOST_SHARES}.")
    start = query.get("marker", "").removeprefix(f"/{request.account}/")
    folder = request.shares.folder / request.account
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    names = [name for name in names if name.startswith(prefix) and name >= start]
    page, rest = names[: int(most or MOST_SHARES)], names[int(most or MOST_SHARES) :]
    rows = []
    for name in page:
        snapshots = request.shares.snapshots(request.account, name) if "snapshots" in include else []
        rows += [_row(request, name, snapshot, with_metadata="metadata" in include) for snapshot in (*snapshots, "")]
    given = {"Prefix": prefix, "Marker": query.get("marker", ""), "MaxResults": most or ""}
    echoed = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in given.items() if value)
    following = f"<NextMarker>/{request.account}/{rest[0]}</NextMarker>" if rest else "<NextMarker />"
    text = (
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults '
        f'ServiceEndpoint="{request.http.url.origin()}/{request.account}/">{echoed}'
        f"<Shares>{''.join(rows)}</Shares>{following}</EnumerationResults>"
    )
    return web.Response(text=text, content_type="application/xml")


def _row(request: FileRequest, name: str, snapshot: str, *, with_metadata: bool) -> str:
    at = request.shares.path(request.account, name, "", snapshot=snapshot)
    status, facts = at.on_disk.stat(), request.facts(at)
    properties = {
        "Last-Modified": http_time(status.st_mtime),
        "Etag": etag(status),
        "Quota": str(request.records.quota_gib(request.account, name)),
    }
    if request.http.headers.get("x-ms-version", "9") >= TIERED:
        properties["AccessTier"] = "TransactionOptimized"
    row = f"<Name>{escape(name)}</Name>" + (f"<Snapshot>{snapshot}</Snapshot>" if snapshot else "")
    row += f"<Properties>{_elements(properties)}</Properties>"
    if with_metadata and facts.metadata:
        row += f"<Metadata>{_elements(facts.metadata)}</Metadata>"
    return f"<Share>{row}</Share>"


def _elements(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def held_lease(request: FileRequest, root: SharePath) -> str | None:
    """The lease of a share that has not ended."""
    facts = request.facts(root)
    is_over = facts.lease_until is not None and facts.lease_until <= time.time()
    return None if is_over else facts.lease


def check_share_lease(request: FileRequest, root: SharePath, *, is_needed: bool = False) -> None:
    """Raise StorageError when the caller names another lease than the share's, or none where one is needed."""
    held, given = held_lease(request, root), request.http.headers.get("x-ms-lease-id")
    if held and given is None and is_needed:
        raise StorageError("LeaseIdMissing")
    if given is not None and held is None:
        raise StorageError("LeaseNotPresentWithContainerOperation")
    if given is not None and held != given:
        raise StorageError("LeaseIdMismatchWithContainerOperation")


def _quota_gib(request: FileRequest) -> int | None:
    given = request.http.headers.get("x-ms-share-quota")
    if given is None:
        return None
    if not given.isdigit() or not 1 <= int(given) <= LARGEST_QUOTA_GIB:
        raise StorageError("InvalidHeaderValue", f"x-ms-share-quota is 1 to {LARGEST_QUOTA_GIB}.")
    return int(given)


def share_headers(_request: FileRequest, root: SharePath) -> dict[str, str]:
    """What each answer about a share says of it."""
    status = root.root.stat()
    return {"ETag": etag(status), "Last-Modified": http_time(status.st_mtime)}
