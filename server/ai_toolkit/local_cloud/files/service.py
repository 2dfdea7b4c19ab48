"""Azure Files over HTTP: which handler answers, and who may call."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.core.access import is_own_host
from ai_toolkit.local_cloud.files import (
    acl,
    copies,
    directories,
    files,
    handles,
    leases,
    permissions,
    ranges,
    service_properties,
    share_leases,
    shares,
)
from ai_toolkit.local_cloud.files.authorization import check_grant
from ai_toolkit.local_cloud.files.file_request import FileRequest, request_headers
from ai_toolkit.local_cloud.files.sas import Target, verify_sas
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
        except Exception as error:
            log.exception("unexpected failure in %s %s", http.method, http.path)
            refusal = StorageError("InternalError")
            if full_disk.is_full(error):
                refusal = StorageError(full_disk.CODE, full_disk.in_words(self._shares.folder))
            response = refusal.response(http.method)
        if not response.prepared:
            for name, value in request_headers(http).items():
                response.headers.setdefault(name, value)
        return response

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        if not is_own_host(http):
            raise StorageError("InvalidHost")
        if "Origin" in http.headers:
            raise StorageError("OriginNotAllowed")
        raw_path = http.raw_path.partition("?")[0]
        account, _, rest = raw_path.lstrip("/").partition("/")
        keys = self._account_keys(account) if ACCOUNT_NAME.fullmatch(account) else None
        is_signed = "Authorization" in http.headers
        query = {name.lower(): value for name, value in http.query.items()}
        if not is_signed and "sig" not in query:
            raise StorageError("NoAuthenticationInformation")
        if keys is None:
            raise StorageError("AuthenticationFailed", authentication_detail=f"There is no account '{account}'.")
        share, _, path = rest.partition("/")
        share, path = unquote(share), unquote(path)
        if share and not SHARE_NAME.fullmatch(share.lower()):
            raise StorageError("InvalidResourceName")
        request = FileRequest(http, account, share, path, query, self._shares, self._records, self._account_keys)
        if is_signed:
            try:
                verify(http.method, http.raw_path, http.headers, account, keys)
            except SignatureError as error:
                raise StorageError("AuthenticationFailed", authentication_detail=str(error)) from error
        else:
            target = Target(account, share, path, http.scheme, http.remote or "127.0.0.1")
            policies = request.policies_of(account, share) if share else ()
            check_grant(verify_sas(query, target, keys, policies), request)
        if code := self._account_refusal(account):
            raise StorageError(code)
        return await _route(request)


async def _route(request: FileRequest) -> web.StreamResponse:
    """Send the request to the handler that its method, restype and comp name."""
    kind = request.query.get("restype", "")
    method, comp = request.http.method, request.query.get("comp", "")
    if not request.share:
        handler = SERVICE.get((method, kind, comp))
    elif comp in {"listhandles", "forceclosehandles"}:
        handler = HANDLES.get((method, "", comp))
    elif kind == "share" or (not request.path and kind != "directory"):
        handler = SHARE_HANDLERS.get((method, kind, comp))
    elif kind == "directory":
        handler = DIRECTORY.get((method, kind, comp))
    else:
        handler = FILE.get((method, "", comp))
    if handler is None:
        raise StorageError("NotImplementedByLocalCloud", f"{method} {request.http.path}")
    if request.snapshot and method not in {"GET", "HEAD"} and (method, kind) != ("DELETE", "share"):
        raise StorageError("InvalidQueryParameterValue", "A snapshot is only read, or deleted.")
    return await handler(request)


Handler = Callable[[FileRequest], Awaitable[web.StreamResponse]]
Table = Mapping[tuple[str, str, str], Handler]
SERVICE: Table = {
    ("GET", "", "list"): shares.list_shares,
    ("GET", "service", "properties"): service_properties.read,
    ("PUT", "service", "properties"): service_properties.write,
}
SHARE_HANDLERS: Table = {
    ("PUT", "share", ""): shares.create,
    ("GET", "share", ""): shares.read,
    ("HEAD", "share", ""): shares.read,
    ("DELETE", "share", ""): shares.delete,
    ("PUT", "share", "metadata"): shares.set_metadata,
    ("PUT", "share", "properties"): shares.set_properties,
    ("GET", "share", "metadata"): shares.read_metadata,
    ("HEAD", "share", "metadata"): shares.read_metadata,
    ("GET", "share", "stats"): shares.statistics,
    ("PUT", "share", "snapshot"): shares.make_snapshot,
    ("PUT", "share", "lease"): share_leases.lease,
    ("GET", "share", "acl"): acl.read,
    ("HEAD", "share", "acl"): acl.read,
    ("PUT", "share", "acl"): acl.write,
    ("PUT", "share", "filepermission"): permissions.create,
    ("GET", "share", "filepermission"): permissions.read,
}
DIRECTORY: Table = {
    ("PUT", "directory", ""): directories.create,
    ("GET", "directory", ""): directories.read,
    ("HEAD", "directory", ""): directories.read,
    ("DELETE", "directory", ""): directories.delete,
    ("GET", "directory", "list"): directories.list_entries,
    ("GET", "directory", "metadata"): directories.read,
    ("HEAD", "directory", "metadata"): directories.read,
    ("PUT", "directory", "metadata"): directories.set_metadata,
    ("PUT", "directory", "properties"): directories.set_properties,
    ("PUT", "directory", "rename"): directories.rename,
}
FILE: Table = {
    ("PUT", "", ""): copies.create_or_copy,
    ("PUT", "", "copy"): copies.abort,
    ("GET", "", "metadata"): files.read_metadata,
    ("HEAD", "", "metadata"): files.read_metadata,
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
HANDLES: Table = {
    ("GET", "", "listhandles"): handles.list_handles,
    ("PUT", "", "forceclosehandles"): handles.close_handles,
}


async def _drain(http: web.Request) -> None:
    """Read what the client still sends, so that it can read the answer."""
    async for _ in http.content.iter_chunked(1 << 20):
        pass
