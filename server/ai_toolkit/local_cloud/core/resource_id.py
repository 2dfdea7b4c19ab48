"""Ids of Azure resources: parsed, compared without case, and joined."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

from ai_toolkit.local_cloud.core.arm_error import ArmError

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "00000000-0000-0000-0000-000000000000"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"
SUBSCRIPTION_TYPE = "Microsoft.Resources/subscriptions"
DEPLOYMENT_TYPE = "Microsoft.Resources/deployments"


@dataclass(frozen=True)
class ResourceId:
    """The id of a subscription (no group), of a resource group (no namespace), or of a resource in either.

    An extension resource, such as a lock, belongs to its `target`.
    """

    subscription: str
    group: str
    namespace: str = ""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    target: "ResourceId | None" = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id that the text holds; raises ArmError `LinkedInvalidPropertyId` for another text."""
        parts = text.strip("/").split("/")
        lowered = [part.lower() for part in parts]
        if len(parts) < 2 or lowered[0] != "subscriptions" or not all(parts):  # noqa: PLR2004
            raise _invalid(text)
        in_group = len(parts) >= 4 and lowered[2] == "resourcegroups"  # noqa: PLR2004
        group, rest = (parts[3], parts[4:]) if in_group else ("", parts[2:])
        found = cls(parts[1], group)
        starts = [at for at, part in enumerate(rest) if part.lower() == "providers" and at % 2 == 0]
        if rest and (not starts or starts[0] != 0):
            raise _invalid(text)
        for start, end in pairwise((*starts, len(rest))):
            namespace, *pairs = rest[start + 1 : end] or [""]
            if not namespace or not pairs or len(pairs) % 2:
                raise _invalid(text)
            target = found if found.namespace else None
            found = cls(parts[1], group, namespace, tuple(pairs[::2]), tuple(pairs[1::2]), target)
        return found

    @property
    def type(self) -> str:
        """`Microsoft.App/containerApps/revisions`, or the type of a resource group or subscription."""
        if self.namespace:
            return "/".join((self.namespace, *self.types))
        return GROUP_TYPE if self.group else SUBSCRIPTION_TYPE

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1] if self.names else self.group or self.subscription

    @property
    def group_id(self) -> "ResourceId":
        """The id of the resource group."""
        return ResourceId(self.subscription, self.group)

    @property
    def parent(self) -> "ResourceId":
        """The resource that this one is part of or extends; for a top-level one its resource group."""
        if len(self.types) <= 1:
            return self.target or self.group_id
        return ResourceId(self.subscription, self.group, self.namespace, self.types[:-1], self.names[:-1], self.target)

    def child(self, kind: str, name: str) -> "ResourceId":
        """The id of a part of this resource."""
        types, names = (*self.types, kind), (*self.names, name)
        return ResourceId(self.subscription, self.group, self.namespace, types, names, self.target)

    @cached_property
    def key(self) -> str:
        """What two ids share when they mean the same."""
        return str(self).lower()

    def __str__(self) -> str:
        if self.target is not None:
            text = str(self.target)
        else:
            text = f"/subscriptions/{self.subscription}"
            text += f"/resourceGroups/{self.group}" if self.group else ""
        if not self.namespace:
            return text
        pairs = "/".join(f"{kind}/{name}" for kind, name in zip(self.types, self.names, strict=True))
        return f"{text}/providers/{self.namespace}/{pairs}"


def _invalid(text: str) -> ArmError:
    return ArmError(
        "LinkedInvalidPropertyId",
        f"Property id '{text}' is invalid. Expect fully qualified resource Id that starts with "
        "'/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.",
    )
