"""A template's resources as they are planned, before and while they are deployed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import DEPLOYMENT_TYPE, ResourceId
from ai_toolkit.local_cloud.template.evaluation import evaluate
from ai_toolkit.local_cloud.template.names import Name
from ai_toolkit.local_cloud.template.outputs import known_outputs
from ai_toolkit.local_cloud.template.partial import known_body
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Scope, Unknown, Value
from ai_toolkit.local_cloud.template.site import Site
from ai_toolkit.local_cloud.template.surroundings import DeploymentSurroundings, Known


@dataclass(frozen=True)
class PlannedResource:
    """One resource that a deployment will put, or only look at (`existing`)."""

    symbol: str
    name: Name
    api_version: str
    body: JsonObject  # not yet evaluated
    source: JsonObject  # as the template has it
    place: str
    scope: Scope
    existing: bool
    only_if_missing: bool
    nested: "Plan | None" = None  # what it deploys, where it is a deployment itself
    needs: frozenset[str] = field(default_factory=frozenset)  # symbols

    @property
    def type(self) -> str:
        """Its type, as the template writes it."""
        return self.name.type

    @property
    def is_deployment(self) -> bool:
        """Whether it deploys a template itself; without a plan that cannot be made before the deployment runs."""
        return self.type.lower() == DEPLOYMENT_TYPE.lower() and not self.existing

    @property
    def id(self) -> ResourceId | None:
        """The id; None while only the running deployment knows it."""
        return self.name.id

    @property
    def shown_id(self) -> str:
        """The id, or the expression for it."""
        return self.name.shown_id

    @property
    def known_id(self) -> ResourceId:
        """The id; raises NotYetKnownError before it is known."""
        if self.name.id is None:
            raise NotYetKnownError(self.shown_id)
        return self.name.id

    def as_known(self) -> Known:
        """What expressions may know of it before the deployment runs."""
        outputs = self.nested.known_outputs if self.nested is not None else None
        return Known(self.symbol, self.id, self.shown_id, self.api_version, outputs)

    def known_body(self) -> JsonObject:
        """The body as far as it is known, without what is null at its top: that is left out."""
        found = known_body(self.body, self.scope, self.place)
        return {key: value for key, value in found.items() if value is not None}

    def whole_body(self) -> JsonObject:
        """The body, evaluated now."""
        found = evaluate(self.body, self.scope, self.place)
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class Plan:
    """A template with its parameters, ready to be deployed."""

    template: JsonObject
    parameters: Mapping[str, Value]
    resources: tuple[PlannedResource, ...]
    scope: Scope
    site: Site
    surroundings: DeploymentSurroundings

    def everything(self) -> Iterator[PlannedResource]:
        """The resources with those of nested deployments, which stand in for the deployments."""
        for resource in self.resources:
            if resource.nested is None:
                yield resource
            else:
                yield from resource.nested.everything()

    def all_plans(self) -> Iterator["Plan"]:
        """The plan itself and those of nested deployments."""
        yield self
        for resource in self.resources:
            if resource.nested is not None:
                yield from resource.nested.all_plans()

    def known_outputs(self) -> JsonObject:
        """The outputs as far as they are known before the deployment runs."""
        return known_outputs(self.template, self.scope)

    @property
    def is_known(self) -> bool:
        """Whether its parameters are all known: else it is planned anew when they are."""
        return not any(_holds_unknown(value) for value in self.parameters.values())


def _holds_unknown(value: Value) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_holds_unknown, value))
    return isinstance(value, Unknown)
