"""The container app job that fine-tuning ran as, and the resources that it used."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

from ai_toolkit.azure.connection import APP_API_VERSION, Connection
from ai_toolkit.azure.json_value import body_of, value_at

_WORKSPACES_API_VERSION: Final = "2025-02-01"
_OK: Final = 200
MOUNT: Final = "/mount"


@dataclass(frozen=True)
class FineTuningJob:
    """The resources of a job, each None where it has none of the kind or it is not in the job's resource group."""

    location: str | None
    environment: str | None
    storage: str | None
    account: str | None
    share: str | None
    workspace: str | None


async def fine_tuning_job(connection: Connection, subscription: str, group: str, name: str) -> FineTuningJob | None:
    """The resources of the job as they are now; None when there is no such job, or it cannot be read."""
    async with connection.client(ContainerAppsAPIClient, subscription, api_version=APP_API_VERSION) as client:
        group_url = f"{connection.base_url}/subscriptions/{subscription}/resourceGroups/{group}"
        job, workspaces = await asyncio.gather(_job(client, group, name), _workspaces(client, group_url))
        if job is None:
            return None
        properties = job.get("properties") or {}
        environment = _name_in_group(properties.get("environmentId"), group)
        if environment is None:
            return FineTuningJob(None, None, None, None, None, None)
        storage = _storage_of(properties.get("template") or {})
        found, share = await asyncio.gather(
            _environment(client, group, environment), _share(client, group, environment, storage)
        )
        customer = value_at(found, "properties", "appLogsConfiguration", "logAnalyticsConfiguration", "customerId")
        return FineTuningJob(
            location=value_at(found, "location"),
            environment=environment if found else None,
            storage=storage if share else None,
            account=value_at(share, "accountName"),
            share=value_at(share, "shareName"),
            workspace=workspaces.get(str(customer)) if customer else None,
        )


async def _job(client: ContainerAppsAPIClient, group: str, name: str) -> Mapping[str, Any] | None:
    try:
        return (await client.jobs.get(group, name)).as_dict()
    except HttpResponseError:
        return None


async def _environment(client: ContainerAppsAPIClient, group: str, name: str) -> Mapping[str, Any]:
    try:
        return (await client.managed_environments.get(group, name)).as_dict()
    except HttpResponseError:
        return {}


async def _share(
    client: ContainerAppsAPIClient, group: str, environment: str, storage: str | None
) -> Mapping[str, Any]:
    """The Azure file share that the environment's storage definition names."""
    if storage is None:
        return {}
    try:
        found = (await client.managed_environments_storages.get(group, environment, storage)).as_dict()
    except HttpResponseError:
        return {}
    return value_at(found, "properties", "azureFile") or {}


async def _workspaces(client: ContainerAppsAPIClient, group_url: str) -> Mapping[str, str]:
    """Customer id -> name of the group's Log Analytics workspaces: an environment names the id only."""
    url = f"{group_url}/providers/Microsoft.OperationalInsights/workspaces"
    answer = await client.send_request(HttpRequest("GET", url, params={"api-version": _WORKSPACES_API_VERSION}))
    found = body_of(answer).get("value") or () if answer.status_code == _OK else ()
    return {str(value_at(one, "properties", "customerId")): str(one.get("name")) for one in found}


def _storage_of(template: Mapping[str, Any]) -> str | None:
    """The storage definition of the volume that is mounted at /mount, else of the only Azure file volume."""
    mounted = {
        str(mount.get("volumeName"))
        for container in template.get("containers") or ()
        for mount in container.get("volumeMounts") or ()
        if str(mount.get("mountPath")).rstrip("/") == MOUNT
    }
    files = [one for one in template.get("volumes") or () if str(one.get("storageType")).lower() == "azurefile"]
    chosen = [one for one in files if str(one.get("name")) in mounted] or (files if len(files) == 1 else [])
    return str(chosen[0].get("storageName")) if chosen else None


def _name_in_group(resource_id: object, group: str) -> str | None:
    """The last name of an id, when the resource is in that group."""
    parts = str(resource_id or "").strip("/").split("/")
    lowered = [part.lower() for part in parts]
    return parts[-1] if len(parts) > 4 and lowered[3] == group.lower() else None  # noqa: PLR2004  (…/resourceGroups/{g}/…)
