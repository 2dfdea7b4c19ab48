"""What container apps stand on: the store, GPUs, shares and Python environments of this computer."""

import asyncio
import base64
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ai_toolkit.local_cloud.container_apps.container import ReplicaHost
from ai_toolkit.local_cloud.container_apps.environment_resource import (
    GPUS_PER_ENVIRONMENT,
    dns_suffix,
    environment_of,
    uses_gpu,
)
from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironments
from ai_toolkit.local_cloud.container_apps.replica_plan import Identity, ReplicaPlanError
from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.home import HomeFolder
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.faults.model import Faults
from ai_toolkit.local_cloud.files.share_folder import Shares
from ai_toolkit.local_cloud.files.storage_error import StorageError
from ai_toolkit.local_cloud.resource_manager.resource_type import properties


@dataclass(frozen=True)
class AppHost:
    """Shared by all container apps of the cloud."""

    home: HomeFolder
    store: ResourceStore
    shares: Shares
    account_keys: Callable[[str], list[bytes] | None]
    environments: ReplicaEnvironments
    faults: Faults
    gpus_by_environment: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    @property
    def replica_host(self) -> ReplicaHost:
        """What every replica gets."""
        return ReplicaHost(self.environments, self.home.replicas, self.faults)

    def gpus(self, app: JsonObject) -> asyncio.Semaphore | None:
        """The GPUs of the app's environment; None when its profile has none."""
        if not uses_gpu(self.store, app):
            return None
        key = environment_of(app)
        return self.gpus_by_environment.setdefault(key, asyncio.Semaphore(GPUS_PER_ENVIRONMENT))

    @property
    def gpu_limit(self) -> int:
        """How many GPUs an environment may use."""
        return 0 if self.faults.has_no_gpu_quota else GPUS_PER_ENVIRONMENT

    def gpus_in_use(self, environment_key: str | None = None) -> int:
        """How many replicas hold a GPU now, in one environment or in all."""
        return sum(
            GPUS_PER_ENVIRONMENT - semaphore._value  # noqa: SLF001  # asyncio offers no other way to look
            for key, semaphore in self.gpus_by_environment.items()
            if environment_key is None or key == environment_key
        )

    def dns_suffix(self, app: JsonObject) -> str:
        """The domain of the app's environment."""
        key = environment_of(app)
        return dns_suffix(ResourceId.parse(key)) if key else ""

    def identity(self, app: JsonObject, name: str, revision: str, replica: str, hostname: str) -> Identity:
        """What Azure tells a replica of the app about itself."""
        return Identity(name, revision, replica, hostname, self.dns_suffix(app), uses_gpu(self.store, app))

    def work_folder(self, replica: str) -> Path:
        """A replica's own folder, deleted with it."""
        return self.home.path / "work" / replica

    def clear_work_folders(self) -> None:
        """Delete what replicas of an earlier process left."""
        shutil.rmtree(self.home.path / "work", ignore_errors=True)

    def share_folder(self, app: JsonObject, storage: str) -> Path:
        """The folder of an environment's storage.

        Raises ReplicaPlanError where Azure could not mount it: no such storage, account or share, or a
        key that is not the account's.
        """
        key = environment_of(app)
        record = self.store.get(ResourceId.parse(key).child("storages", storage)) if key else None
        if record is None:
            raise ReplicaPlanError(f"The environment has no storage '{storage}'.")
        share = properties(record.body)["azureFile"]
        keys = self.account_keys(share["accountName"])
        if keys is None:
            raise ReplicaPlanError(f"Mounting failed: there is no storage account '{share['accountName']}'.")
        if share["accountKey"] not in {base64.b64encode(one).decode() for one in keys}:
            raise ReplicaPlanError("Mounting failed: permission denied (the storage's key is not the account's).")
        missing = ReplicaPlanError(f"Mounting failed: there is no file share '{share['shareName']}'.")
        try:
            root = self.shares.root(share["accountName"], share["shareName"])
        except StorageError as error:
            raise missing from error
        if not root.is_dir():
            raise missing
        return root
