"""What the Resource Manager asks before a write: is the provider registered, may the caller write, is it locked."""

from enum import StrEnum

from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.faults.model import Faults

LOCK_TYPE = "Microsoft.Authorization/locks"


class Lock(StrEnum):
    """What a lock forbids: deleting, or every change."""

    CANNOT_DELETE = "cannotdelete"
    READ_ONLY = "readonly"


def check_unlocked(store: ResourceStore, identifier: ResourceId, at_least: Lock, action: str) -> None:
    """Raise 409 where a lock on the resource, on what it belongs to, or for a deletion on a part of it forbids it."""
    if identifier.type.lower() == LOCK_TYPE.lower():
        return
    levels = {Lock.READ_ONLY} if at_least is Lock.READ_ONLY else set(Lock)
    locked = []
    for lock in store.below("/subscriptions", LOCK_TYPE):
        scope = str(lock.id.target or lock.id.group_id).lower()
        level = str((lock.body.get("properties") or {}).get("level")).lower()
        is_around = identifier.key == scope or identifier.key.startswith(f"{scope}/")
        is_within = action == "delete" and scope.startswith(f"{identifier.key}/")
        if level in levels and (is_around or is_within):
            locked.append(str(lock.id.target or lock.id.group_id))
    if locked:
        raise ArmError(
            "ScopeLocked",
            f"The scope '{identifier}' cannot perform {action} operation because following scope(s) are locked: "
            f"'{','.join(locked)}'. Please remove the lock and try again.",
            status=409,
        )


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
