"""Leases of files over HTTP: they never end by themselves.

Source: https://learn.microsoft.com/rest/api/storageservices/lease-file
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.side_data import FileFacts
from ai_toolkit.local_cloud.files.storage_error import StorageError


async def lease(request: FileRequest) -> web.Response:
    """Acquire, change, release or break; only leases of shares can be renewed, as on Azure."""
    at = request.existing_file()
    action = ACTIONS.get(request.http.headers.get("x-ms-lease-action", "").lower())
    if action is None:
        raise StorageError("InvalidHeaderValue", "x-ms-lease-action is acquire, change, release or break.")
    before = request.facts(at)
    status, held, answer = action(request, before)
    facts = replace(before, lease=held)
    request.keep(at, facts)
    return web.Response(status=status, headers={**request.headers(at, facts), **answer})


Outcome = tuple[int, str | None, dict[str, str]]


def _acquire(request: FileRequest, facts: FileFacts) -> Outcome:
    if request.http.headers.get("x-ms-lease-duration", "-1") != "-1":
        raise StorageError("InvalidHeaderValue", "A file's lease is infinite: x-ms-lease-duration is -1.")
    proposed = proposed_id(request) or str(uuid.uuid4())
    if facts.lease and facts.lease != proposed:
        raise StorageError("LeaseAlreadyPresent")
    return 201, proposed, {"x-ms-lease-id": proposed}


def _change(request: FileRequest, facts: FileFacts) -> Outcome:
    proposed = proposed_id(request)
    if proposed is None:
        raise StorageError("MissingRequiredHeader", "x-ms-proposed-lease-id")
    if not facts.lease:
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    if facts.lease not in {request.http.headers.get("x-ms-lease-id"), proposed}:
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    return 200, proposed, {"x-ms-lease-id": proposed}


def _release(request: FileRequest, facts: FileFacts) -> Outcome:
    if not facts.lease:
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    if request.http.headers.get("x-ms-lease-id") != facts.lease:
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    return 200, None, {}


def _break(_request: FileRequest, facts: FileFacts) -> Outcome:
    if not facts.lease:
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    return 202, None, {"x-ms-lease-time": "0"}


ACTIONS: Mapping[str, Callable[[FileRequest, FileFacts], Outcome]] = {
    "acquire": _acquire,
    "change": _change,
    "release": _release,
    "break": _break,
}


def proposed_id(request: FileRequest) -> str | None:
    """The id that the caller wants its lease to have, in one spelling."""
    given = request.http.headers.get("x-ms-proposed-lease-id")
    if given is None:
        return None
    try:
        return str(uuid.UUID(given))
    except ValueError as error:
        raise StorageError("InvalidHeaderValue", "x-ms-proposed-lease-id is a UUID.") from error
