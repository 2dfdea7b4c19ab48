"""Where a copy comes from: a file of this local cloud that the caller may read."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.sas import Target, verify_sas
from ai_toolkit.local_cloud.files.share_folder import SharePath
from ai_toolkit.local_cloud.files.storage_error import StorageError


def source_of(request: FileRequest) -> SharePath:
    """The file that x-ms-copy-source names; StorageError unless it is here and the caller may read it."""
    parts = urlsplit(request.http.headers["x-ms-copy-source"])
    names = parts.path.lstrip("/").split("/", 2)
    if parts.scheme not in {"http", "https"} or len(names) != 3:  # noqa: PLR2004  # account, share, path
        raise StorageError("InvalidHeaderValue", "x-ms-copy-source is the URL of a file.")
    if parts.netloc != request.http.host:
        raise StorageError("NotImplementedByLocalCloud", f"Copying from {parts.netloc}.")
    account, share, path = (unquote(name) for name in names)
    query: Mapping[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if account != request.account and "sig" not in query:
        raise StorageError("CannotVerifyCopySource", "The source of another account needs a signature.")
    if "sig" in query:
        _check_signature(request, Target(account, share, path, parts.scheme, request.http.remote or ""), query)
    dots = request.http.headers.get("x-ms-source-allow-trailing-dot", "").lower() == "true"
    source = request.shares.path(account, share, path, keep_trailing_dots=dots, snapshot=query.get("sharesnapshot", ""))
    if not source.is_file():
        raise StorageError("ResourceNotFound")
    return source


def _check_signature(request: FileRequest, target: Target, query: Mapping[str, str]) -> None:
    """Raise StorageError unless the query of the source's URL has a signature with which it may be read."""
    keys = request.account_keys(target.account) or []
    try:
        verify_sas(query, target, keys, request.policies_of(target.account, target.share)).check("o", "r")
    except StorageError as error:
        raise StorageError("CannotVerifyCopySource", error.authentication_detail or error.message) from error
