"""Azure Files' errors and their shape over HTTP."""

import uuid
from datetime import UTC, datetime
from html import escape
from typing import Final

from aiohttp import web

from ai_toolkit.local_cloud.core import full_disk
from ai_toolkit.local_cloud.faults.model import Fault, Kind

# Of each code the status and the message.
ERRORS: Final = {
    "AuthenticationFailed": (
        403,
        (
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            "correctly including the signature."
        ),
    ),
    "NoAuthenticationInformation": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "AuthorizationFailure": (403, "This request is not authorized to perform this operation."),
    "AuthorizationPermissionMismatch": (
        403,
        "This request is not authorized to perform this operation using this permission.",
    ),
    "AuthorizationProtocolMismatch": (
        403,
        "This request is not authorized to perform this operation using this protocol.",
    ),
    "AuthorizationSourceIPMismatch": (
        403,
        "This request is not authorized to perform this operation using this source IP.",
    ),
    "AuthorizationServiceMismatch": (
        403,
        "This request is not authorized to perform this operation using this service.",
    ),
    "AuthorizationResourceTypeMismatch": (
        403,
        "This request is not authorized to perform this operation using this resource type.",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        403,
        "Key based authentication is not permitted on this storage account.",
    ),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "ShareNotFound": (404, "The specified share does not exist."),
    "ShareBeingDeleted": (409, "The specified share is being deleted. Try operation later."),
    "ShareHasSnapshots": (409, "The share has snapshots and the operation requires no snapshots."),
    "ShareAlreadyExists": (409, "The specified share already exists."),
    "ParentNotFound": (404, "The specified parent path does not exist."),
    "ResourceAlreadyExists": (409, "The specified resource already exists."),
    "ResourceTypeMismatch": (
        409,
        "The specified resource type does not match the type of the existing resource.",
    ),
    "DirectoryNotEmpty": (409, "The specified directory is not empty."),
    "CannotDeleteFileOrDirectory": (409, "The file or directory could not be deleted because it is in use."),
    "InvalidResourceName": (400, "The specifed resource name contains invalid characters."),
    "FileInvalidPermission": (400, "The specified file permission is not valid."),
    "CannotVerifyCopySource": (409, "Could not verify the copy source within the specified time."),
    "NoPendingCopyOperation": (409, "There is currently no pending copy operation."),
    "InvalidXmlDocument": (400, "XML specified is not syntactically valid."),
    "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in the correct format."),
    "MissingRequiredHeader": (400, "An HTTP header that's mandatory for this request is not specified."),
    "InvalidQueryParameterValue": (400, "Value for one of the query parameters is invalid."),
    "InvalidMd5": (400, "The MD5 value specified in the request is invalid."),
    "Md5Mismatch": (
        400,
        "The MD5 value specified in the request did not match the calculated MD5 of the content.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "RequestBodyTooLarge": (413, "The size of the request body exceeds the maximum size permitted."),
    full_disk.CODE: (403, ""),  # the local cloud's own: what is below 500 is not tried again
    "ShareSizeLimitReached": (403, "The specified share has reached its size limit."),
    "LeaseIdMissing": (
        412,
        "There is currently a lease on the file and no lease ID was specified in the request.",
    ),
    "LeaseIdMismatchWithFileOperation": (
        412,
        "The lease ID specified did not match the lease ID for the file.",
    ),
    "LeaseNotPresentWithFileOperation": (412, "There is currently no lease on the file."),
    "LeaseAlreadyPresent": (409, "There is already a lease present."),
    "LeaseIdMismatchWithLeaseOperation": (
        409,
        "The lease ID specified did not match the lease ID for the file.",
    ),
    "LeaseNotPresentWithLeaseOperation": (409, "There is currently no lease on the file."),
    "LeaseIdMismatchWithContainerOperation": (
        412,
        "The lease ID specified did not match the lease ID for the share.",
    ),
    "LeaseNotPresentWithContainerOperation": (412, "There is currently no lease on the share."),
    "InternalError": (500, "The server encountered an internal error. Please retry the request."),
    "ServerBusy": (503, "The server is currently unable to receive requests. Please retry your request."),
    "InvalidHost": (403, "The Host header does not name this computer."),
    "OriginNotAllowed": (403, "Web pages may not call the local cloud."),
    "NotImplementedByLocalCloud": (501, "The local cloud does not emulate this."),
}


THROTTLED, UNAVAILABLE, NOT_FOUND = 429, 503, 404


class StorageError(Exception):
    """A refusal in Azure Files' words."""

    def __init__(self, code: str, detail: str = "", *, authentication_detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.authentication_detail = authentication_detail
        self.status, message = ERRORS[code]
        self.message = f"{message} {detail}".strip()

    def response(self, method: str) -> web.Response:
        """The refusal as an HTTP response; HEAD gets only the headers."""
        more = self.authentication_detail
        more = f"<AuthenticationErrorDetail>{escape(more)}</AuthenticationErrorDetail>" if more else ""
        identifier = str(uuid.uuid4())
        lines = (self.message, f"RequestId:{identifier}", f"Time:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z")
        body = (
            '\ufeff<?xml version="1.0" encoding="utf-8"?><Error>'
            f"<Code>{self.code}</Code><Message>{escape(chr(10).join(lines))}</Message>{more}</Error>"
        )
        return web.Response(
            status=self.status,
            headers={"x-ms-error-code": self.code, "x-ms-request-id": identifier},
            text="" if method == "HEAD" else body,
            content_type="application/xml",
        )


def injected_refusal(fault: Fault, request: web.Request) -> web.Response:
    """The answer to a request that a fault happens to, in the file service's shape."""
    if fault.kind is Kind.EXPIRED_TOKEN:
        return StorageError("AuthenticationFailed", fault.message).response(request.method)
    if fault.kind is Kind.SHARE_FULL:
        return StorageError("ShareSizeLimitReached").response(request.method)
    refusal = StorageError("InternalError", fault.message)
    refusal.status = NOT_FOUND if fault.kind is Kind.NOT_FOUND else fault.status
    defaults = {THROTTLED: "ServerBusy", UNAVAILABLE: "ServerBusy", NOT_FOUND: "ResourceNotFound"}
    refusal.code = fault.code or defaults.get(refusal.status, "InternalError")
    return refusal.response(request.method)
