"""Handles that clients hold open over SMB: nothing mounts a share that way here, so there is none."""

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.storage_error import StorageError

NONE = '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Entries /><NextMarker /></EnumerationResults>'


async def list_handles(request: FileRequest) -> web.Response:
    """An empty list, for a file or directory that exists."""
    _check(request)
    return web.Response(text=NONE, content_type="application/xml")


async def close_handles(request: FileRequest) -> web.Response:
    """200: there was nothing to close."""
    _check(request)
    if "x-ms-handle-id" not in request.http.headers:
        raise StorageError("MissingRequiredHeader", "x-ms-handle-id")
    return web.Response(
        status=200, headers={"x-ms-number-of-handles-closed": "0", "x-ms-number-of-handles-failed": "0"}
    )


def _check(request: FileRequest) -> None:
    if not request.at.is_file() and not request.at.is_directory():
        raise StorageError("ResourceNotFound")
