"""Leases of shares over HTTP: they end by themselves, or never.

Source: https://learn.microsoft.com/rest/api/storageservices/lease-share
"""

import time
import uuid
from dataclasses import replace

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.leases import proposed_id
from ai_toolkit.local_cloud.files.share_folder import SharePath
from ai_toolkit.local_cloud.files.shares import held_lease, share_headers
from ai_toolkit.local_cloud.files.storage_error import StorageError

SHORTEST_SECONDS, LONGEST_SECONDS, INFINITE = 15, 60, -1


async def lease(request: FileRequest) -> web.Response:
    """Acquire, renew, change, release or break."""
    root = request.at
    headers = request.http.headers
    held, given = held_lease(request, root), headers.get("x-ms-lease-id")
    action = headers.get("x-ms-lease-action", "").lower()
    if action == "acquire":
        proposed = proposed_id(request) or str(uuid.uuid4())
        if held and held != proposed:
            raise StorageError("LeaseAlreadyPresent")
        _keep(request, root, proposed, _duration(headers.get("x-ms-lease-duration")))
        return _answer(request, root, 201, proposed)
    if action == "renew":
        before = request.facts(root)  # also a lease that has ended is renewed, where nobody else took it
        if given is None or before.lease != given:
            raise StorageError("LeaseIdMismatchWithLeaseOperation")
        _keep(request, root, given, before.lease_seconds)
        return _answer(request, root, 200, given)
    end = {"change": _change, "release": _release, "break": _break}.get(action)
    if end is None:
        raise StorageError("InvalidHeaderValue", "x-ms-lease-action is acquire, renew, change, release or break.")
    if not held:
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    return end(request, root, held)


def _change(request: FileRequest, root: SharePath, held: str) -> web.Response:
    wanted = proposed_id(request)
    if wanted is None:
        raise StorageError("MissingRequiredHeader", "x-ms-proposed-lease-id")
    if held not in {request.http.headers.get("x-ms-lease-id"), wanted}:
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    _keep(request, root, wanted, request.facts(root).lease_seconds)
    return _answer(request, root, 200, wanted)


def _release(request: FileRequest, root: SharePath, held: str) -> web.Response:
    if request.http.headers.get("x-ms-lease-id") != held:
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    _keep(request, root, None, INFINITE)
    return _answer(request, root, 200)


def _break(request: FileRequest, root: SharePath, _held: str) -> web.Response:
    """202; an infinite lease ends now, another when it would have or after the period that is asked for."""
    facts = request.facts(root)
    left = 0 if facts.lease_until is None else max(0, round(facts.lease_until - time.time()))
    asked = request.http.headers.get("x-ms-lease-break-period")
    if asked is not None:
        if not asked.isdigit() or int(asked) > LONGEST_SECONDS:
            raise StorageError("InvalidHeaderValue", "x-ms-lease-break-period is 0 to 60.")
        left = int(asked) if facts.lease_until is None else min(left, int(asked))
    request.keep(root, replace(facts, lease_until=time.time() + left))
    return _answer(request, root, 202, more={"x-ms-lease-time": str(left)})


def _duration(given: str | None) -> int:
    try:
        seconds = int(given or "")
    except ValueError:
        seconds = 0
    if seconds != INFINITE and not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise StorageError("InvalidHeaderValue", "x-ms-lease-duration is 15 to 60 seconds, or -1.")
    return seconds


def _keep(request: FileRequest, root: SharePath, lease_id: str | None, seconds: int) -> None:
    until = None if seconds == INFINITE else time.time() + seconds
    request.keep(root, replace(request.facts(root), lease=lease_id, lease_seconds=seconds, lease_until=until))


def _answer(
    request: FileRequest, root: SharePath, status: int, lease_id: str = "", more: dict[str, str] | None = None
) -> web.Response:
    named = {"x-ms-lease-id": lease_id} if lease_id else {}
    return web.Response(status=status, headers={**share_headers(request, root), **named, **(more or {})})
