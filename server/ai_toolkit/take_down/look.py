"""Looks at what is there: the parts that the workspace names, who made them, and who else uses them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ai_toolkit.azure.connect import Cloud
from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION
from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.azure.json_value import value_at
from ai_toolkit.azure.neighbours import LOGS_API_VERSION, Neighbours, StorageDefinition, Tenant
from ai_toolkit.errors import ResourceMissing
from ai_toolkit.provision.survey import PREFIX, made_by
from ai_toolkit.take_down.parts import Found, Kind, Part
from ai_toolkit.workspace.located import Located

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.resource_manager import Resource, ResourceManager

_TYPES: Final[Mapping[Kind, str]] = {
    Kind.APP: "Microsoft.App/containerApps",
    Kind.ENVIRONMENT: "Microsoft.App/managedEnvironments",
    Kind.LOGS: "Microsoft.OperationalInsights/workspaces",
    Kind.ACCOUNT: "Microsoft.Storage/storageAccounts",
}
API_VERSIONS: Final[Mapping[Kind, str]] = {
    Kind.APP: APP_API_VERSION,
    Kind.DEFINITION: APP_API_VERSION,
    Kind.ENVIRONMENT: APP_API_VERSION,
    Kind.LOGS: LOGS_API_VERSION,
    Kind.SHARE: STORAGE_API_VERSION,
    Kind.ACCOUNT: STORAGE_API_VERSION,
}


@dataclass(frozen=True)
class Names:
    """What the workspace calls the parts; empty where it does not tell.

    `tagged`: whether its template puts our tag on what it makes, as ours does. `environment_elsewhere` is the id of an
    environment of another resource group, and `mounts` the account that the definition names, wherever that is.
    """

    app: str = ""
    definition: str = ""
    environment: str = ""
    logs: str = ""
    share: str = ""
    account: str = ""
    tagged: bool = True
    environment_elsewhere: str = ""
    mounts: str = ""


@dataclass(frozen=True)
class Ground:
    """Where it is looked and removed: a resource group, and what can be asked there."""

    cloud: Cloud
    manager: "ResourceManager"
    neighbours: Neighbours
    subscription: str
    group: str

    @property
    def providers(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers"


async def look(ground: Ground, names: Names) -> tuple[Found, list[Deployment]]:
    """What is there now, and those of our deployments that still run."""
    manager = ground.manager
    group, resources, history, app = await asyncio.gather(
        manager.resource_group(ground.group),
        manager.resources(ground.group),
        manager.deployments_of(ground.group).history(PREFIX),
        _app(ground, names.app),
    )
    if group is None:
        return Found(), []
    names = _as_the_app_has_it(names, app, ground.group)
    there = {(one.type, one.name): one for one in resources}

    def part(kind: Kind, name: str) -> Part | None:
        found = there.get((_TYPES[kind].lower(), name.lower()))
        return None if found is None else Part(kind, name, found.id)

    environment, account = part(Kind.ENVIRONMENT, names.environment), part(Kind.ACCOUNT, names.account)
    logs = part(Kind.LOGS, names.logs)
    tenants, environments, in_environment, in_account, private = await asyncio.gather(
        ground.neighbours.tenants(),
        ground.neighbours.environments(),
        _nothing() if environment is None else ground.neighbours.kept_in_environment(environment.id),
        _nothing() if account is None else ground.neighbours.kept_in_account(ground.group, account.name),
        _private_endpoints(ground, account),
    )
    readers, locks = await asyncio.gather(
        _nothing() if logs is None else ground.neighbours.log_readers(logs.id), ground.neighbours.locks()
    )
    definitions = await _definitions(ground, environments)
    tenants, definitions = await _with_elsewhere(ground, names, tenants, definitions)
    definition = _definition(environment, names, definitions)
    share = None
    if account is not None and f"file share {names.share}".lower() in {one.lower() for one in in_account or ()}:
        share = Part(Kind.SHARE, names.share, f"{account.id}/fileServices/default/shares/{names.share}")
    found = Found(
        app=part(Kind.APP, names.app),
        definition=definition,
        environment=environment,
        logs=logs,
        share=share,
        account=account,
        group=Part(Kind.GROUP, ground.group, ground.group),
        tenants=None if tenants is None else tuple(tenants),
        definitions=definitions,
        in_environment=None if in_environment is None else tuple(in_environment),
        in_account=None if in_account is None else tuple(in_account),
        loggers=await _loggers(ground, logs, environments),
        log_readers=None if readers is None else tuple(readers),
        locks=tuple(locks or ()),  # who may not list them is told of one when it forbids something
        private_endpoints=private,
    )
    named = {one.id.lower() for one in (found.app, environment, logs, account) if one is not None}
    others = tuple(
        f"{one.type.rpartition('/')[2]} {one.name}{' (of another workspace)' if one.ours else ''}"
        for one in resources
        if one.id.lower() not in named
    )
    ours = _ours(found, resources, history, ground, tagged=names.tagged) | (
        {ground.group.lower()} if group.ours else frozenset()
    )
    return replace(found, others=others, ours=ours), [one for one in history if one.active]


def _ours(
    found: Found, resources: "list[Resource]", history: list[Deployment], ground: Ground, *, tagged: bool
) -> frozenset[str]:
    """The ids of the parts that a Provision made, by their tag or, for what has none, by our deployments.

    What could have our tag and has not was made by somebody else, whatever a deployment once made under that name.
    """
    told = [one.creates for one in history if one.creates is not None]
    group_id = ground.providers.removesuffix("/providers")
    created = {path for one in history for path in made_by(one, group_id)}
    ours = {one.id.lower() for one in resources if one.ours}
    made = ours if tagged else created | ours
    for inner, outer in ((found.share, found.account), (found.definition, found.environment)):
        # Neither has a tag: where no deployment tells, it is as what it is in.
        if (inner is not None and inner.id.lower() in created) or (
            inner is not None and outer is not None and not told and outer.id.lower() in ours
        ):
            made = made | {inner.id.lower()}
    return frozenset(made)


async def _app(ground: Ground, name: str) -> "ContainerApp | None":
    if not name:
        return None
    async with ground.cloud.container_apps(ground.subscription, ground.group) as apps:
        try:
            return await apps.app(name)
        except ResourceMissing:
            return None


def _as_the_app_has_it(names: Names, app: "ContainerApp | None", group: str) -> Names:
    """The names, with the environment that the app lives in and the storage definition that it mounts."""
    if app is None:
        return names
    environment = app.environment_id.rpartition("/")[2]
    if environment and f"/resourcegroups/{group}/".lower() not in app.environment_id.lower():
        environment, elsewhere = "", app.environment_id  # of another resource group: it was there before
    else:
        environment, elsewhere = environment or names.environment, ""
    mounted = [str(one.get("storageName")) for one in app.template.get("volumes") or () if one.get("storageName")]
    definition = names.definition if names.definition in mounted or len(mounted) != 1 else mounted[0]
    return replace(names, definition=definition, environment=environment, environment_elsewhere=elsewhere)


async def _definitions(ground: Ground, environments: Mapping[str, str] | None) -> tuple[StorageDefinition, ...] | None:
    """Those of every environment of the subscription."""
    if environments is None:
        return None
    listed = await asyncio.gather(*(ground.neighbours.definitions(one) for one in environments))
    known = [one for one in listed if one is not None]
    return tuple(each for one in known for each in one) if len(known) == len(listed) else None


def _definition(
    environment: Part | None, names: Names, definitions: tuple[StorageDefinition, ...] | None
) -> Part | None:
    """The environment's definition of our name, where it names our share."""
    elsewhere = names.environment_elsewhere
    within = elsewhere or (environment.id if environment is not None else "")
    account = (names.mounts or names.account).lower()
    wanted = (within.lower(), names.definition.lower(), account, names.share.lower())
    group = Located.of(elsewhere, "", "").group
    for one in definitions or ():
        if (one.environment, one.name.lower(), one.account, one.share) == wanted:
            return Part(Kind.DEFINITION, one.name, f"{within}/storages/{one.name}", group)
    return None


async def _with_elsewhere(
    ground: Ground, names: Names, tenants: list[Tenant] | None, definitions: tuple[StorageDefinition, ...] | None
) -> tuple[list[Tenant] | None, tuple[StorageDefinition, ...] | None]:
    """Both, with those of the environment of another group, where that is in another subscription."""
    at = Located.of(names.environment_elsewhere, ground.subscription, "")
    if at.subscription.lower() == ground.subscription.lower():
        return tenants, definitions
    async with Neighbours.open(ground.cloud.connection, at.subscription) as neighbours:
        more, there = await asyncio.gather(neighbours.definitions(names.environment_elsewhere), neighbours.tenants())
    return (
        None if tenants is None or there is None else [*tenants, *there],
        None if definitions is None or more is None else (*definitions, *more),
    )


async def _loggers(ground: Ground, logs: Part | None, environments: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """The ids of the environments that write to the workspace."""
    if logs is None:
        return ()
    body = await ground.manager.body(logs.id, LOGS_API_VERSION)
    customer = value_at(body or {}, "properties", "customerId")
    if environments is None:
        return None
    return tuple(one for one, writes_to in environments.items() if customer and writes_to == customer)


async def _private_endpoints(ground: Ground, account: Part | None) -> int:
    if account is None:
        return 0
    async with ground.cloud.storage(ground.subscription, ground.group) as storage:
        found = await storage.account(account.name)
    return found.private_endpoints if found is not None else 0


async def _nothing() -> list[str]:
    return []
