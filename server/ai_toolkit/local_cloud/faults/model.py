"""Faults that were asked for, and what they happen to. The package's documentation explains each field."""

import random
import re
import secrets
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self, TypeVar

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject


class Kind(StrEnum):
    """What a fault does."""

    LATENCY = "latency"  # the answer comes so many seconds later
    STATUS = "status"  # that status, in the error shape of the port
    CUT = "cut"  # the connection ends after so many bytes
    EXPIRED_TOKEN = "expired-token"  # noqa: S105  # a name
    SHARE_FULL = "share-full"  # ShareSizeLimitReached
    NOT_FOUND = "not-found"  # 404, as right after a PUT
    RESOURCE_FAILS = "resource-fails"  # provisioning ends with an error
    RESOURCE_HANGS = "resource-hangs"  # provisioning never ends
    NO_GPU_QUOTA = "no-gpu-quota"  # usages say 0, and what needs a GPU is refused
    NO_USAGES = "no-usages"  # the list of usages is empty, as Azure's may be: that is not a quota of zero
    NO_SHARED_KEY = "no-shared-key"  # a policy forbids storage accounts that take their key
    POLICY = "policy"  # a policy wants a property of the resources whose id matches to be as it says
    NO_REPLICA_LIST = "no-replica-list"  # one that serves is not listed, as seen on Azure's A100
    CRASH_UNNOTICED = "crash-unnoticed"  # a deployment succeeds over a container that crashes, as recorded of Azure
    READ_ONLY = "read-only"  # the caller may read and not deploy
    REPLICA_CRASHES = "replica-crash"  # its process ends with code 1
    REPLICA_HANGS = "replica-hang"  # its process lives and never listens
    REPLICA_SLOW = "replica-slow"  # its command starts so many seconds later
    START_STALLS = "start-stalls"  # the event `code` with `message` is the last of a replica's start
    REPLICA_WRAPPED = "replica-wrapped"  # its command is started through another program, such as a slow file system


class Port(StrEnum):
    """Where a request arrives."""

    MANAGEMENT = "management"
    FILES = "files"
    INGRESS = "ingress"


class Half(StrEnum):
    """Which half of an exchange is cut."""

    ANSWER = "answer"
    REQUEST = "request"


REQUEST_KINDS = frozenset({
    Kind.LATENCY, Kind.STATUS, Kind.CUT, Kind.EXPIRED_TOKEN, Kind.SHARE_FULL, Kind.NOT_FOUND,
})  # fmt: skip
RESOURCE_KINDS = frozenset({Kind.RESOURCE_FAILS, Kind.RESOURCE_HANGS})
REPLICA_KINDS = frozenset({
    Kind.REPLICA_CRASHES, Kind.REPLICA_HANGS, Kind.REPLICA_SLOW, Kind.START_STALLS,
})  # fmt: skip
JSON_NAMES = {"retry_after_seconds": "retryAfterSeconds"}


@dataclass
class Fault:
    """One fault, and how often it was met and used."""

    kind: Kind
    port: Port | None = None
    method: str = ""
    path: str = ""
    skip: int = 0
    count: int | None = 1
    probability: float = 1.0
    seed: int = 0
    status: int = 500
    code: str | None = None
    message: str = "The local cloud was told to misbehave."
    retry_after_seconds: int | None = None
    seconds: float = 0.0
    bytes: int = 0
    of: Half = Half.ANSWER
    command: tuple[str, ...] = ()
    member: str = ""
    wanted: str | bool | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    seen: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # repeatable on purpose

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        """The fault that a body describes; ArmError for one that means nothing."""
        known = {JSON_NAMES.get(one.name, one.name): one for one in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in body.items():
            if name not in known or name in {"id", "seen", "hits"}:
                raise _refused(name, f"A fault has no '{name}'.")
            given[known[name].name] = value
        fault = cls(**{**given, "kind": _member(Kind, "kind", given.get("kind"))})
        fault._check()
        return fault

    def _check(self) -> None:
        if self.port is not None:
            self.port = _member(Port, "port", self.port)
        self.of = _member(Half, "of", self.of)
        if not isinstance(self.command, list | tuple) or not all(isinstance(part, str) for part in self.command):
            raise _refused("command", "The command of a fault is an array of strings.")
        if self.kind is Kind.REPLICA_WRAPPED and not self.command:
            raise _refused("command", "A replica is wrapped by a command.")
        self.command = tuple(self.command)
        for name in ("skip", "count", "status", "seconds", "bytes", "probability", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not (isinstance(value, int | float) or (name == "count" and value is None)):
                raise _refused(name, f"The '{name}' of a fault is a number.")
        for name in ("method", "path"):
            try:
                re.compile(getattr(self, name))
            except (re.error, TypeError) as error:
                raise _refused(name, f"The '{name}' of a fault is a regular expression.") from error

    def document(self) -> JsonObject:
        """The fault as the control route shows it."""
        return {JSON_NAMES.get(one.name, one.name): getattr(self, one.name) for one in fields(self)}

    @property
    def is_spent(self) -> bool:
        """Whether it was used as often as it may."""
        return self.count is not None and self.hits >= self.count

    def happens_to(self, method: str, path: str) -> bool:
        """Whether it happens to this one; counts."""
        if not re.search(self.method, method, re.IGNORECASE) or not re.search(self.path, path, re.IGNORECASE):
            return False
        self.seen += 1
        if self.is_spent or self.seen <= self.skip or self._chance.random() >= self.probability:
            return False
        self.hits += 1
        return True


class Faults:
    """All faults that were asked for."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._lasting: set[str] = set()

    def add(self, fault: Fault, *, lasts: bool = False) -> None:
        """Let it happen from now on; one that lasts is only forgotten by its own id."""
        self._faults[fault.id] = fault
        if lasts:
            self._lasting.add(fault.id)

    def remove(self, identifier: str | None = None) -> None:
        """Forget one, or all that do not last."""
        gone = [identifier] if identifier is not None else self._faults.keys() - self._lasting
        for one in gone:
            self._faults.pop(one, None)

    def all(self) -> list[Fault]:
        """The oldest first."""
        return list(self._faults.values())

    def for_request(self, port: Port, method: str, path: str) -> Fault | None:
        """What happens to a request; every fault counts it."""
        return self._first(REQUEST_KINDS, method, path, port)

    def for_resource(self, identifier: str) -> Fault | None:
        """What happens when a resource is provisioned."""
        return self._first(RESOURCE_KINDS, "PUT", identifier, None)

    def for_replica(self, name: str) -> list[Fault]:
        """What happens when a replica's process is started: something of its own, then the program around it."""
        found = [self._first(kinds, "", name, None) for kinds in (REPLICA_KINDS, frozenset({Kind.REPLICA_WRAPPED}))]
        return [fault for fault in found if fault is not None]

    @property
    def has_no_gpu_quota(self) -> bool:
        """Whether there are no GPUs at all."""
        return any(fault.kind is Kind.NO_GPU_QUOTA for fault in self._faults.values())

    @property
    def stalled_for(self) -> timedelta:
        """How long starts that stall have stalled already, by the clock that the event stream tells."""
        stalled = [fault.seconds for fault in self._faults.values() if fault.kind is Kind.START_STALLS]
        return timedelta(seconds=max(stalled, default=0))

    @property
    def has_no_usages(self) -> bool:
        """Whether usages are not told."""
        return any(fault.kind is Kind.NO_USAGES for fault in self._faults.values())

    @property
    def hides_replicas(self) -> bool:
        """Whether the list of replicas lacks those that serve."""
        return any(fault.kind is Kind.NO_REPLICA_LIST for fault in self._faults.values())

    @property
    def overlooks_crashes(self) -> bool:
        """Whether an app is deployed although its container crashes."""
        return any(fault.kind is Kind.CRASH_UNNOTICED for fault in self._faults.values())

    @property
    def forbids_shared_key(self) -> bool:
        """Whether a policy forbids storage accounts with shared-key access."""
        return any(fault.kind is Kind.NO_SHARED_KEY for fault in self._faults.values())

    def policies_for(self, identifier: str) -> list[Fault]:
        """The policies that look at a resource."""
        found = [fault for fault in self._faults.values() if fault.kind is Kind.POLICY]
        return [fault for fault in found if re.search(fault.path, identifier, re.IGNORECASE)]

    @property
    def is_read_only(self) -> bool:
        """Whether the caller's role is Reader."""
        return any(fault.kind is Kind.READ_ONLY for fault in self._faults.values())

    def _first(self, kinds: frozenset[Kind], method: str, path: str, port: Port | None) -> Fault | None:
        met = [
            fault
            for fault in self._faults.values()
            if fault.kind in kinds and fault.port in {None, port} and fault.happens_to(method, path)
        ]
        return met[0] if met else None


Choice = TypeVar("Choice", bound=StrEnum)


def _member(choices: type[Choice], field_name: str, value: object) -> Choice:
    """The choice that a word names; ArmError for another word."""
    if not isinstance(value, str) or value not in set(choices):
        raise _refused(field_name, f"The {field_name} of a fault is one of {', '.join(choices)}.")
    return choices(value)


def _refused(target: str, message: str) -> ArmError:
    return ArmError("InvalidFault", message, target=target)
