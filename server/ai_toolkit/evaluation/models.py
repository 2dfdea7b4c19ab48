"""Which models an evaluation asks, by the names that a person gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.evaluation.errors import CannotEvaluate
from ai_toolkit.evaluation.staging import is_candidate

BASE: Final = "base"
LIVE: Final = "live"
PREVIOUS: Final = "previous"


@dataclass(frozen=True)
class ServedModels:
    """What the endpoint serves: `live` answers a request that names none, and is empty where nothing tells which.

    `base` is None where the endpoint serves adapters only. `aliases` lead to names.
    """

    url: str
    names: tuple[str, ...]
    base: str | None
    live: str
    aliases: Mapping[str, str]

    def named(self, wanted: str) -> str:
        """The model that a person means. Raises CannotEvaluate."""
        found = {BASE: self.base, LIVE: self.live, **self.aliases, **{name: name for name in self.names}}.get(wanted)
        if found is None:
            served = ", ".join(self.names) or "none"
            raise CannotEvaluate(
                f"The model {wanted} is not served at {self.url}. Served: {served}.",
                f"Name one of them, or {BASE}, {LIVE} or {PREVIOUS}.",
            )
        return found

    @property
    def usual(self) -> tuple[str, ...]:
        """The base model, what answers by default, every other adapter."""
        return tuple(dict.fromkeys([*([self.base] if self.base else []), self.live, *self.names]))


async def served_models(endpoint: Endpoint) -> ServedModels:
    """What the endpoint says that it serves. Raises EndpointRefused."""
    return _served(endpoint.url, [each for each in await endpoint.models() if not is_candidate(str(each.get("id")))])


def _served(url: str, entries: Sequence[Mapping[str, Any]]) -> ServedModels:
    names = tuple(str(each["id"]) for each in entries if each.get("id"))
    parents = {str(each["parent"]) for each in entries if each.get("parent")}
    adapters = [str(each["id"]) for each in entries if each.get("parent")]
    base = next((name for name in names if name in parents or not adapters), None)
    told = [str(each["id"]) for each in entries if each.get("default") is True]
    live = told[0] if told else adapters[0] if len(adapters) == 1 else base if base and not adapters else ""
    aliases = {str(alias): str(each["id"]) for each in entries for alias in each.get("aliases") or ()}
    return ServedModels(url, names, base, live, aliases)
