"""Ids of Azure resources: parsed, compared without case, and joined."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from ai_toolkit.local_cloud.core.arm_error import ArmError

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "00000000-0000-0000-0000-000000000000"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"


@dataclass(frozen=True)
class ResourceId:
    """The id of a resource group (no namespace), or of a resource in one."""

    subscription: str
    group: str
    namespace: str = ""
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id that the text holds; raises ArmError `LinkedInvalidPropertyId` for another text."""
        parts = text.strip("/").split("/")
        lowered = [part.lower() for part in parts]
        well_formed = (
            len(parts) >= 4  # noqa: PLR2004  # subscriptions/{s}/resourceGroups/{g}
            and lowered[0] == "subscriptions"
            and lowered[2] == "resourcegroups"
            and all(parts)
        )
        if well_formed and len(parts) == 4:  # noqa: PLR2004
            return cls(parts[1], parts[3])
        if not well_formed or lowered[4] != "providers" or len(parts) < 8 or len(parts) % 2:  # noqa: PLR2004
            raise ArmError(
                "LinkedInvalidPropertyId",
                f"Property id '{text}' is invalid. Expect fully qualified resource Id that starts with "
                "'/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.",
            )
        return cls(parts[1], parts[3], parts[5], tuple(parts[6::2]), tuple(parts[7::2]))

    @property
    def type(self) -> str:
        """`Microsoft.App/containerApps/revisions`, or the type of a resource group."""
        return "/".join((self.namespace, *self.types)) if self.namespace else GROUP_TYPE

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1] if self.names else self.group

    @property
    def group_id(self) -> "ResourceId":
        """The id of the resource group."""
        return ResourceId(self.subscription, self.group)

    @property
    def parent(self) -> "ResourceId":
        """The resource that this one is part of; for a top-level one its resource group."""
        if len(self.types) <= 1:
            return self.group_id
        return ResourceId(self.subscription, self.group, self.namespace, self.types[:-1], self.names[:-1])

    def child(self, kind: str, name: str) -> "ResourceId":
        """The id of a part of this resource."""
        return ResourceId(self.subscription, self.group, self.namespace, (*self.types, kind), (*self.names, name))

    @cached_property
    def key(self) -> str:
        """What two ids share when they mean the same."""
        return str(self).lower()

    def __str__(self) -> str:
        text = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        if not self.namespace:
            return text
        pairs = "/".join(f"{kind}/{name}" for kind, name in zip(self.types, self.names, strict=True))
        return f"{text}/providers/{self.namespace}/{pairs}"
