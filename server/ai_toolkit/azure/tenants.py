"""The tenants of an account with their subscriptions, and one subscription by its id."""

import asyncio
from dataclasses import dataclass
from typing import Final

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from ai_toolkit.azure.connect import Cloud
from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.resource_manager import Subscription, list_subscriptions
from ai_toolkit.errors import AiToolkitError, SignInNeeded

_TENANT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Tenant:
    """A tenant by its id; `name` is for people."""

    id: str
    name: str


async def list_tenants(connection: Connection) -> list[Tenant]:
    """Every tenant that the account belongs to, also those that would not let it in now."""
    async with connection.client(SubscriptionClient) as client:
        return [
            Tenant(str(item.tenant_id), str(item.display_name or item.default_domain or item.tenant_id))
            async for item in client.tenants.list()
        ]


async def find_subscription(connection: Connection, subscription: str) -> Subscription | None:
    """The subscription of that id, in whatever tenant of the account it is; None when there is none of that id."""
    async with connection.client(SubscriptionClient) as client:
        try:
            found = await client.subscriptions.get(subscription)
        except ResourceNotFoundError:
            return None
        state = str(getattr(found.state, "value", found.state))
        return Subscription(
            str(found.subscription_id),
            str(found.display_name or found.subscription_id),
            state in {"Enabled", "Warned", "PastDue"},
        )


@dataclass(frozen=True)
class TenantSubscriptions:
    """A tenant with its subscriptions, or with the reason (`problem`) why they cannot be read."""

    tenant: Tenant
    subscriptions: tuple[Subscription, ...]
    problem: str | None = None


async def read_tenants(cloud: Cloud) -> list[TenantSubscriptions]:
    """Every tenant of the account, all read at once, each with a time limit. Raises SignInNeeded."""
    tenants = await list_tenants(cloud.connection)
    found = await asyncio.gather(*(_read(cloud.in_tenant(tenant.id), tenant) for tenant in tenants))
    seen: set[str] = set()
    return [_without(each, seen) for each in found]


async def _read(cloud: Cloud, tenant: Tenant) -> TenantSubscriptions:
    try:
        async with asyncio.timeout(_TENANT_SECONDS):
            return TenantSubscriptions(tenant, tuple(await list_subscriptions(cloud.connection)))
    except TimeoutError:
        return TenantSubscriptions(tenant, (), f"it did not answer within {_TENANT_SECONDS:.0f} s")
    except (AzureError, AiToolkitError) as error:
        told = for_people(error)
        return TenantSubscriptions(tenant, (), told.reason if isinstance(told, SignInNeeded) else told.message)


def _without(found: TenantSubscriptions, seen: set[str]) -> TenantSubscriptions:
    """Without what another tenant showed before: a subscription that is managed from several is seen from each."""
    new = tuple(one for one in found.subscriptions if one.id.lower() not in seen)
    seen.update(one.id.lower() for one in new)
    return TenantSubscriptions(found.tenant, new, found.problem)
