"""What was provisioned around the app, held against the template: shown, and put back where a person wants that.

Our template leaves alone what exists, so no deployment would mend the environment, its storage definition or the
account. What was there before, or somebody else made, is used as it is and is not looked at.
"""

import asyncio
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.azure.deployments import Change, PropertyChange, Refusal
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.json_value import value_at
from ai_toolkit.azure.neighbours import LOGS_API_VERSION
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.comparison import compare, in_words, is_expression, lay_over
from ai_toolkit.endpoint.desired import is_app
from ai_toolkit.errors import CloudError, Dismissed, UsageError
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.request import Site
from ai_toolkit.provision.survey import Found
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.template import Template

_STORAGES: Final = "/storages/"
_LOGS: Final = ("properties", "appLogsConfiguration", "logAnalyticsConfiguration")
_NEVER_TOLD: Final = frozenset({"accountKey", "sharedKey"})
"""What Azure takes and never answers."""
_FIXED: Final = frozenset({"location", "kind"})
"""What no change of a resource can be of."""


@dataclass(frozen=True)
class Drift:
    """A resource that is not as the template has it: `before` as it is, `after` as the template says it."""

    id: str
    changed: tuple[PropertyChange, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its type and name, without where it is."""
        *_above, kind, name = self.id.split("/")
        return f"{kind} {name}"


async def look_at_surroundings(site: Site, plan: Plan, template: Template, found: Found) -> tuple[Drift, ...]:
    """What our deployments made beside the app and is not as the template has it; empty where Azure does not tell."""
    made = found.made(site.group_id)
    if plan.existing.environment is None or not made:
        return ()
    environment = plan.existing.environment_id.lower()
    content, values = copy.deepcopy(dict(template.content)), dict(plan.values)
    for one in _listed(content.get("resources")):
        one.pop("@options", None)  # which leaves alone what exists
    if environment in made and "createEnvironment" in values:
        values["createEnvironment"] = True
    foreseen, customer, definition = await asyncio.gather(
        site.deployments.what_if(plan.name, content, values), _customer(site, plan), _definition(site, plan)
    )
    changes = [] if isinstance(foreseen, Refusal) else [one for one in foreseen if not is_app(one) and one.before]
    drifts = [_drift(one, customer) for one in [*changes, *definition] if one.id.lower() in made]
    return tuple(_without_what_is_added(one, plan) for one in drifts if one.changed)


def tell(ui: Ui, drifts: Iterable[Drift]) -> None:
    """Property by property."""
    for one in drifts:
        ui.announce(f"{one.name} is not as the template has it (the template's value comes last):")
        for each in one.changed:
            ui.announce(f"    {in_words(each)}")


async def offer_to_put_back(ui: Ui, drifts: Iterable[Drift], *, agreed: bool) -> bool:
    """Whether to put it back. Where nobody can be asked, it stays as it is. Raises Dismissed."""
    tell(ui, drifts)
    if agreed:
        return True
    items = (
        Choice("leave", "Leave it as it is", "Provision asks again"),
        Choice("put back", "Put it back", "as the template has it; what else was added to it stays"),
        Choice("cancel", "Cancel"),
    )
    try:
        chosen = await ui.pick(
            Pick(Title.PROVISION, "What was provisioned is not as the template has it", items, option="--put-back")
        )
    except UsageError:
        ui.announce(f"It was left as it is; {to(Do.PROVISION_PUTTING_BACK)} puts it back.")
        return False
    if chosen == "cancel":
        raise Dismissed
    return chosen == "put back"


async def put_back(site: Site, plan: Plan, drifts: Iterable[Drift], ui: Ui) -> None:
    """Changes just what differs, by PATCH; a storage definition, which has none, is put whole. Raises CloudError."""
    for one in drifts:
        ui.report(f"putting back {one.name}", 4)
        try:
            if _STORAGES in one.id:
                await _put_definition(site, plan, one)
            else:
                version = str(one.after.get("apiVersion"))
                await site.manager.change(one.id, version, await _patch(site, plan, one))
        except HttpResponseError as error:
            told = for_people(error)
            raise CloudError(f"{one.name} could not be put back. {told.message}", told.advice) from error
        ui.announce(f"Put back: {one.name}.")


async def _put_definition(site: Site, plan: Plan, drift: Drift) -> None:
    file = value_at(drift.after, "properties", "azureFile") or {}
    place = site.place
    account_at = plan.settings.located("storageAccountName", place.subscription, place.resource_group)
    async with site.cloud.storage(account_at.subscription, account_at.group) as storage:
        key = await storage.key(account_at.name)
    said = {name: value for name, value in file.items() if not is_expression(value)}
    async with site.cloud.container_apps(place.subscription, place.resource_group) as apps:
        await apps.replace_storage(drift.id, {**said, "accountName": account_at.name, "accountKey": key})


async def _patch(site: Site, plan: Plan, drift: Drift) -> dict[str, Any]:
    """The properties that differ, with what others added to them."""
    changed: dict[str, Any] = {}
    for one in drift.changed:
        key, below = [*one.path.split("."), ""][:2]
        if key == "properties":
            live, wanted = drift.before.get(key) or {}, drift.after[key]
            changed.setdefault(key, {})[below] = lay_over(live.get(below), wanted[below])
        else:
            changed[key] = lay_over(drift.before.get(key), drift.after[key])
    logs = value_at(changed, *_LOGS[:2])
    if isinstance(logs, dict) and logs.get("logAnalyticsConfiguration"):
        workspace = _workspace(site, plan)
        key = await site.manager.shared_key(workspace, LOGS_API_VERSION)
        logs["logAnalyticsConfiguration"] = {**logs["logAnalyticsConfiguration"], "sharedKey": key}
    if "location" in drift.before:
        changed["location"] = drift.before["location"]
    return changed


def _drift(change: Change, customer: str) -> Drift:
    """`customer` is the log workspace's id, which in a what-if is an expression."""
    after = _known(change.after)
    logs = value_at(after, *_LOGS)
    if isinstance(logs, dict) and is_expression(logs.get("customerId")) and customer:
        logs["customerId"] = customer
    found = compare(change.before, after).changed
    changed = tuple(
        one
        for one in found
        if one.kind != "Delete"  # what others added
        and one.path.partition(".")[0] not in _FIXED
        and (one.path.startswith("tags.") or str(one.before).lower() != str(one.after).lower())
    )
    return Drift(change.id, changed, change.before, after)


def _known(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """A copy without what Azure never answers."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items() if key not in _NEVER_TOLD}
    return [_known(one) for one in value] if isinstance(value, list) else value


def _without_what_is_added(drift: Drift, plan: Plan) -> Drift:
    """Without the workload profile that the environment gets in any case."""
    if plan.profile is None or not plan.profile.missing:
        return drift
    path = f"properties.workloadProfiles.{plan.profile.name}"
    return replace(drift, changed=tuple(one for one in drift.changed if one.path != path))


async def _definition(site: Site, plan: Plan) -> list[Change]:
    """What Provision would put into an environment of another group, where the template reaches nothing."""
    existing, settings = plan.existing, plan.settings
    if not existing.environment_elsewhere or not existing.environment_storage:
        return []
    name = settings.value("acaEnvironmentStorageName")
    path = f"{existing.environment_id}{_STORAGES}{name}"
    before = await site.manager.body(path, APP_API_VERSION)
    account = settings.located("storageAccountName", site.place.subscription, site.place.resource_group)
    file = {"accountName": account.name, "shareName": settings.value("fileShareName"), "accessMode": "ReadWrite"}
    return [Change(path, "Modify", (), before, {"properties": {"azureFile": file}})] if before else []


async def _customer(site: Site, plan: Plan) -> str:
    """The id by which environments name the workspace; empty where there is none."""
    if plan.profile is None or not plan.existing.log_analytics:
        return ""
    found = await site.manager.body(_workspace(site, plan), LOGS_API_VERSION)
    return str(value_at(found or {}, "properties", "customerId") or "")


def _workspace(site: Site, plan: Plan) -> str:
    name = plan.settings.names["acaLogAnalyticsName"]
    return f"{site.group_id}/providers/Microsoft.OperationalInsights/workspaces/{name}"


def _listed(resources: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (a template's resources, by name or listed)
    return list(resources.values() if isinstance(resources, Mapping) else resources or ())
