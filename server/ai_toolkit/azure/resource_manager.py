"""Subscriptions, resource groups and what is in them."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from ai_toolkit.azure.busy import when_free
from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.deployments import Deployments

OUR_TAG: Final = ("ai-toolkit", "inference")
"""What the template, and `create_resource_group`, put on all that they make."""


@dataclass(frozen=True)
class Subscription:
    id: str
    name: str
    enabled: bool


@dataclass(frozen=True)
class ResourceGroup:
    name: str
    location: str
    ours: bool = False
    """Whether it has our tag."""


@dataclass(frozen=True)
class Resource:
    """A top-level resource of a group: its type (`Microsoft.App/containerApps`) and name, in lower case.

    `ours` when it has our tag; `id` as Azure spells it.
    """

    type: str
    name: str
    location: str
    id: str = ""
    ours: bool = False


async def list_subscriptions(connection: Connection) -> list[Subscription]:
    """Every subscription that the credential can see, also disabled ones."""
    async with connection.client(SubscriptionClient) as client:
        return [
            Subscription(
                id=str(item.subscription_id),
                name=str(item.display_name or item.subscription_id),
                enabled=_word(item.state) in {"Enabled", "Warned", "PastDue"},
            )
            async for item in client.subscriptions.list()
        ]


async def list_locations(connection: Connection, subscription: str) -> list[tuple[str, str]]:
    """Name and display name of every location of the subscription."""
    async with connection.client(SubscriptionClient) as client:
        return [
            (str(item.name), str(item.display_name)) async for item in client.subscriptions.list_locations(subscription)
        ]


class ResourceManager:
    """The resource groups and deployments of one subscription."""

    def __init__(self, resources: ResourceManagementClient, deployments: DeploymentsMgmtClient) -> None:
        self._resources = resources
        self._deployments = deployments

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str) -> "AsyncIterator[ResourceManager]":
        async with (
            connection.client(ResourceManagementClient, subscription) as resources,
            connection.client(DeploymentsMgmtClient, subscription) as deployments,
        ):
            yield cls(resources, deployments)

    async def resource_groups(self) -> list[ResourceGroup]:
        return [
            ResourceGroup(str(item.name), str(item.location)) async for item in self._resources.resource_groups.list()
        ]

    async def resource_group(self, name: str) -> ResourceGroup | None:
        """The group, or None when it does not exist."""
        try:
            found = await self._resources.resource_groups.get(name)
        except ResourceNotFoundError:
            return None
        return ResourceGroup(str(found.name), str(found.location), _is_ours(found.tags))

    async def create_resource_group(
        self, name: str, location: str, tags: Mapping[str, str] | None = None
    ) -> ResourceGroup:
        """A new group with these tags, and the one that says that it is ours."""
        made = await self._resources.resource_groups.create_or_update(
            name, {"location": location, "tags": {**(tags or {}), OUR_TAG[0]: OUR_TAG[1]}}
        )
        return ResourceGroup(str(made.name), str(made.location))

    async def resources(self, group: str) -> list[Resource]:
        """The group's top-level resources; none when there is no such group."""
        try:
            return await self._listed(group)
        except ResourceNotFoundError:
            return []

    async def _listed(self, group: str) -> list[Resource]:
        return [
            Resource(
                str(item.type).lower(), str(item.name).lower(), str(item.location), str(item.id), _is_ours(item.tags)
            )
            async for item in self._resources.resources.list_by_resource_group(group)
        ]

    async def body(self, resource_id: str, api_version: str) -> Mapping[str, Any] | None:
        """A resource as Azure's JSON; None when there is none of that id."""
        try:
            found = await self._resources.resources.get_by_id(resource_id, api_version=api_version)
        except ResourceNotFoundError:
            return None
        body: Mapping[str, Any] = found.as_dict()
        return body

    async def change(self, resource_id: str, api_version: str, body: Mapping[str, Any]) -> None:
        """Merges the body into a resource by PATCH; returns when Azure has done it. Raises HttpResponseError.

        An earlier change of it that Azure still carries out is waited for.
        """
        resources, sent = self._resources.resources, json.dumps(body).encode()
        poller = await when_free(
            lambda: resources.begin_update_by_id(resource_id, api_version=api_version, parameters=io.BytesIO(sent))
        )
        await poller.result()

    async def shared_key(self, workspace_id: str, api_version: str) -> str:
        """The key by which an environment writes to a log workspace. Raises HttpResponseError.

        Source: https://learn.microsoft.com/rest/api/loganalytics/shared-keys/get-shared-keys
        """
        asked = HttpRequest("POST", f"{workspace_id}/sharedKeys", params={"api-version": api_version})
        answer = await self._resources.send_request(asked)
        if answer.status_code != HTTPStatus.OK:
            raise HttpResponseError(response=answer)
        return str(answer.json()["primarySharedKey"])

    async def delete(self, resource_id: str, api_version: str) -> None:
        """Removes a resource; returns when Azure has done it. One that is not there is no error.

        An earlier change of it that Azure still carries out is waited for.
        A deletion that was begun goes on when this is cancelled. Raises HttpResponseError.
        """
        try:
            resources = self._resources.resources
            poller = await when_free(lambda: resources.begin_delete_by_id(resource_id, api_version=api_version))
            await poller.result()
        except ResourceNotFoundError:
            return

    async def delete_group(self, name: str) -> None:
        """Removes a resource group with all that is in it; one that is not there is no error."""
        try:
            await (await self._resources.resource_groups.begin_delete(name)).result()
        except ResourceNotFoundError:
            return

    def deployments_of(self, group: str) -> Deployments:
        """The template deployments of one resource group."""
        return Deployments(self._deployments, group)


def _is_ours(tags: Mapping[str, str] | None) -> bool:
    name, value = OUR_TAG
    return any(key.lower() == name and each == value for key, each in (tags or {}).items())


def _word(state: object) -> str:
    """Azure's own word for a state, also for one that the SDK's enumeration does not know."""
    return str(getattr(state, "value", state))
