"""A container app and its revisions as the management plane tells of them: what serves, what comes, who reaches it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from ai_toolkit.azure.json_value import value_at

_FAILED_STATES: Final = frozenset({"Failed", "Degraded"})
_STARTING_STATES: Final = frozenset({"Processing", "Activating"})
_BOUND: Final = frozenset({"SniEnabled", "Auto"})
_RUNNING_STATES: Final = frozenset({"Running", "RunningAtMaxScale"})
_SERVING_STATES: Final = _RUNNING_STATES | {"ScaledToZero", "Scaled to 0"}
UNLISTED: Final = "not listed"
"""Stands for the name of a replica that the platform says is there and does not list."""


class Reach(Enum):
    """From where an app's ingress takes requests."""

    ANYWHERE = "anywhere"
    ENVIRONMENT = "the environment"
    NOWHERE = "nowhere"


class Rest(Enum):
    """Why no request is answered, nor starts a replica, though nothing has failed: somebody wanted it so."""

    STOPPED = "stopped"
    DEACTIVATED = "deactivated"
    NO_INGRESS = "no ingress"
    INTERNAL = "internal ingress"
    NO_REPLICAS = "no replicas"
    NOT_WOKEN = "not woken by requests"


@dataclass(frozen=True)
class Revision:
    """A revision: its running state, in Azure's own word, and its provisioning error (empty when none).

    `traffic` is its part of the requests, of a hundred.
    """

    name: str
    state: str
    problem: str
    active: bool = True
    traffic: int = 0
    created: str = ""
    template: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it cannot serve: what is not known yet has not failed."""
        return self.state in _FAILED_STATES

    @property
    def runs(self) -> bool:
        """Whether the platform says that it has a replica; the list of replicas may be empty all the same."""
        return self.state in _RUNNING_STATES

    @property
    def starts(self) -> bool:
        """Whether its first replica is on its way."""
        return self.state in _STARTING_STATES

    @property
    def serves(self) -> bool:
        """Whether it runs, or sleeps and would wake."""
        return self.state in _SERVING_STATES

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Revision":
        """Of Azure's JSON."""
        body = item.get("properties") or {}
        return cls(
            name=str(item.get("name")),
            state=str(body.get("runningState") or "Unknown"),
            problem=str(body.get("provisioningError") or ""),
            active=bool(body.get("active")),
            traffic=int(body.get("trafficWeight") or 0),
            created=str(body.get("createdTime") or ""),
            template=body.get("template") or {},
        )


@dataclass(frozen=True)
class ContainerApp:
    """A container app; `host` is its bare host name, as Azure's template outputs have it, empty without ingress.

    `template` is what is wanted of it now: the latest revision's, or the one's that serves where the latest was
    deactivated, as after a failure. `revisions` are all of them, the oldest first.
    """

    name: str
    host: str
    latest_revision: str
    latest_ready_revision: str
    revisions: tuple[Revision, ...]
    max_replicas: int
    environment_id: str
    workload_profile: str
    location: str
    tags: Mapping[str, str]
    template: Mapping[str, Any]
    stopped: bool = False
    reach: Reach = Reach.ANYWHERE
    is_multiple: bool = False
    event_stream: str = ""
    domains: tuple[str, ...] = ()
    """The custom domains that are bound to it, with a certificate: what is only registered answers nobody."""
    secrets: frozenset[str] = frozenset()
    """The names of its secrets."""

    @property
    def active(self) -> tuple[Revision, ...]:
        """The revisions that may have replicas."""
        return tuple(one for one in self.revisions if one.active)

    @property
    def serving(self) -> tuple[Revision, ...]:
        """The revisions that get the requests, the one with the most first; empty where none does.

        In single mode that is the latest that ever was ready, while it is active; in multiple mode, who has traffic.
        """
        by_traffic = sorted((one for one in self.active if one.traffic), key=lambda one: -one.traffic)
        if self.is_multiple:
            return tuple(by_traffic)
        ready = [one for one in self.active if one.name == self.latest_ready_revision]
        able = [one for one in by_traffic if one.serves] or [one for one in reversed(self.active) if one.serves]
        return tuple((ready or able)[:1])

    @property
    def coming(self) -> Revision | None:
        """The latest revision where it does not serve yet: it starts, waits for a GPU, or has failed."""
        serving = {one.name for one in self.serving}
        return next((one for one in self.active if one.name == self.latest_revision and one.name not in serving), None)

    @property
    def current(self) -> Revision | None:
        """The revision that a question about the app means: what serves, else what comes, else any that is active."""
        newest = self.active[-1:]
        return next(iter((*self.serving, *((self.coming,) if self.coming else ()), *newest)), None)

    @property
    def rest(self) -> Rest | None:
        """Why nothing answers although nothing failed; None where a request is answered, or wakes it."""
        scale = self.template.get("scale") or {}
        rules = scale.get("rules") or ()
        if self.stopped:
            return Rest.STOPPED
        if not self.active:
            return Rest.DEACTIVATED
        if self.reach is not Reach.ANYWHERE:
            return Rest.NO_INGRESS if self.reach is Reach.NOWHERE else Rest.INTERNAL
        if self.max_replicas == 0:
            return Rest.NO_REPLICAS
        if rules and not scale.get("minReplicas") and not any("http" in rule or "tcp" in rule for rule in rules):
            return Rest.NOT_WOKEN
        return None

    def revision(self, name: str) -> Revision | None:
        """The revision of that name."""
        return next((one for one in self.revisions if one.name == name), None)

    def takes_new_traffic(self) -> bool:
        """Whether a new revision would get requests once it is ready: not where the weights name others."""
        return not self.is_multiple or not self.serving or self.latest_revision in {one.name for one in self.serving}

    @classmethod
    def read(cls, name: str, whole: Mapping[str, Any], listed: Iterable[Mapping[str, Any]]) -> "ContainerApp":
        """Of Azure's JSON of the app and of its revisions."""
        body = whole["properties"]
        most = value_at(body, "template", "scale", "maxReplicas")
        ingress = value_at(body, "configuration", "ingress")
        reach = Reach.NOWHERE if not ingress else Reach.ANYWHERE if ingress.get("external") else Reach.ENVIRONMENT
        app = cls(
            name=name,
            host=(ingress or {}).get("fqdn") or "",
            latest_revision=body.get("latestRevisionName") or "",
            latest_ready_revision=body.get("latestReadyRevisionName") or "",
            revisions=tuple(sorted(map(Revision.read, listed), key=lambda one: one.created)),
            max_replicas=1 if most is None else int(most),
            environment_id=body.get("environmentId") or body.get("managedEnvironmentId") or "",
            workload_profile=body.get("workloadProfileName") or "",
            location=str(whole.get("location")),
            tags=whole.get("tags") or {},
            template=body.get("template") or {},
            stopped=str(body.get("runningStatus")).lower() == "stopped",
            reach=reach,
            event_stream=str(body.get("eventStreamEndpoint") or ""),
            is_multiple=str(value_at(body, "configuration", "activeRevisionsMode")).lower() == "multiple",
            domains=tuple(
                str(one.get("name")).lower()
                for one in (ingress or {}).get("customDomains") or ()
                if one.get("bindingType") in _BOUND
            ),
            secrets=frozenset(str(one.get("name")) for one in value_at(body, "configuration", "secrets") or ()),
        )
        latest = app.revision(app.latest_revision)
        if latest is not None and not latest.active and app.current is not None and app.current.template:
            return replace(app, template=app.current.template)
        return app
