"""What a subscription offers and permits: providers, locations, GPU profiles, quotas, rights."""

import fnmatch
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient

from ai_toolkit.azure.connection import APP_API_VERSION, Connection
from ai_toolkit.azure.json_value import body_of
from ai_toolkit.azure.quota import Quota, read_usages
from ai_toolkit.polling import poll

_AUTHORIZATION_API_VERSION: Final = "2022-04-01"
_OK: Final = 200
_LOOK_AGAIN: Final = timedelta(seconds=2)
_REGISTER_LIMIT: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Provider:
    """A resource provider: whether it is registered, and where it offers each of its types (display names)."""

    namespace: str
    registered: bool
    locations: Mapping[str, tuple[str, ...]]


class SubscriptionState:
    """One subscription, as far as it decides whether a deployment can succeed."""

    def __init__(self, url: str, resources: ResourceManagementClient, apps: ContainerAppsAPIClient) -> None:
        """`url` is the subscription's own, below which everything of it is."""
        self._url = url
        self._resources = resources
        self._apps = apps

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str) -> "AsyncIterator[SubscriptionState]":
        async with (
            connection.client(ResourceManagementClient, subscription) as resources,
            connection.client(ContainerAppsAPIClient, subscription, api_version=APP_API_VERSION) as apps,
        ):
            yield cls(f"{connection.base_url}/subscriptions/{subscription}", resources, apps)

    async def provider(self, namespace: str) -> Provider:
        found = (await self._resources.providers.get(namespace)).as_dict()
        kinds = found.get("resourceTypes") or ()
        return Provider(
            namespace=namespace,
            registered=str(found.get("registrationState")).lower() in {"registered", "registering"},
            locations={str(one.get("resourceType")): tuple(one.get("locations") or ()) for one in kinds},
        )

    async def register(self, namespace: str) -> None:
        """Registers the provider and waits until it is, at most five minutes (TimeoutError)."""
        await self._resources.providers.register(namespace)

        async def look() -> bool | None:
            return (await self.provider(namespace)).registered or None

        await poll(look, every=_LOOK_AGAIN, limit=_REGISTER_LIMIT)

    async def profile_types(self, location: str) -> frozenset[str] | None:
        """The workload profiles that Container Apps offers there; None when Azure does not tell."""
        try:
            return frozenset([str(one.name) async for one in self._apps.available_workload_profiles.get(location)])
        except HttpResponseError:
            return None

    async def quotas(self, location: str) -> list[Quota] | None:
        """What is left of each quota of Container Apps there; None when Azure does not tell."""
        try:
            found = [one.as_dict() async for one in self._apps.usages.list(location)]
        except HttpResponseError:
            return None
        return read_usages(found)

    async def forbidden(self, group: str, actions: Iterable[str]) -> list[str] | None:
        """Those of the actions that the caller may not take in the resource group; None when Azure does not tell."""
        path = f"{self._url}/resourceGroups/{group}/providers/Microsoft.Authorization/permissions"
        answer = await self._resources.send_request(
            HttpRequest("GET", path, params={"api-version": _AUTHORIZATION_API_VERSION})
        )
        if answer.status_code != _OK:
            return None
        granted = body_of(answer).get("value") or ()
        return [action for action in actions if not any(_grants(one, action) for one in granted)]


def _grants(permission: Mapping[str, Any], action: str) -> bool:
    def among(key: str) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), str(one).lower()) for one in permission.get(key) or ())

    return among("actions") and not among("notActions")
