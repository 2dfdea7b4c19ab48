"""Where a deployment goes: a resource group, or a subscription."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, ResourceId


@dataclass(frozen=True)
class Site:
    """The target of one deployment, as its template sees it."""

    subscription: JsonObject
    group: JsonObject | None  # None for a deployment to the subscription
    name: str  # the deployment's own
    location: str | None = None  # of a deployment to the subscription
    groups: Callable[[ResourceId], JsonObject | None] = lambda _identifier: None  # documents of other groups

    @property
    def id(self) -> ResourceId:
        """The subscription's or resource group's."""
        return ResourceId(self.subscription["subscriptionId"], self.group["name"] if self.group else "")

    @property
    def deployment_id(self) -> ResourceId:
        """The deployment's."""
        namespace, kind = DEPLOYMENT_TYPE.split("/")
        return ResourceId(self.id.subscription, self.id.group, namespace, (kind,), (self.name,))

    def deployment(self, template: JsonObject) -> JsonObject:
        """What `deployment()` returns."""
        properties = {"template": template, "mode": "Incremental", "provisioningState": "Accepted"}
        found: JsonObject = {"name": self.name, "properties": properties}
        return {**found, "location": self.location} if self.group is None else found

    def inner(self, target: ResourceId, name: str, location: str | None) -> "Site | None":
        """The site of a nested deployment; None where its resource group does not exist."""
        subscription = self.subscription
        if target.subscription.lower() != self.id.subscription.lower():
            identifier = {"id": f"/subscriptions/{target.subscription}", "subscriptionId": target.subscription}
            subscription = {**subscription, **identifier}
        if not target.group:
            return replace(self, subscription=subscription, group=None, name=name, location=location or self.location)
        if self.group is not None and target.key == self.id.key:
            return replace(self, name=name)
        group = self.groups(target)
        return None if group is None else replace(self, subscription=subscription, group=group, name=name)
