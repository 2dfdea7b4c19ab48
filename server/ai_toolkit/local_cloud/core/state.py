"""Every resource of the local cloud, on disk before it is acknowledged."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId

STATE_VERSION = 2
MIGRATIONS = {
    1: ("CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, body TEXT NOT NULL)",),
}


LOCAL: Final = "local"  # where a stored body holds what only this cloud knows; never in a view
LOCAL_KEYS: Final = "localKeys"  # where it holds keys; never in a view


class StateVersionError(Exception):
    """The state on disk was written by a version that this one does not understand."""


def check_version(
    database: sqlite3.Connection, path: Path, version: int, migrations: Mapping[int, tuple[str, ...]]
) -> None:
    """Bring a database to a version, step by step; StateVersionError for a newer one, which is left alone."""
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > version:
        raise StateVersionError(
            f"{path} was written by a newer local cloud (state version {found}, this one knows {version}). "
            "Update the package, or start anew with `aitk local-cloud reset`."
        )
    for step in range(found or 1, version):  # a new database is of version 0, and empty
        database.execute("BEGIN")
        for statement in migrations[step]:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {step + 1}")
        database.execute("COMMIT")
    database.execute(f"PRAGMA user_version = {version}")


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
        check_version(self._database, path, STATE_VERSION, MIGRATIONS)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resources (key TEXT PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL)"
        )
        self._resources: dict[str, StoredResource] = {}
        for identifier, body in self._database.execute("SELECT id, body FROM resources ORDER BY rowid"):
            resource = StoredResource(ResourceId.parse(identifier), json.loads(body))
            self._resources[resource.id.key] = resource

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

    # Long-running operations, which a client polls also after a restart.

    def put_operation(self, identifier: str, body: JsonObject) -> None:
        """Keep an operation as it is now."""
        self._database.execute("INSERT OR REPLACE INTO operations VALUES (?, ?)", (identifier, json.dumps(body)))

    def delete_operation(self, identifier: str) -> None:
        """Forget an operation."""
        self._database.execute("DELETE FROM operations WHERE id = ?", (identifier,))

    def operations(self) -> dict[str, JsonObject]:
        """Every operation, the oldest first."""
        rows = self._database.execute("SELECT id, body FROM operations ORDER BY rowid")
        return {identifier: json.loads(body) for identifier, body in rows}
