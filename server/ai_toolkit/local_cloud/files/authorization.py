"""What a shared access signature must permit for a request.

Source: https://learn.microsoft.com/rest/api/storageservices/create-account-sas, "Account SAS permissions by operation"
"""

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.sas import Grant
from ai_toolkit.local_cloud.files.storage_error import StorageError

READING = frozenset({"GET", "HEAD"})


def check_grant(grant: Grant, request: FileRequest) -> None:
    """Raise StorageError unless the signature permits the request."""
    kind, any_of = _needed(request)
    if grant.kinds is None and kind == "c" and request.query.get("comp") != "list":
        raise StorageError("AuthorizationFailure")  # a share's own signature is for what is in it
    grant.check(kind, any_of)


def _needed(request: FileRequest) -> tuple[str, str]:
    """The kind of resource (`s`, `c`, `o`), and the permissions of which one is enough."""
    method, kind, comp = request.http.method, request.query.get("restype", ""), request.query.get("comp", "")
    if not request.share:
        return "s", "l" if comp == "list" else "r" if method in READING else "w"
    if comp == "list":
        return "c", "l"
    if kind == "share" or (not request.path and kind != "directory"):
        return "c", _of_share(method, comp)
    return "o", _of_file(request, method, comp)


def _of_share(method: str, comp: str) -> str:
    if comp == "acl":
        raise StorageError("AuthorizationFailure")
    if method == "DELETE":
        return "d"
    if method in READING:
        return "r"
    return {"": "cw", "snapshot": "cw", "filepermission": "cw"}.get(comp, "w")


def _of_file(request: FileRequest, method: str, comp: str) -> str:
    if method == "DELETE":
        return "d"
    if method in READING:
        return "rl" if comp == "listhandles" else "r"
    if comp == "" and (request.query.get("restype") == "directory" or not request.at.is_file()):
        return "cw"
    return "w"
