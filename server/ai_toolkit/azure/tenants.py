"""The tenants of an account, and one subscription by its id."""

from dataclasses import dataclass

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.resource_manager import Subscription


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
    """The subscription, in whatever tenant of the account it is; None when there is none of that id."""
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
