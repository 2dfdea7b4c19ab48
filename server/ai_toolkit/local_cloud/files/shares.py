"""Shares over HTTP: create, read, list, delete."""

import asyncio
from dataclasses import replace
from html import escape

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest, etag, http_time
from ai_toolkit.local_cloud.files.share_folder import SHARE_NAME, SharePath
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.files.usage import used_bytes

LARGEST_QUOTA_GIB = 102400


async def create(request: FileRequest) -> web.Response:
    """201, or 409 when the share is there."""
    if not SHARE_NAME.fullmatch(request.share):
        raise StorageError("InvalidResourceName")
    if request.shares.exists(request.account, request.share):
        raise StorageError("ShareAlreadyExists")
    request.records.record(request.account, request.share, _quota_gib(request))
    await request.shares.create(request.account, request.share)
    root = request.at
    request.keep(root, replace(request.facts(root), metadata=request.metadata()))
    return web.Response(status=201, headers=_headers(request, root))


async def read(request: FileRequest) -> web.Response:
    """The share's properties."""
    root = request.shares.path(request.account, request.share, "")
    quota = request.records.quota_gib(request.account, request.share)
    return web.Response(
        status=200,
        headers={
            **_headers(request, root),
            "x-ms-share-quota": str(quota),
            "x-ms-access-tier": "TransactionOptimized",
            "x-ms-enabled-protocols": "SMB",
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-has-immutability-policy": "false",
            **{f"x-ms-meta-{name}": value for name, value in request.facts(root).metadata.items()},
        },
    )


async def delete(request: FileRequest) -> web.Response:
    """202; everything in the share is gone."""
    if not request.shares.exists(request.account, request.share):
        raise StorageError("ShareNotFound")
    await request.shares.delete(request.account, request.share)
    request.records.forget(request.account, request.share)
    return web.Response(status=202)


async def set_properties(request: FileRequest) -> web.Response:
    """The share's quota, set."""
    root = request.at
    request.records.record(request.account, request.share, _quota_gib(request))
    return web.Response(status=200, headers=_headers(request, root))


async def set_metadata(request: FileRequest) -> web.Response:
    """The share's metadata, replaced."""
    root = request.at
    request.keep(root, replace(request.facts(root), metadata=request.metadata()))
    return web.Response(status=200, headers=_headers(request, root))


async def statistics(request: FileRequest) -> web.Response:
    """How many bytes the share holds."""
    used = await asyncio.to_thread(used_bytes, request.at.root)
    text = f'<?xml version="1.0" encoding="utf-8"?><ShareStats><ShareUsageBytes>{used}</ShareUsageBytes></ShareStats>'
    return web.Response(text=text, content_type="application/xml", headers=_headers(request, request.at))


async def create_permission(request: FileRequest) -> web.Response:
    """A key for a security descriptor: all files here have the same one."""
    if not request.shares.exists(request.account, request.share):
        raise StorageError("ShareNotFound")
    return web.Response(status=201, headers={"x-ms-file-permission-key": "0*0"})


async def list_shares(request: FileRequest) -> web.Response:
    """The account's shares."""
    prefix = request.query.get("prefix", "")
    folder = request.shares.folder / request.account
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    rows = []
    for name in names:
        if name.startswith(prefix):
            status = (folder / name).stat()
            rows.append(
                f"<Share><Name>{escape(name)}</Name><Properties><Last-Modified>{http_time(status.st_mtime)}"
                f"</Last-Modified><Etag>{escape(etag(status))}</Etag>"
                f"<Quota>{request.records.quota_gib(request.account, name)}</Quota>"
                "<AccessTier>TransactionOptimized</AccessTier></Properties></Share>"
            )
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="{request.http.url.origin()}/'
        f'{request.account}"><Prefix>{escape(prefix)}</Prefix><Shares>{"".join(rows)}</Shares><NextMarker/>'
        "</EnumerationResults>"
    )
    return web.Response(text=text, content_type="application/xml")


async def service_properties(_request: FileRequest) -> web.Response:
    """The account's file service: nothing of it can be set."""
    text = (
        '<?xml version="1.0" encoding="utf-8"?><StorageServiceProperties><HourMetrics><Version>1.0</Version>'
        "<Enabled>false</Enabled></HourMetrics><MinuteMetrics><Version>1.0</Version><Enabled>false</Enabled>"
        "</MinuteMetrics><Cors/></StorageServiceProperties>"
    )
    return web.Response(text=text, content_type="application/xml")


def _quota_gib(request: FileRequest) -> int | None:
    given = request.http.headers.get("x-ms-share-quota")
    if given is None:
        return None
    if not given.isdigit() or not 1 <= int(given) <= LARGEST_QUOTA_GIB:
        raise StorageError("InvalidHeaderValue", f"x-ms-share-quota is 1 to {LARGEST_QUOTA_GIB}.")
    return int(given)


def _headers(request: FileRequest, root: SharePath) -> dict[str, str]:
    status = request.shares.root(root.account, root.share).stat()
    return {"ETag": etag(status), "Last-Modified": http_time(status.st_mtime)}
