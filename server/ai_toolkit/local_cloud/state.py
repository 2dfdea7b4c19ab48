"""Every resource of the local cloud, on disk before it is acknowledged."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ai_toolkit.local_cloud.arm_error import JsonObject
from ai_toolkit.local_cloud.resource_manager.resource_id import ResourceId

VERSION = 1


class StateVersionError(Exception):
    """The state on disk was written by a version that this one does not understand."""


@dataclass(frozen=True)
class StoredResource:
    """A resource as it is kept: its body holds secrets, which no GET returns."""

    id: ResourceId
    body: JsonObject


class ResourceStore:
    """Resources by id, case-insensitively; each write is one SQLite transaction.

    SQLite's log keeps what was acknowledged when the process is killed (not when the power fails).
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._check_version(path)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resources (key TEXT PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL)"
        )
        self._resources: dict[str, StoredResource] = {}
        for identifier, body in self._database.execute("SELECT id, body FROM resources ORDER BY rowid"):
            resource = StoredResource(ResourceId.parse(identifier), json.loads(body))
            self._resources[resource.id.key] = resource

    def _check_version(self, path: Path) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StateVersionError(
                f"{path} was written by a newer local cloud (state version {version}, this one knows {VERSION}). "
                "Update the package, or start anew with `aitk local-cloud reset`."
            )
        self._database.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def get(self, identifier: ResourceId) -> StoredResource | None:
        """The resource, or None."""
        return self._resources.get(identifier.key)

    def put(self, identifier: ResourceId, body: JsonObject) -> StoredResource:
        """The resource as stored; an existing one keeps the case of its first name."""
        existing = self._resources.get(identifier.key)
        resource = StoredResource(existing.id if existing else identifier, body)
        self._database.execute(
            "INSERT INTO resources (key, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            (resource.id.key, str(resource.id), json.dumps(body)),
        )
        self._resources[resource.id.key] = resource
        return resource

    def delete(self, identifier: ResourceId) -> None:
        """Remove the resource and everything below it."""
        for key in [key for key in self._resources if key == identifier.key or key.startswith(identifier.key + "/")]:
            self._database.execute("DELETE FROM resources WHERE key = ?", (key,))
            del self._resources[key]

    def below(self, scope: str, resource_type: str | None = None) -> Iterator[StoredResource]:
        """Resources whose id begins with a scope, of one type where given, in order of creation."""
        prefix = scope.lower().rstrip("/") + "/"
        for key, resource in list(self._resources.items()):
            if key.startswith(prefix) and (resource_type is None or resource.id.type.lower() == resource_type.lower()):
                yield resource
