"""Azure Files over HTTP: which handler answers, and who may call."""

import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from ai_toolkit.local_cloud.core.access import is_own_host
from ai_toolkit.local_cloud.files import directories, files, leases, ranges, shares
from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.share_folder import ACCOUNT_NAME, SHARE_NAME, ShareRecords, Shares
from ai_toolkit.local_cloud.files.shared_key import SignatureError, verify
from ai_toolkit.local_cloud.files.storage_error import StorageError

log = logging.getLogger(__name__)


class FileService:
    """Answers every request to the Files port."""

    def __init__(
        self,
        folder: Shares,
        account_keys: Callable[[str], list[bytes] | None],
        records: ShareRecords,
        account_refusal: Callable[[str], str] = lambda _account: "",
    ) -> None:
        """`account_refusal`: the code with which an account's own settings refuse what its key signed."""
        self._shares = folder
        self._account_keys = account_keys
        self._records = records
        self._account_refusal = account_refusal

    async def answer(self, http: web.Request) -> web.StreamResponse:
        """The answer to any request, refusals included."""
        try:
            response = await self._answer(http)
        except StorageError as error:
            response = error.response(http.method)
            with contextlib.suppress(ConnectionError):
                await _drain(http)
        except ConnectionError:
            raise
        except Exception:
            log.exception("unexpected failure in %s %s", http.method, http.path)
            response = StorageError("InternalError").response(http.method)
        if not response.prepared:
            response.headers.setdefault("x-ms-request-id", str(uuid.uuid4()))
            response.headers.setdefault("x-ms-version", http.headers.get("x-ms-version", "2025-11-05"))
            if (client := http.headers.get("x-ms-client-request-id")) is not None:
                response.headers["x-ms-client-request-id"] = client
        return response

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        if not is_own_host(http):
            raise StorageError("InvalidHost")
        if "Origin" in http.headers:
            raise StorageError("OriginNotAllowed")
        raw_path = http.raw_path.partition("?")[0]
        account, _, rest = raw_path.lstrip("/").partition("/")
        keys = self._account_keys(account) if ACCOUNT_NAME.fullmatch(account) else None
        if "Authorization" not in http.headers:
            raise StorageError("NoAuthenticationInformation")
        if keys is None:
            raise StorageError("AuthenticationFailed", f"There is no account '{account}'.")
        try:
            verify(http.method, http.raw_path, http.headers, account, keys)
        except SignatureError as error:
            raise StorageError("AuthenticationFailed", str(error)) from error
        if code := self._account_refusal(account):
            raise StorageError(code)
        share, _, path = rest.partition("/")
        query = {name.lower(): value for name, value in http.query.items()}
        share = unquote(share)
        if share and not SHARE_NAME.fullmatch(share.lower()):
            raise StorageError("InvalidResourceName")
        request = FileRequest(http, account, share, unquote(path), query, self._shares, self._records)
        return await _route(request)


async def _route(request: FileRequest) -> web.StreamResponse:
    """Send the request to the handler that its method, restype and comp name."""
    kind = request.query.get("restype", "")
    key = (request.http.method, kind, request.query.get("comp", ""))
    if not request.share:
        handler = SERVICE.get(key)
    elif kind == "share" or (not request.path and kind != "directory"):
        handler = SHARE_HANDLERS.get(key)
    elif kind == "directory":
        handler = DIRECTORY.get(key)
    else:
        handler = FILE.get((request.http.method, "", key[2]))
    if handler is None:
        raise StorageError("NotImplementedByLocalCloud", f"{request.http.method} {request.http.path_qs}")
    return await handler(request)


Handler = Callable[[FileRequest], Awaitable[web.StreamResponse]]
Table = Mapping[tuple[str, str, str], Handler]
SERVICE: Table = {
    ("GET", "", "list"): shares.list_shares,
    ("GET", "service", "properties"): shares.service_properties,
}
SHARE_HANDLERS: Table = {
    ("PUT", "share", ""): shares.create,
    ("GET", "share", ""): shares.read,
    ("HEAD", "share", ""): shares.read,
    ("DELETE", "share", ""): shares.delete,
    ("PUT", "share", "metadata"): shares.set_metadata,
    ("PUT", "share", "properties"): shares.set_properties,
    ("GET", "share", "stats"): shares.statistics,
    ("PUT", "share", "filepermission"): shares.create_permission,
}
DIRECTORY: Table = {
    ("PUT", "directory", ""): directories.create,
    ("GET", "directory", ""): directories.read,
    ("HEAD", "directory", ""): directories.read,
    ("DELETE", "directory", ""): directories.delete,
    ("GET", "directory", "list"): directories.list_entries,
    ("PUT", "directory", "metadata"): directories.set_metadata,
    ("PUT", "directory", "properties"): directories.set_properties,
    ("PUT", "directory", "rename"): directories.rename,
}
FILE: Table = {
    ("PUT", "", ""): files.create,
    ("PUT", "", "range"): ranges.put_range,
    ("GET", "", ""): files.download,
    ("HEAD", "", ""): files.read,
    ("DELETE", "", ""): files.delete,
    ("PUT", "", "metadata"): files.set_metadata,
    ("PUT", "", "properties"): files.set_properties,
    ("GET", "", "rangelist"): ranges.list_ranges,
    ("PUT", "", "rename"): files.rename,
    ("PUT", "", "lease"): leases.lease,
}


async def _drain(http: web.Request) -> None:
    """Read what the client still sends, so that it can read the answer."""
    async for _ in http.content.iter_chunked(1 << 20):
        pass
