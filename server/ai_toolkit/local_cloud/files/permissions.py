"""Security descriptors of files: kept under keys and handed out again; nothing here is guarded by them."""

import json
from dataclasses import replace

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.security_descriptor import permission_key
from ai_toolkit.local_cloud.files.storage_error import StorageError

LARGEST_BODY_BYTES = 64 * 1024
INHERITED_KEY = "0*0"
INHERITED = "O:SYG:SYD:(A;;FA;;;SY)(A;;FA;;;BA)"


async def create(request: FileRequest) -> web.Response:
    """201 with the key of a descriptor."""
    root = request.shares.path(request.account, request.share, "")
    data = await request.http.content.read(LARGEST_BODY_BYTES)
    try:
        permission = json.loads(data)["permission"]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError("FileInvalidPermission") from error
    key = permission_key(permission)
    facts = request.facts(root)
    request.keep(root, replace(facts, permissions={**facts.permissions, key: permission}))
    return web.Response(status=201, headers={"x-ms-file-permission-key": key})


async def read(request: FileRequest) -> web.Response:
    """The descriptor of a key."""
    root = request.shares.path(request.account, request.share, "")
    key = request.http.headers.get("x-ms-file-permission-key", "")
    known = {INHERITED_KEY: INHERITED, **request.facts(root).permissions}
    if key not in known:
        raise StorageError("ResourceNotFound")
    return web.json_response({"permission": known[key]})
