"""Subscriptions, resource groups, what is in them, and template deployments."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.failures import innermost
from ai_toolkit.errors import DeploymentFailed

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 1.0
_ACTIVE: Final = frozenset({"accepted", "running", "created", "creating", "updating", "notspecified", "ready"})


@dataclass(frozen=True)
class Subscription:
    id: str
    name: str
    enabled: bool


@dataclass(frozen=True)
class ResourceGroup:
    name: str
    location: str


@dataclass(frozen=True)
class Resource:
    """A top-level resource of a group: its type (`Microsoft.App/containerApps`) and name, in lower case."""

    type: str
    name: str
    location: str


@dataclass(frozen=True)
class Deployment:
    """A template deployment; `outputs` are plain values, empty until it succeeded."""

    name: str
    state: str
    outputs: Mapping[str, Any]
    created: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.state.lower() in _ACTIVE

    @property
    def succeeded(self) -> bool:
        return self.state.lower() == "succeeded"


@dataclass(frozen=True)
class Operation:
    """One resource of a running deployment."""

    resource_type: str
    resource_name: str
    state: str


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
        return ResourceGroup(str(found.name), str(found.location))

    async def create_resource_group(self, name: str, location: str) -> ResourceGroup:
        made = await self._resources.resource_groups.create_or_update(
            name, {"location": location, "tags": {"ai-toolkit": "inference"}}
        )
        return ResourceGroup(str(made.name), str(made.location))

    async def resources(self, group: str) -> list[Resource]:
        return [
            Resource(str(item.type).lower(), str(item.name).lower(), str(item.location))
            async for item in self._resources.resources.list_by_resource_group(group)
        ]

    async def deployment(self, group: str, name: str) -> Deployment | None:
        """The deployment of that name, or None when there never was one."""
        try:
            found = await self._deployments.deployments.get(group, name)
        except ResourceNotFoundError:
            return None
        return _deployment(found)

    async def latest_deployment(self, group: str, prefix: str) -> str | None:
        """Name of the group's newest deployment whose name begins so; None when there is none."""
        found = [
            (item.properties.timestamp, str(item.name))
            async for item in self._deployments.deployments.list_by_resource_group(group)
            if item.properties is not None and item.properties.timestamp and str(item.name).startswith(prefix)
        ]
        return max(found)[1] if found else None

    async def deploy(  # noqa: PLR0913  (what a deployment is made of)
        self,
        group: str,
        name: str,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        observe: Callable[[list[Operation]], None],
        *,
        follow: bool = False,
    ) -> Deployment:
        """The finished deployment; `observe` sees its operations about once a second.

        With `follow` one of that name runs already and is followed. Cancelling the call asks Azure to cancel
        the deployment. Raises DeploymentFailed.
        """
        properties = {
            "mode": "Incremental",
            "template": dict(template),
            "parameters": {key: {"value": value} for key, value in parameters.items()},
        }
        body = io.BytesIO(json.dumps({"properties": properties}).encode())
        if not follow:
            await self._deployments.deployments.begin_create_or_update(group, name, body, polling=False)
        try:
            return await self._follow(group, name, observe)
        except asyncio.CancelledError:
            await asyncio.shield(self._cancel(group, name))
            raise

    async def _follow(self, group: str, name: str, observe: Callable[[list[Operation]], None]) -> Deployment:
        while True:
            found = await self._deployments.deployments.get(group, name)
            observe(await self._operations(group, name))
            state = _deployment(found)
            if state.succeeded:
                return state
            if not state.active:
                error = found.properties.error if found.properties is not None else None
                code, reason = innermost(error.as_dict() if error is not None else {})
                raise DeploymentFailed(name, code or state.state, reason or f"it ended as {state.state}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _operations(self, group: str, name: str) -> list[Operation]:
        operations = []
        async for item in self._deployments.deployment_operations.list(group, name):
            properties = item.properties
            target = properties.target_resource if properties is not None else None
            if properties is not None and target is not None and target.resource_name is not None:
                operations.append(
                    Operation(str(target.resource_type), target.resource_name, _word(properties.provisioning_state))
                )
        return operations

    async def _cancel(self, group: str, name: str) -> None:
        try:
            await self._deployments.deployments.cancel(group, name)
        except HttpResponseError as error:
            log.warning("The deployment %s could not be cancelled: %s", name, error.reason)


def _deployment(found: Any) -> Deployment:  # noqa: ANN401  (DeploymentExtended, whose fields are optional)
    properties = found.properties
    outputs = {key: value.get("value") for key, value in (properties.outputs or {}).items()}
    created = tuple(str(item.id) for item in properties.output_resources or ())
    return Deployment(str(found.name), _word(properties.provisioning_state), outputs, created)


def _word(state: object) -> str:
    """Azure's own word for a state, also for one that the SDK's enumeration does not know."""
    return str(getattr(state, "value", state))
