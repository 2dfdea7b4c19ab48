"""Template deployments of one resource group: validated, previewed, sent, followed, cancelled."""

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import (
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient

from ai_toolkit.azure.failures import innermost, innermost_of, violations_of
from ai_toolkit.azure.policies import Violation, violations
from ai_toolkit.errors import CloudUnreachable, DeploymentFailed
from ai_toolkit.polling import poll
from ai_toolkit.workspace.workspace import KeyVaultReference

_LOOK_AGAIN: Final = timedelta(seconds=1)
_NOT_THERE_YET: Final = timedelta(seconds=30)
_CANCEL_LIMIT: Final = timedelta(minutes=1)
_ACTIVE: Final = frozenset({"accepted", "running", "created", "creating", "updating", "notspecified", "ready"})
_WHOLE: Final = "FullResourcePayloads"
_CREATES: Final = "ai-toolkit-creates"
_LONGEST: Final = 256
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Deployment:
    """A template deployment; `outputs` are plain values, empty until it succeeded.

    `creates` are the resources that were not there when it was sent, as their ids end after `/providers/`, in lower
    case; None for one that does not tell.
    """

    name: str
    state: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
    time: datetime = _NEVER
    creates: frozenset[str] | None = None

    @property
    def active(self) -> bool:
        return self.state.lower() in _ACTIVE

    @property
    def succeeded(self) -> bool:
        return self.state.lower() == "succeeded"


@dataclass(frozen=True)
class Operation:
    """What a running deployment does with one resource; `id` is the resource's."""

    id: str
    type: str
    name: str
    state: str


@dataclass(frozen=True)
class PropertyChange:
    """One property that would change: `kind` is Create, Delete or Modify."""

    path: str
    kind: str
    before: object = None
    after: object = None


@dataclass(frozen=True)
class Change:
    """What a deployment would do to one resource: `kind` is Create, Modify, NoChange, Ignore and others.

    `before` is the resource as it is, `after` what the template says of it, with what only a deployment knows as an
    expression; each is empty where there is none.
    """

    id: str
    kind: str
    properties: tuple[PropertyChange, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """Why Azure would not take a deployment: its innermost code and message, and the policies that forbid it."""

    code: str
    message: str
    policies: tuple[Violation, ...] = ()


class Deployments:
    """The deployments of one resource group."""

    def __init__(self, client: DeploymentsMgmtClient, group: str) -> None:
        self._operations = client.deployments
        self._steps = client.deployment_operations
        self._group = group

    async def get(self, name: str) -> Deployment | None:
        """The deployment of that name, or None when there never was one."""
        try:
            return _deployment(await self._operations.get(self._group, name))
        except ResourceNotFoundError:
            return None

    async def history(self, prefix: str) -> list[Deployment]:
        """Those whose name begins so, the newest first; empty when the resource group does not exist."""
        try:
            found = [_deployment(one) async for one in self._operations.list_by_resource_group(self._group)]
        except ResourceNotFoundError:
            return []
        return sorted((one for one in found if one.name.startswith(prefix)), key=lambda one: one.time, reverse=True)

    async def validate(self, name: str, template: Mapping[str, Any], parameters: Mapping[str, Any]) -> Refusal | None:
        """None when Azure would take the deployment."""
        try:
            poller = await self._operations.begin_validate(self._group, name, _body(template, parameters))
            result = await poller.result()
        except HttpResponseError as error:
            return _refusal(error)
        found = (result.as_dict() if result is not None else {}).get("error")
        return Refusal(*innermost(found), violations(found)) if found else None

    async def what_if(
        self, name: str, template: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> list[Change] | Refusal:
        """The changes that Azure foresees; it may foresee some that will not be."""
        try:
            poller = await self._operations.begin_what_if(
                self._group, name, _body(template, parameters, {"whatIfSettings": {"resultFormat": _WHOLE}})
            )
            result = await poller.result()
        except HttpResponseError as error:
            return _refusal(error)
        body = result.as_dict()
        if body.get("error"):
            return Refusal(*innermost(body["error"]), violations(body["error"]))
        return [_change(one) for one in (body.get("properties") or {}).get("changes") or ()]

    async def send(
        self, name: str, template: Mapping[str, Any], parameters: Mapping[str, Any], creates: Iterable[str] = ()
    ) -> None:
        """Hands the deployment over to Azure, which then goes on by itself. Raises DeploymentFailed.

        `creates` is remembered in its tags: who takes all down later must not take what was there before.
        """
        body = _body(template, parameters, tags=_tags(creates))
        try:
            await self._operations.begin_create_or_update(self._group, name, body, polling=False)
        except HttpResponseError as error:
            code, message = innermost_of(error)
            if code == "DeploymentActive":
                return  # the answer to an earlier attempt was lost on its way
            if error.status_code is None or not 400 <= error.status_code < 500 or not code:  # noqa: PLR2004
                raise
            raise DeploymentFailed(name, code, message) from error

    async def follow(
        self, name: str, observe: Callable[[list[Operation]], None], earlier: Deployment | None = None
    ) -> Deployment:
        """The finished deployment; `observe` sees its operations about once a second.

        `earlier`: one of the same name, which Azure may still show right after the new one was sent.
        Raises DeploymentFailed, CloudUnreachable.
        """
        patience = int(_NOT_THERE_YET / _LOOK_AGAIN)

        async def look() -> Deployment | None:
            nonlocal patience
            try:
                found, operations = await self._look(name)
            except (ServiceRequestError, ServiceResponseError) as error:
                raise CloudUnreachable("Azure", f"{error}; the deployment {name} goes on without it") from error
            state = _deployment(found)
            if earlier is not None and state.time == earlier.time and not state.active and patience:
                patience -= 1
                return None
            observe(operations)
            if not state.active and not state.succeeded:
                failure = found.properties.error if found.properties is not None else None
                code, reason = innermost(failure.as_dict() if failure is not None else {})
                raise DeploymentFailed(name, code or state.state, reason or f"it ended as {state.state}")
            return None if state.active else state

        return await poll(look, every=_LOOK_AGAIN)

    async def cancel(self, name: str, earlier: Deployment | None = None) -> Deployment | None:
        """The deployment as it ended after Azure was asked to cancel it; None when none was sent after `earlier`.

        Still active when it has not ended within a minute.
        """
        try:
            await self._operations.cancel(self._group, name)
        except ResourceNotFoundError:
            return None
        except HttpResponseError:
            ended = await self.get(name)
            is_old = earlier is not None and ended is not None and ended.time == earlier.time
            return None if is_old else ended
        found: Deployment | None = None

        async def look() -> bool | None:
            nonlocal found
            found = await self.get(name)
            return None if found is not None and found.active else True

        with suppress(TimeoutError):
            await poll(look, every=_LOOK_AGAIN, limit=_CANCEL_LIMIT)
        return found

    async def _look(self, name: str) -> tuple[Any, list[Operation]]:
        """The deployment and its operations. Right after it was sent Azure may not know it yet."""
        attempts = int(_NOT_THERE_YET / _LOOK_AGAIN)

        async def look() -> tuple[Any, list[Operation]] | None:
            nonlocal attempts
            try:
                return await asyncio.gather(self._operations.get(self._group, name), self._operations_of(name))
            except ResourceNotFoundError:
                attempts -= 1
                if not attempts:
                    raise
                return None

        return await poll(look, every=_LOOK_AGAIN)

    async def _operations_of(self, name: str) -> list[Operation]:
        operations = []
        async for item in self._steps.list(self._group, name):
            properties = item.properties
            target = properties.target_resource if properties is not None else None
            if properties is not None and target is not None and target.resource_name is not None:
                state = _word(properties.provisioning_state)
                kind = str(target.resource_type)
                operations.append(Operation(str(target.id), kind, target.resource_name, state))
        return operations


def _body(
    template: Mapping[str, Any],
    parameters: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> io.BytesIO:
    properties = {
        **(more or {}),
        "mode": "Incremental",
        "template": dict(template),
        "parameters": {
            key: {"reference" if isinstance(value, KeyVaultReference) else "value": value}
            for key, value in parameters.items()
        },
    }
    return io.BytesIO(json.dumps({"properties": properties, **({"tags": tags} if tags else {})}).encode())


def _tags(creates: Iterable[str]) -> dict[str, str]:
    """Of a deployment: Azure takes 50 tags of 256 characters."""
    paths = sorted(path for path in set(creates) if len(path) <= _LONGEST)
    found = {f"{_CREATES}-{number}": path for number, path in enumerate(paths, 1)}
    return {_CREATES: str(len(found)), **found}


def _deployment(found: Any) -> Deployment:  # noqa: ANN401  (DeploymentExtended, whose fields are optional)
    properties = found.properties
    outputs = {key: value.get("value") for key, value in (properties.outputs or {}).items()}
    return Deployment(
        str(found.name),
        _word(properties.provisioning_state),
        outputs,
        properties.timestamp or _NEVER,
        _created(found.tags or {}),
    )


def _created(tags: Mapping[str, str]) -> frozenset[str] | None:
    if _CREATES not in tags:
        return None
    return frozenset(value.lower() for name, value in tags.items() if name.startswith(_CREATES) and name != _CREATES)


def _change(found: Mapping[str, Any]) -> Change:
    return Change(
        str(found.get("resourceId") or ""),
        str(found.get("changeType")),
        tuple(_flat(found.get("delta") or ())),
        found.get("before") or {},
        found.get("after") or {},
    )


def _flat(delta: Any, above: str = "") -> list[PropertyChange]:  # noqa: ANN401  (nested JSON)
    """The innermost changes; an item of an array is at `[0]`. What has no effect is left out."""
    found: list[PropertyChange] = []
    for one in delta:
        path = str(one.get("path"))
        path = f"{above}[{path}]" if path.isdigit() else f"{above}.{path}".lstrip(".")
        if one.get("children"):
            found += _flat(one["children"], path)
        elif one.get("propertyChangeType") != "NoEffect":
            found.append(PropertyChange(path, str(one.get("propertyChangeType")), one.get("before"), one.get("after")))
    return found


def _refusal(error: HttpResponseError) -> Refusal:
    """Raises the error itself where it is no answer to what was asked."""
    code, message = innermost_of(error)
    if error.status_code is None or not 400 <= error.status_code < 500 or not code:  # noqa: PLR2004
        raise error
    return Refusal(code, message, violations_of(error))


def _word(state: object) -> str:
    """Azure's own word for a state, also for one that the SDK's enumeration does not know."""
    return str(getattr(state, "value", state))
