"""What the Resource Manager asks before it takes a write: is the provider registered, may the caller write."""

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.faults.model import Faults


def check_registered(store: ResourceStore, subscription: str, namespace: str) -> None:
    """Raise 409 for a resource of a provider that the subscription has not registered."""
    if store.get(unregistered(subscription, namespace)) is not None:
        raise ArmError(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found "
            "for how to register subscriptions.",
            status=409,
            target=namespace,
        )


def check_may_write(faults: Faults, identifier: ResourceId, action: str) -> None:
    """Raise 403 where the caller may only read."""
    if faults.is_read_only:
        raise ArmError(
            "AuthorizationFailed",
            f"The client 'local' does not have authorization to perform action '{action}' over scope '{identifier}' "
            "or the scope is invalid. If access was recently granted, please refresh your credentials.",
            status=403,
        )


def unregistered(subscription: str, namespace: str) -> ResourceId:
    """Where the store remembers that a provider was unregistered."""
    return ResourceId(subscription.lower(), "local-cloud", "Local.Cloud", ("unregistered",), (namespace.lower(),))
