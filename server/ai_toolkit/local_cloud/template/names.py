"""The name, type and id of a resource in a template, as far as they are known."""

from dataclasses import dataclass

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, GROUP_TYPE, ResourceId
from ai_toolkit.local_cloud.template.evaluation import evaluate
from ai_toolkit.local_cloud.template.partial import as_text, known_value
from ai_toolkit.local_cloud.template.scope import Scope, Unknown, Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, Expression, Text


@dataclass(frozen=True)
class Name:
    """Who a resource is; what is shown of an unknown one is the expression for it."""

    type: str
    id: ResourceId | None
    shown_id: str
    shown: str


def read_name(source: JsonObject, scope: Scope, site: ResourceId, place: str, parent: Name | None) -> Name:
    """The name of a resource in a deployment to a site; `parent` is what it stands in."""
    kind = source.get("type")
    if not isinstance(kind, str):
        raise invalid_template("A resource needs a 'type'", place)
    kind = kind.strip("/")
    name = known_value(source.get("name"), scope, f"{place}.name")
    if not isinstance(name, Unknown) and (not isinstance(name, str) or not name):
        raise invalid_template("A resource needs a 'name' that is text", f"{place}.name")
    target = _target(source, scope, site, place)
    if isinstance(name, Unknown) or isinstance(target, Unknown):
        return _unknown(kind, name, target)
    identifier = _identifier(kind, name.strip("/"), target, place, parent)
    return Name(kind, identifier, str(identifier), identifier.name)


def _unknown(kind: str, name: Value, target: ResourceId | Unknown) -> Name:
    """A name that only the running deployment knows."""
    on: Expression = target.expression if isinstance(target, Unknown) else Text(str(target))
    last: Expression = name.expression if isinstance(name, Unknown) else Text(str(name))
    shown = as_text(Unknown(Call("extensionResourceId", (on, Text(kind), last))))
    return Name(kind, None, str(shown), str(as_text(name)))


def _target(source: JsonObject, scope: Scope, site: ResourceId, place: str) -> ResourceId | Unknown:
    """What the resource is put into: a group, a subscription, or the resource that it extends."""
    is_deployment = str(source["type"]).strip("/").lower() == DEPLOYMENT_TYPE.lower()
    if source.get("scope") is not None:
        given = known_value(source["scope"], scope, f"{place}.scope")
        if isinstance(given, Unknown):
            return given
        if not isinstance(given, str):
            raise invalid_template("A scope must be text", f"{place}.scope")
        if given.lower().startswith(("/subscriptions/", "subscriptions/")):
            return ResourceId.parse(given)
        if "/" not in given.strip("/") or "." not in given.split("/")[0]:
            raise ArmError(
                "NotImplementedByLocalCloud",
                f"The local cloud does not emulate the scope '{given}'.",
                status=501,
                target=f"{place}.scope",
            )
        return ResourceId.parse(f"{site}/providers/{_with_names(given)}")
    subscription = evaluate(source.get("subscriptionId") or site.subscription, scope, f"{place}.subscriptionId")
    group = evaluate(source.get("resourceGroup"), scope, f"{place}.resourceGroup")
    if group is None:
        group = "" if is_deployment and source.get("subscriptionId") else site.group
    return ResourceId(str(subscription), str(group))


def _with_names(relative: str) -> str:
    """`Microsoft.Storage/storageAccounts/a` is already a path below `providers`; one with many names is not."""
    return relative.strip("/")


def _identifier(kind: str, name: str, target: ResourceId, place: str, parent: Name | None) -> ResourceId:
    namespace, *kinds = kind.split("/")
    names = tuple(name.split("/"))
    if kind.lower() == GROUP_TYPE.lower():
        if target.group and target.namespace == "":
            raise invalid_template("A resource group is deployed to a subscription, not into a group", place)
        return ResourceId(target.subscription, name)
    if len(names) < len(kinds) and parent is not None and parent.id is not None:
        names = (*parent.id.names, *names)
    if not kinds or len(kinds) != len(names):
        raise invalid_template(f"Template resource '{name}' of type '{kind}' has incorrect segment lengths", place)
    extended = target if target.namespace else None
    return ResourceId(target.subscription, target.group, namespace, tuple(kinds), names, extended)
