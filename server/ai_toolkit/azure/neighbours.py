"""Who else lives in a managed environment, mounts a share, keeps something in a storage account, or logs somewhere.

Asked before something is removed: what others put there, or use, stays. What Azure does not tell is None.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.storage.aio import StorageManagementClient

from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION, Connection
from ai_toolkit.azure.json_value import body_of, value_at

LOGS_API_VERSION: Final = "2025-02-01"
_OK: Final = 200
_NOT_THERE: Final = frozenset({"MissingSubscriptionRegistration", "SubscriptionNotRegistered", "ResourceNotFound"})
"""Codes of a provider that the subscription has never used: nobody has anything of it."""
_READ_LOGS: Final = {
    "Application Insights": ("Microsoft.Insights/components", "2020-02-02"),
    "solution": ("Microsoft.OperationsManagement/solutions", "2015-11-01-preview"),
}
"""What keeps its data in a log workspace, and names it by its id."""


@dataclass(frozen=True)
class Tenant:
    """What lives in an environment: an app, a job, a session pool; and the storage definitions that it mounts."""

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

    def __init__(
        self,
        apps: ContainerAppsAPIClient,
        storage: StorageManagementClient,
        resources: ResourceManagementClient,
        subscription: str,
    ) -> None:
        self._apps = apps
        self._storage = storage
        self._resources = resources
        self._scope = f"/subscriptions/{subscription}"

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str) -> "AsyncIterator[Neighbours]":
        async with AsyncExitStack() as stack:
            apps = connection.client(ContainerAppsAPIClient, subscription, api_version=APP_API_VERSION)
            storage = connection.client(StorageManagementClient, subscription, api_version=STORAGE_API_VERSION)
            resources = connection.client(ResourceManagementClient, subscription)
            yield cls(
                await stack.enter_async_context(apps),
                await stack.enter_async_context(storage),
                await stack.enter_async_context(resources),
                subscription,
            )

    async def tenants(self) -> list[Tenant] | None:
        """Every app, job, session pool and Functions app of the subscription, whatever resource group it is in."""
        listed = {
            "container app": await _told(self._apps.container_apps.list_by_subscription),
            "job": await _told(self._apps.jobs.list_by_subscription),
            "session pool": await _told(self._apps.container_apps_session_pools.list_by_subscription),
            "web app": await self._list("Microsoft.Web/sites", "2024-04-01"),
        }
        found = []
        for kind, items in listed.items():
            if items is None:
                return None
            found += [_tenant(kind, one) for one in items]
        return found

    async def log_readers(self, workspace_id: str) -> list[str] | None:
        """What else keeps its data in the log workspace, in words."""
        found = []
        for kind, (type_, version) in _READ_LOGS.items():
            listed = await self._list(type_, version)
            if listed is None:
                return None
            for one in listed:
                body = {key.lower(): value for key, value in (one.get("properties") or {}).items()}
                if str(body.get("workspaceresourceid") or "").lower() == workspace_id.lower():
                    found.append(f"{kind} {one.get('name')}")
        return found

    async def locks(self) -> list[str] | None:
        """The scopes on which a lock forbids removing; of the whole subscription."""
        listed = await self._list("Microsoft.Authorization/locks", "2020-05-01")
        if listed is None:
            return None
        levels = {"cannotdelete", "readonly"}
        locked = [one for one in listed if str(value_at(one, "properties", "level")).lower() in levels]
        return [str(one.get("id")).lower().partition("/providers/microsoft.authorization/locks/")[0] for one in locked]

    async def _list(self, type_: str, version: str) -> list[Mapping[str, Any]] | None:
        """All of a type in the subscription, as Azure's JSON, whose SDK is not among ours."""
        url: str | None = f"{self._scope}/providers/{type_}?api-version={version}"
        found: list[Mapping[str, Any]] = []
        while url:
            answer = await self._resources.send_request(HttpRequest("GET", url))
            body = body_of(answer)
            if answer.status_code != _OK:
                is_unused = value_at(body, "error", "code") in _NOT_THERE
                return [] if is_unused else None
            found += body.get("value") or ()
            url = body.get("nextLink")
        return found

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
        """What else somebody keeps in the environment, in words: certificates, components, routes, connections."""
        group, name = _group_and_name(environment_id)
        lists: Mapping[str, Callable[[], Any]] = {
            "certificate": lambda: self._apps.certificates.list(group, name),
            "managed certificate": lambda: self._apps.managed_certificates.list(group, name),
            "Dapr component": lambda: self._apps.dapr_components.list(group, name),
            "Java component": lambda: self._apps.java_components.list(group, name),
            "HTTP route configuration": lambda: self._apps.http_route_config.list(group, name),
            "private endpoint connection": lambda: self._apps.managed_environment_private_endpoint_connections.list(
                group, name
            ),
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
    if "functionapp" in str(one.get("kind")).lower():
        kind = "Functions app"
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
