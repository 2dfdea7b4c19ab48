"""Requests of pages from other origins: what the ingress answers and adds, as its `corsPolicy` says.

Source: https://learn.microsoft.com/azure/container-apps/cors
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ai_toolkit.local_cloud.core.arm_error import JsonObject


@dataclass(frozen=True)
class CorsPolicy:
    """Which origins may do what; without origins nothing is answered or added."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    with_credentials: bool = False

    @classmethod
    def read(cls, ingress: JsonObject) -> Self:
        """The policy of an ingress."""
        given = ingress.get("corsPolicy") or {}
        return cls(
            tuple(given.get("allowedOrigins") or ()),
            tuple(given.get("allowedMethods") or ()),
            tuple(given.get("allowedHeaders") or ()),
            tuple(given.get("exposeHeaders") or ()),
            given.get("maxAge"),
            bool(given.get("allowCredentials")),
        )

    def preflight(self, method: str, headers: Mapping[str, str]) -> dict[str, str] | None:
        """The headers that answer a browser's question before its request; None for any other request."""
        is_asked = method == "OPTIONS" and "Access-Control-Request-Method" in headers
        if not is_asked or not (common := self.answered(headers)):
            return None
        common.pop("Access-Control-Expose-Headers", None)
        listed = {"Access-Control-Allow-Methods": self.methods, "Access-Control-Allow-Headers": self.headers}
        common.update({name: ",".join(values) for name, values in listed.items() if values})
        if self.max_age is not None:
            common["Access-Control-Max-Age"] = str(self.max_age)
        return common

    def answered(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What is added to the answer of a request; nothing for an origin that is not allowed."""
        origin = headers.get("Origin")
        if origin is None or not {"*", origin} & set(self.origins):
            return {}
        found = {"Access-Control-Allow-Origin": origin}
        if self.with_credentials:
            found["Access-Control-Allow-Credentials"] = "true"
        if self.exposed:
            found["Access-Control-Expose-Headers"] = ",".join(self.exposed)
        return found
