"""Who may reach an app, pages of which origins may, and whether a client stays with its replica."""

import ipaddress
from dataclasses import dataclass, field
from typing import Self

from ai_toolkit.local_cloud.container_apps.cors import CorsPolicy
from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject

AFFINITY_COOKIE = "acaAffinity"


@dataclass(frozen=True)
class IngressRules:
    """The rules of an ingress; without ranges everybody may come."""

    is_sticky: bool = False
    allows: bool = True  # what the ranges mean: Allow, or Deny
    ranges: tuple[ipaddress.IPv4Network, ...] = ()
    cors: CorsPolicy = field(default_factory=CorsPolicy)
    is_external: bool = True  # an internal one admits what runs in the environment: here, nobody

    @classmethod
    def read(cls, ingress: JsonObject) -> Self:
        """The rules; ArmError for ranges that are no IPv4 CIDR, or are partly Allow and partly Deny."""
        restrictions = ingress.get("ipSecurityRestrictions") or []
        actions = {str(one.get("action")).lower() for one in restrictions}
        target = "properties.configuration.ingress.ipSecurityRestrictions"
        if len(actions) > 1:
            raise ArmError(
                "ContainerAppIpSecurityRestrictionsInvalid",
                "The IP security restrictions must all be Allow or all be Deny.",
                target=target,
            )
        try:
            ranges = tuple(ipaddress.IPv4Network(str(one.get("ipAddressRange")), strict=False) for one in restrictions)
        except ValueError as error:
            raise ArmError(
                "ContainerAppIpSecurityRestrictionsInvalid", f"Not an IPv4 range: {error}.", target=target
            ) from error
        affinity = str((ingress.get("stickySessions") or {}).get("affinity", "none")).lower()
        return cls(
            affinity == "sticky", actions != {"deny"}, ranges, CorsPolicy.read(ingress), bool(ingress.get("external"))
        )

    def admits(self, address: str) -> bool:
        """Whether a client of that address may come in."""
        if not self.ranges:
            return True
        client = ipaddress.ip_address(address)
        return any(client in one for one in self.ranges) == self.allows
