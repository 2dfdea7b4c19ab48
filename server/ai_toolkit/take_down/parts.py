"""What may be removed and what stays, decided from what is there: no network, no order of events.

A part is removed only when a Provision made it (its tag says so, or the deployment that was to create it) and nobody
else has anything in it or uses it. All else stays, with its reason. What Azure does not tell counts as used.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from ai_toolkit.azure.neighbours import StorageDefinition, Tenant
from ai_toolkit.two_faces import Do, to


class Kind(Enum):
    """The parts of an endpoint in the order in which they are removed; the value is what people read."""

    APP = "container app"
    DEFINITION = "storage definition"
    ENVIRONMENT = "environment"
    LOGS = "log workspace"
    SHARE = "file share"
    ACCOUNT = "storage account"
    GROUP = "resource group"


@dataclass(frozen=True)
class Part:
    """One of them: its name, its id as Azure spells it, and the resource group that it is in if that is another one."""

    kind: Kind
    name: str
    id: str
    elsewhere: str = ""

    def in_words(self) -> str:
        return f"{self.kind.value} {self.name}{f' in {self.elsewhere}' if self.elsewhere else ''}"


@dataclass(frozen=True)
class Kept:
    """What stays, and why."""

    what: str
    why: str

    def in_words(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True)
class TakingDown:
    """What is removed, in that order, and what stays."""

    removes: tuple[Part, ...]
    stays: tuple[Kept, ...]

    def in_words(self) -> list[str]:
        """Lines: by name what is removed and what stays."""
        removed = [f"    - {one.in_words()}" for one in self.removes] or ["    nothing"]
        stays = [f"    = {one.in_words()}" for one in self.stays]
        return ["Removed:", *removed, *(["Stays:", *stays] if stays else [])]


@dataclass(frozen=True)
class Found:
    """What is there now. A part that the workspace names and that is not there is None.

    `ours` are the ids of parts that a Provision made, in lower case. `tenants`, `definitions`, `in_environment`,
    `in_account` and `loggers` are None where Azure does not tell. `definitions` are those of every environment,
    `loggers` the ids of the environments that write to the log workspace, `log_readers` what else keeps data there, in
    words. `locks` are the scopes on which a lock forbids removing, in lower case. `others` are the group's resources
    that are none of these parts, in words.
    """

    app: Part | None = None
    definition: Part | None = None
    environment: Part | None = None
    logs: Part | None = None
    share: Part | None = None
    account: Part | None = None
    group: Part | None = None
    ours: frozenset[str] = frozenset()
    tenants: tuple[Tenant, ...] | None = ()
    definitions: tuple[StorageDefinition, ...] | None = ()
    in_environment: tuple[str, ...] | None = ()
    in_account: tuple[str, ...] | None = ()
    loggers: tuple[str, ...] | None = ()
    log_readers: tuple[str, ...] | None = ()
    locks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    private_endpoints: int = 0

    @property
    def environment_of_definition(self) -> str:
        """The id, in lower case, of the environment that the definition is in; empty without one."""
        return _id(self.definition).rpartition("/storages/")[0]

    @property
    def group_id(self) -> str:
        """The resource group's own id, in lower case, as that of anything in it begins."""
        inside = next((one for one in (self.app, self.environment, self.logs, self.account) if one is not None), None)
        return inside.id.lower().partition("/providers/")[0] if inside is not None else ""

    def is_ours(self, part: Part) -> bool:
        return part.id.lower() in self.ours

    def without(self, removed: frozenset[str]) -> "Found":
        """The same without what was removed (ids in lower case): Azure's lists may show it for a while."""

        def there(part: Part | None) -> Part | None:
            return None if part is None or part.id.lower() in removed else part

        return replace(
            self,
            app=there(self.app),
            definition=there(self.definition),
            environment=there(self.environment),
            logs=there(self.logs),
            share=there(self.share),
            account=there(self.account),
            group=there(self.group),
            tenants=None if self.tenants is None else tuple(one for one in self.tenants if one.id not in removed),
            definitions=None
            if self.definitions is None
            else tuple(
                one
                for one in self.definitions
                if one.environment not in removed and f"{one.environment}/storages/{one.name}".lower() not in removed
            ),
            loggers=None if self.loggers is None else tuple(one for one in self.loggers if one not in removed),
            in_account=None
            if self.in_account is None
            else tuple(
                one
                for one in self.in_account
                if self.share is None or there(self.share) or one.lower() != self.share.in_words().lower()
            ),
        )


@dataclass
class _Decision:
    """The parts so far."""

    found: Found
    removes: list[Part] = field(default_factory=list)
    stays: list[Kept] = field(default_factory=list)

    def take(self, part: Part | None, reasons: Iterable[str]) -> None:
        """Removed, unless there is a reason against it; the first is told."""
        if part is None:
            return
        not_ours = [] if self.found.is_ours(part) else ["it was there before, or somebody else made it"]
        why = next(iter([*not_ours, *reasons, *self._locked(part)]), None)
        if why is None:
            self.removes.append(part)
        else:
            self.stays.append(Kept(part.in_words(), why))

    def _locked(self, part: Part) -> Iterator[str]:
        """A lock on it, on what it is in, or on something in it forbids removing it."""
        identifier = part.id.lower() if part.kind is not Kind.GROUP else self.found.group_id
        for scope in self.found.locks:
            if f"{identifier}/".startswith(f"{scope}/") or scope.startswith(f"{identifier}/"):
                yield f"a lock on {scope.rpartition('/')[2]} forbids removing it"

    def goes(self, part: Part | None) -> bool:
        """Whether the part is not there, or is removed."""
        return part is None or part in self.removes


def decide(found: Found, *, models: bool) -> TakingDown:
    """What is removed and what stays; with `models` the share and what is on it go too."""
    parts = _Decision(found)
    parts.take(found.app, ())
    parts.take(found.environment, _against_environment(parts))
    is_elsewhere = found.definition is not None and found.definition.elsewhere
    if is_elsewhere or not parts.goes(found.environment):  # which takes its definitions with it
        parts.take(found.definition, _against_definition(parts))
    parts.take(found.logs, _against_logs(parts))
    parts.take(found.share, _against_share(parts, models=models))
    parts.take(found.account, _against_account(parts))
    parts.take(found.group, _against_group(parts))
    order = list(Kind)
    return TakingDown(tuple(sorted(parts.removes, key=lambda one: order.index(one.kind))), tuple(parts.stays))


def _against_environment(parts: _Decision) -> Iterator[str]:
    found = parts.found
    if found.environment is None:
        return
    here = found.environment.id.lower()
    app = found.app.id.lower() if found.app is not None and parts.goes(found.app) else ""
    if found.tenants is None or found.definitions is None or found.in_environment is None:
        yield "Azure does not say what else is in it"
        return
    living = [one.in_words() for one in found.tenants if one.environment == here and one.id != app]
    if living:
        yield f"{_listed(living)} {'lives' if len(living) == 1 else 'live'} in it"
    own = found.definition.name.lower() if found.definition is not None else ""
    foreign = [one for one in found.definitions if one.environment == here and one.name.lower() != own]
    kept = [*(f"storage definition {one.name}" for one in foreign), *found.in_environment]
    if kept:
        yield f"it holds the {_listed(kept)}"


def _against_definition(parts: _Decision) -> Iterator[str]:
    found = parts.found
    if found.definition is None:
        return
    if found.tenants is None:
        yield "Azure does not say who mounts it"
        return
    here, name = found.environment_of_definition, found.definition.name.lower()
    app = found.app.id.lower() if found.app is not None and parts.goes(found.app) else ""
    mounting = [
        one.in_words() for one in found.tenants if one.environment == here and name in one.mounts and one.id != app
    ]
    if mounting:
        yield f"{_listed(mounting)} mounts it"


def _against_logs(parts: _Decision) -> Iterator[str]:
    found = parts.found
    if found.loggers is None:
        yield "Azure does not say who writes to it"
        return
    own = found.environment.id.lower() if found.environment is not None and parts.goes(found.environment) else ""
    writing = [one.rpartition("/")[2] for one in found.loggers if one != own]
    if writing:
        yield f"the environment {_listed(writing)} writes its logs there"
    if found.log_readers is None:
        yield "Azure does not say who else keeps data in it"
    elif found.log_readers:
        yield f"the {_listed([*found.log_readers])} keeps its data there"


def _against_share(parts: _Decision, *, models: bool) -> Iterator[str]:
    found = parts.found
    if found.share is None:
        return
    if not models:
        yield f"it holds the models; {to(Do.TAKE_DOWN_WITH_MODELS, found.share.name)} removes them too"
        return
    if found.definitions is None:
        yield "Azure does not say who mounts it"
        return
    account = found.account.name.lower() if found.account is not None else ""
    own = _id(found.environment) if parts.goes(found.environment) else ""
    definition = _id(found.definition) if parts.goes(found.definition) else ""
    mounting = [
        f"storage definition {one.name} of the environment {one.environment.rpartition('/')[2]}"
        for one in found.definitions
        if (one.account, one.share) == (account, found.share.name.lower())
        and one.environment != own
        and f"{one.environment}/storages/{one.name}".lower() != definition
    ]
    if mounting:
        yield f"the {_listed(mounting)} mounts it"


def _against_account(parts: _Decision) -> Iterator[str]:
    found = parts.found
    if found.in_account is None:
        yield "Azure does not say what else is in it"
        return
    gone = {found.share.in_words()} if found.share is not None and parts.goes(found.share) else set()
    there = [one for one in found.in_account if one.lower() not in {each.lower() for each in gone}]
    if there:
        yield f"it holds the {_listed(there)}"
    if found.private_endpoints:
        yield "a private endpoint leads to it"


def _against_group(parts: _Decision) -> Iterator[str]:
    found = parts.found
    inside = (found.app, found.environment, found.logs, found.account)
    there = [one.in_words() for one in inside if one is not None and not parts.goes(one)] + [*found.others]
    if there:
        yield f"it holds the {_listed(there)}"


def _id(part: Part | None) -> str:
    return part.id.lower() if part is not None else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names)
