"""What expressions can ask beyond their own template: nothing before its deployment runs, then the cloud as it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.template.functions.values import FunctionError
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Value


class Cloud(Protocol):
    """Reads resources as they are now."""

    def read(self, identifier: ResourceId) -> JsonObject:
        """A resource as a GET returns it; ArmError 404 where there is none."""

    def secrets(self, identifier: ResourceId, function: str) -> Value:
        """What a `list…` function returns."""


@dataclass(frozen=True)
class Known:
    """What is known of a planned resource before it is deployed."""

    symbol: str
    id: ResourceId | None
    shown_id: str
    api_version: str
    outputs: Callable[[], JsonObject] | None  # of a nested deployment

    @property
    def known_id(self) -> ResourceId:
        """The id; raises NotYetKnownError before it is known."""
        if self.id is None:
            raise NotYetKnownError(self.shown_id)
        return self.id


class DeploymentSurroundings:
    """Those of one deployment; a plan is made with them, and they begin to see when it runs."""

    def __init__(self, cloud: Cloud | None = None) -> None:
        self._cloud = cloud
        self._is_running = False
        self._by_symbol: dict[str, Known] = {}
        self._by_name: dict[str, Known] = {}

    def of_nested(self) -> "DeploymentSurroundings":
        """Surroundings for a deployment within this one."""
        return DeploymentSurroundings(self._cloud)

    def know(self, resources: Iterable[Known]) -> None:
        """Learn the plan's symbols, names and ids."""
        for resource in resources:
            self._by_symbol[resource.symbol.lower()] = resource
            self._by_name[resource.shown_id.lower()] = resource
            if resource.id is not None:
                name = resource.id.name.lower()
                known = self._by_name.get(name)
                if known is None or known.shown_id == resource.shown_id:
                    self._by_name[name] = resource

    def begin(self) -> None:
        """From now on the cloud can be looked at."""
        self._is_running = True

    def resource_id_of(self, symbol: str) -> str | None:
        """The id of the plan's resource of that symbol."""
        found = self._by_symbol.get(symbol.lower())
        return found.shown_id if found else None

    def api_version_of(self, symbol: str) -> str | None:
        """The api-version that the plan's resource of that symbol names."""
        found = self._by_symbol.get(symbol.lower())
        return found.api_version if found else None

    def reference(self, name: str, api_version: str | None, *, full: bool) -> Value:
        """The properties of a resource now, or the whole of it; before it runs a nested deployment's known outputs."""
        del api_version
        planned = self._planned(name)
        if not self._is_running:
            if planned is not None and planned.outputs is not None and not full:
                return {"outputs": planned.outputs()}
            raise NotYetKnownError(name)
        identifier = planned.known_id if planned else ResourceId.parse(name)
        body = self._running().read(identifier)
        return body if full else body.get("properties", {})

    def references(self, symbol: str, *, full: bool) -> list[Value]:
        """The properties of a loop's resources now, or the whole of them."""
        if not self._is_running:
            raise NotYetKnownError(symbol)
        prefix = f"{symbol.lower()}["
        found = [planned.symbol for name, planned in self._by_symbol.items() if name.startswith(prefix)]
        if not found:
            raise FunctionError(f"The template has no resource collection '{symbol}'.")
        return [self.reference(one, None, full=full) for one in found]

    def list_secrets(self, function: str, resource: str, api_version: str, body: JsonObject) -> Value:
        """What a `list…` function of a template returns."""
        del api_version, body
        if not self._is_running:
            raise NotYetKnownError(resource)
        planned = self._planned(resource)
        return self._running().secrets(planned.known_id if planned else ResourceId.parse(resource), function)

    def _planned(self, name: str) -> Known | None:
        return self._by_symbol.get(name.lower()) or self._by_name.get(name.lower())

    def _running(self) -> Cloud:
        if self._cloud is None:
            raise NotYetKnownError
        return self._cloud
