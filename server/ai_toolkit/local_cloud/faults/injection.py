"""Makes a running local cloud misbehave, from a test or by hand.

    with FaultInjection(home) as faults:
        faults.add("status", status=429, retryAfterSeconds=1, path="/deployments/", count=2)
        …

Fields are those of `ai_toolkit.local_cloud.faults`. Standard library only, and blocking.
"""

import json
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ai_toolkit.local_cloud.core.home import HomeFolder

LIMIT_SECONDS = 10.0


class FaultInjection:
    """The control route of the local cloud that serves a folder; leaving the `with` ends all faults."""

    def __init__(self, home: Path) -> None:
        self._folder = HomeFolder(home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def add(self, kind: str, **fields: Any) -> str:  # noqa: ANN401  # JSON values
        """The id of a new fault; urllib's HTTPError for a field that means nothing."""
        return str(self._ask("POST", "", {"kind": kind, **fields})["id"])

    def hits(self, identifier: str) -> int:
        """How often it happened."""
        return int(self._one(identifier)["hits"])

    def seen(self, identifier: str) -> int:
        """How many requests, resources or replicas it could have happened to."""
        return int(self._one(identifier)["seen"])

    def remove(self, identifier: str) -> None:
        """End one fault."""
        self._ask("DELETE", f"/{identifier}")

    def clear(self) -> None:
        """End all faults."""
        self._ask("DELETE", "")

    def _one(self, identifier: str) -> dict[str, Any]:
        return next(fault for fault in self._ask("GET", "")["value"] if fault["id"] == identifier)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = self._folder.address()
        if address is None:
            raise FileNotFoundError(self._folder.address_file)
        request = urllib.request.Request(  # noqa: S310  # our own address
            f"{address.resource_manager}/local-cloud/faults{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._folder.token()}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
        with opener.open(request, timeout=LIMIT_SECONDS) as answer:
            content = answer.read()
        found: dict[str, Any] = json.loads(content) if content else {}
        return found
