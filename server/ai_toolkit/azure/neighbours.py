"""Who else lives in a managed environment, mounts a share, keeps something in a storage account, or logs somewhere.

Asked before something is removed: what others put there, or use, stays. What Azure does not tell is None.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.storage.aio import StorageManagementClient

from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION, Connection
from ai_toolkit.azure.json_value import value_at

LOGS_API_VERSION: Final = "2025-02-01"


@dataclass(frozen=True)
class Tenant:
    """An app or a job that lives in an environment: what it is, and the storage definitions that it mounts."""

    kind: str
    name: str
    id: str
    environment: str
    mounts: frozenset[str]

    def in_words(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class StorageDefinition:
    """A storage definition of an environment: its name, the account and the share."""

    environment: str
    name: str
    account: str
    share: str


class Neighbours:
    """Looks across one subscription. Ids are in lower case."""

    def __init__(self, apps: ContainerAppsAPIClient, storage: StorageManagementClient) -> None:
        self._apps = apps
        self._storage = storage

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str) -> "AsyncIterator[Neighbours]":
        async with AsyncExitStack() as stack:
            apps = connection.client(ContainerAppsAPIClient, subscription, api_version=APP_API_VERSION)
            storage = connection.client(StorageManagementClient, subscription, api_version=STORAGE_API_VERSION)
            yield cls(await stack.enter_async_context(apps), await stack.enter_async_context(storage))

    async def tenants(self) -> list[Tenant] | None:
        """Every app and job of the subscription, whatever resource group it is in."""
        apps = await _told(self._apps.container_apps.list_by_subscription)
        jobs = await _told(self._apps.jobs.list_by_subscription)
        if apps is None or jobs is None:
            return None
        return [_tenant("container app", one) for one in apps] + [_tenant("job", one) for one in jobs]

    async def environments(self) -> dict[str, str] | None:
        """Every environment's id, and the customer id of the workspace that it logs to (empty where it does not)."""
        found = await _told(self._apps.managed_environments.list_by_subscription)
        if found is None:
            return None
        customer = ("properties", "appLogsConfiguration", "logAnalyticsConfiguration", "customerId")
        return {str(one["id"]).lower(): str(value_at(one, *customer) or "") for one in found}

    async def definitions(self, environment_id: str) -> list[StorageDefinition] | None:
        """The environment's storage definitions; empty where there is no such environment."""
        group, name = _group_and_name(environment_id)
        try:
            listed = (await self._apps.managed_environments_storages.list(group, name)).as_dict()
        except ResourceNotFoundError:
            return []
        except HttpResponseError:
            return None
        found = []
        for one in listed.get("value") or ():
            file = value_at(one, "properties", "azureFile") or {}
            account, share = (str(file.get(key) or "").lower() for key in ("accountName", "shareName"))
            found.append(StorageDefinition(environment_id.lower(), str(one["name"]), account, share))
        return found

    async def kept_in_environment(self, environment_id: str) -> list[str] | None:
        """What else somebody keeps in the environment, in words: certificates and Dapr components."""
        group, name = _group_and_name(environment_id)
        lists: Mapping[str, Callable[[], Any]] = {
            "certificate": lambda: self._apps.certificates.list(group, name),
            "managed certificate": lambda: self._apps.managed_certificates.list(group, name),
            "Dapr component": lambda: self._apps.dapr_components.list(group, name),
        }
        return await _named(lists)

    async def kept_in_account(self, group: str, account: str) -> list[str] | None:
        """What is in the storage account, in words: shares as `file share NAME`, containers, queues and tables."""
        lists: Mapping[str, Callable[[], Any]] = {
            "file share": lambda: self._storage.file_shares.list(group, account),
            "blob container": lambda: self._storage.blob_containers.list(group, account),
            "queue": lambda: self._storage.queue.list(group, account),
            "table": lambda: self._storage.table.list(group, account),
        }
        return await _named(lists)


async def _named(lists: Mapping[str, Callable[[], Any]]) -> list[str] | None:
    found = []
    for kind, ask in lists.items():
        listed = await _told(ask)
        if listed is None:
            return None
        found += [f"{kind} {one.get('name')}" for one in listed]
    return found


async def _told(ask: Callable[[], Any]) -> list[Mapping[str, Any]] | None:
    """The list as Azure's JSON; empty where what it is of does not exist, None where Azure does not tell."""
    try:
        return [one.as_dict() async for one in ask()]
    except ResourceNotFoundError:
        return []
    except HttpResponseError:
        return None


def _tenant(kind: str, one: Mapping[str, Any]) -> Tenant:
    body = one.get("properties") or {}
    volumes = value_at(body, "template", "volumes") or ()
    return Tenant(
        kind,
        str(one.get("name")),
        str(one.get("id")).lower(),
        str(body.get("environmentId") or body.get("managedEnvironmentId") or "").lower(),
        frozenset(str(volume.get("storageName")).lower() for volume in volumes if volume.get("storageName")),
    )


def _group_and_name(resource_id: str) -> tuple[str, str]:
    parts = resource_id.split("/")
    return parts[4], parts[-1]  # /subscriptions/{s}/resourceGroups/{g}/…/{name}
