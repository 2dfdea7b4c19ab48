"""What the Resource Manager asks before a write: is the provider registered, may the caller write, is it locked."""

from enum import StrEnum

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, JsonValue
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


def check_policies(faults: Faults, identifier: ResourceId, body: JsonObject) -> None:
    """Raise 403 for what a policy forbids, as Azure Policy words it.

    Source: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy
    """
    violated = [
        _violation(policy.message, policy.member, _value_at(body, policy.member), policy.wanted)
        for policy in faults.policies_for(str(identifier))
        if not _is_as_wanted(_value_at(body, policy.member), policy.wanted)
    ]
    member = "properties.allowSharedKeyAccess"
    is_account = identifier.type.lower() == "microsoft.storage/storageaccounts"
    if is_account and faults.forbids_shared_key and _value_at(body, member) is not False:
        name = "Storage accounts should prevent shared key access"
        violated.append(_violation(name, member, _value_at(body, member), wanted=False))
    if violated:
        names = ", ".join(str(one["info"]["policyDefinitionDisplayName"]) for one in violated)
        raise ArmError(
            "RequestDisallowedByPolicy",
            f"Resource '{identifier.name}' was disallowed by policy. Error Type: PolicyViolation, "
            f"Policy Definition Name : {names}, Policy Assignment Name : local.",
            status=403,
            target=identifier.name,
            additional_info=violated,
        )


def _is_as_wanted(value: JsonValue, wanted: JsonValue) -> bool:
    return value is not None if wanted is None else bool(value == wanted)


def _violation(policy: str, member: str, value: JsonValue, wanted: JsonValue) -> JsonObject:
    looked = (
        {"result": "True", "operator": "Exists", "targetValue": "false"}
        if wanted is None
        else {"result": "False", "operator": "Equals", "targetValue": wanted, "expressionValue": value}
    )
    return {
        "type": "PolicyViolation",
        "info": {
            "policyDefinitionDisplayName": policy,
            "policyAssignmentName": "local",
            "policyDefinitionEffect": "deny",
            "evaluationDetails": {"evaluatedExpressions": [{**looked, "expressionKind": "Field", "path": member}]},
        },
    }


def _value_at(body: JsonValue, member: str) -> JsonValue:
    for key in member.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


def unregistered(subscription: str, namespace: str) -> ResourceId:
    """Where the store remembers that a provider was unregistered."""
    return ResourceId(subscription.lower(), "local-cloud", "Local.Cloud", ("unregistered",), (namespace.lower(),))
