"""The subscriptions of every tenant that can be read, and why the others cannot."""

import asyncio
from dataclasses import dataclass
from typing import Final

from azure.core.exceptions import AzureError

from ai_toolkit.azure.resource_manager import Subscription, list_subscriptions
from ai_toolkit.azure.tenants import Tenant, list_tenants
from ai_toolkit.cloud import Cloud
from ai_toolkit.errors import AiToolkitError, SignInNeeded, for_people

_TENANT_SECONDS: Final = 30.0


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
