"""The local cloud's folder on disk: where its token, address, state, shares and logs are."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKSPACE_TAG = "aitk-workspace"
"""The tag of a resource group that says which folder it was made for."""


@dataclass(frozen=True)
class Address:
    """Where a running local cloud answers, and which process it is."""

    pid: int
    process_started: str
    resource_manager: str
    files: str
    resource_manager_tls: str | None = None
    files_tls: str | None = None


@dataclass(frozen=True)
class HomeFolder:
    """Paths below the local cloud's folder; nothing is created until `prepare`."""

    path: Path

    @property
    def token_file(self) -> Path:
        """One line, mode 0600: a bearer token that the Resource Manager accepts."""
        return self.path / "token"

    @property
    def address_file(self) -> Path:
        """Address of the process that serves this folder now, or served it last."""
        return self.path / "address.json"

    @property
    def state_file(self) -> Path:
        """Every resource, in one SQLite database."""
        return self.path / "state.sqlite"

    @property
    def files_state_file(self) -> Path:
        """What a file share knows of its files beyond their content."""
        return self.path / "files.sqlite"

    @property
    def directory_file(self) -> Path:
        """Tenants and subscriptions beside this computer's, where somebody wrote one."""
        return self.path / "directory.json"

    @property
    def shares(self) -> Path:
        """`shares/<account>/<share>/…`: ordinary folders that a person may look into."""
        return self.path / "shares"

    @property
    def logs(self) -> Path:
        """The cloud's own log and those of its replicas."""
        return self.path / "logs"

    @property
    def log_file(self) -> Path:
        """What the detached process writes to its standard streams."""
        return self.logs / "local-cloud.log"

    @property
    def replicas(self) -> Path:
        """One record per live replica, so that none can be orphaned."""
        return self.path / "replicas"

    @property
    def replica_environments(self) -> Path:
        """Python environments of replicas, one per set of packages."""
        return self.path / "replica-environments"

    @property
    def tls(self) -> Path:
        """Certificate and key of the https ports, where there are any; clients trust `ca.pem`."""
        return self.path / "tls"

    @property
    def serving_lock(self) -> Path:
        """Held by the one process that serves this folder, for as long as it lives."""
        return self.path / "serving.lock"

    @property
    def starting_lock(self) -> Path:
        """Held by whoever starts or stops the cloud."""
        return self.path / "starting.lock"

    def prepare(self) -> None:
        """Create the folder, closed to other users, and its token where there is none."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.shares, self.logs, self.replicas, self.replica_environments):
            folder.mkdir(exist_ok=True, mode=0o700)
        if not self.token_file.exists():
            write_private(self.token_file, secrets.token_urlsafe(32) + "\n")

    def token(self) -> str:
        """The bearer token of this installation."""
        return self.token_file.read_text(encoding="utf-8").strip()

    def address(self) -> Address | None:
        """The last known address; None when there is none or it cannot be read."""
        try:
            text = self.address_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            document: dict[str, Any] = json.loads(text)
            return Address(
                pid=int(document["pid"]),
                process_started=str(document["processStarted"]),
                resource_manager=str(document["resourceManager"]),
                files=str(document["files"]),
                resource_manager_tls=document.get("resourceManagerTls"),
                files_tls=document.get("filesTls"),
            )
        except (ValueError, KeyError, TypeError):
            return None  # half a file of an older version: the same as no file

    def write_address(self, address: Address) -> None:
        """Record where this folder is served, atomically."""
        document = {
            "pid": address.pid,
            "processStarted": address.process_started,
            "resourceManager": address.resource_manager,
            "files": address.files,
            "resourceManagerTls": address.resource_manager_tls,
            "filesTls": address.files_tls,
        }
        write_private(self.address_file, json.dumps(document, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically with one that only this user can read."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
