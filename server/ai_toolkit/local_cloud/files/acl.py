"""Access policies that are stored with a share, for the signatures that name them.

Source: https://learn.microsoft.com/rest/api/storageservices/set-share-acl
"""

from dataclasses import replace
from html import escape

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.sas import AccessPolicy
from ai_toolkit.local_cloud.files.service_properties import HEAD, read_xml
from ai_toolkit.local_cloud.files.shares import share_headers
from ai_toolkit.local_cloud.files.storage_error import StorageError

MOST_POLICIES = 5
FIELDS = {"Start": "start", "Expiry": "expiry", "Permission": "permissions"}


async def read(request: FileRequest) -> web.Response:
    """The policies."""
    root = request.at
    rows = "".join(_row(one) for one in request.policies_of(request.account, request.share))
    inner = f"<SignedIdentifiers>{rows}</SignedIdentifiers>" if rows else "<SignedIdentifiers />"
    return web.Response(text=f"{HEAD}{inner}", content_type="application/xml", headers=share_headers(request, root))


def _row(policy: AccessPolicy) -> str:
    fields = "".join(
        f"<{name}>{escape(value)}</{name}>" for name, field in FIELDS.items() if (value := getattr(policy, field))
    )
    return f"<SignedIdentifier><Id>{escape(policy.id)}</Id><AccessPolicy>{fields}</AccessPolicy></SignedIdentifier>"


async def write(request: FileRequest) -> web.Response:
    """The policies, replaced."""
    root = request.at
    body = await read_xml(request, "SignedIdentifiers") if request.http.can_read_body else ()
    given = [
        {
            "id": one.findtext("Id") or "",
            **{field: one.findtext(f"AccessPolicy/{name}") or "" for name, field in FIELDS.items()},
        }
        for one in body
    ]
    if len(given) > MOST_POLICIES or any(not 1 <= len(one["id"]) <= 64 for one in given):  # noqa: PLR2004  # Azure's own limit of an id
        raise StorageError("InvalidXmlDocument", "At most 5 policies, each with an id of 1 to 64 characters.")
    request.keep(root, replace(request.facts(root), policies=given))
    return web.Response(status=200, headers=share_headers(request, root))
