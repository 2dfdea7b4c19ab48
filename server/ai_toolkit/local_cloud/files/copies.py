"""Files copied inside the local cloud: whole ones, and ranges of them. A copy is done when it is answered.

Source: https://learn.microsoft.com/rest/api/storageservices/copy-file
"""

import asyncio
import shutil
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from ai_toolkit.local_cloud.files.copy_source import source_of
from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.files import create
from ai_toolkit.local_cloud.files.storage_error import StorageError


async def create_or_copy(request: FileRequest) -> web.Response:
    """201 for a new file, 202 for a copy of one."""
    return await (_copy(request) if "x-ms-copy-source" in request.http.headers else create(request))


async def _copy(request: FileRequest) -> web.Response:
    """202: the file is there, with the source's properties, and its metadata where the request has none."""
    at = request.at
    source = source_of(request)
    if not at.parent.is_directory():
        raise StorageError("ParentNotFound")
    if at.is_directory():
        raise StorageError("ResourceTypeMismatch")
    before = request.facts(at) if at.is_file() else None
    old_size = at.on_disk.stat().st_size if before else 0
    if before is not None:
        request.check_lease(before)
    status = source.on_disk.stat()
    await request.claim_space(status.st_size - old_size)
    facts = request.facts(source)
    if source.on_disk != at.on_disk:
        await asyncio.to_thread(shutil.copyfile, source.on_disk, at.on_disk, follow_symlinks=False)
    copied = {
        "id": str(uuid.uuid4()),
        "source": request.http.headers["x-ms-copy-source"].partition("?")[0],
        "progress": f"{status.st_size}/{status.st_size}",
        "completion-time": format_datetime(datetime.now(UTC), usegmt=True),
    }
    facts = replace(
        facts,
        metadata=request.metadata() or facts.metadata,
        lease=before.lease if before else None,
        last_write_time=None,
        creation_time=None,
        long_name=request.long_name(),
        copied=copied,
    )
    request.keep(at, facts)
    headers = request.headers(at, facts)
    described = {name: headers[name] for name in ("ETag", "Last-Modified")}
    return web.Response(status=202, headers={**described, "x-ms-copy-id": copied["id"], "x-ms-copy-status": "success"})


async def abort(request: FileRequest) -> web.Response:
    """409: every copy is done by the time that somebody can ask for its end."""
    request.existing_file()
    raise StorageError("NoPendingCopyOperation")
