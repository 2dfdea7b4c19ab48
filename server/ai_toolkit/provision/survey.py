"""What is in the resource group already, so that it is used and not made anew."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ai_toolkit.azure.connect import Cloud
from ai_toolkit.azure.container_apps import ManagedEnvironment
from ai_toolkit.azure.deployments import Deployment
from ai_toolkit.azure.fine_tuning_job import FineTuningJob, fine_tuning_job
from ai_toolkit.azure.resource_manager import Resource
from ai_toolkit.azure.storage import StorageAccount
from ai_toolkit.azure.subscription_state import Provider
from ai_toolkit.provision.request import Site, Wanted
from ai_toolkit.provision.settings import Settings
from ai_toolkit.workspace.elsewhere import TYPES

PREFIX: Final = "ai-toolkit-inference-"
"""What the names of our deployments begin with."""
NEEDED_ACTIONS: Final = (
    "Microsoft.Resources/deployments/write",
    "Microsoft.App/containerApps/write",
    "Microsoft.App/managedEnvironments/write",
    "Microsoft.Storage/storageAccounts/listKeys/action",
)
_TYPE_NAMES: Final = {
    "Microsoft.Storage/storageAccounts": "storageAccountName",
    "Microsoft.OperationalInsights/workspaces": "acaLogAnalyticsName",
    "Microsoft.App/managedEnvironments": "acaEnvironmentName",
    "Microsoft.App/containerApps": "acaAppName",
}


@dataclass(frozen=True)
class Found:
    """What was there at the first look; `job` is the live fine-tuning job's name with its resources."""

    resources: list[Resource]
    history: list[Deployment]
    providers: tuple[Provider, ...]
    forbidden: list[str] | None
    job: tuple[str, FineTuningJob | None]

    @property
    def active(self) -> Deployment | None:
        """A deployment of ours that runs now."""
        return next((one for one in self.history if one.active), None)

    def made(self, group_id: str) -> frozenset[str]:
        """The ids, in lower case, of what our deployments found missing and made."""
        return frozenset(path for one in self.history for path in made_by(one, group_id))

    @property
    def unregistered(self) -> list[str]:
        return [one.namespace for one in self.providers if not one.registered]


def made_by(deployment: Deployment, group_id: str) -> frozenset[str]:
    """The ids, in lower case, of what a deployment found missing; in another group that is told by a whole id."""
    prefix = f"{group_id}/providers/".lower()
    return frozenset(path if path.startswith("/") else f"{prefix}{path}" for path in deployment.creates or ())


async def look(site: Site, wanted: Wanted) -> Found:
    """Asks everything that needs no other answer first, at the same time."""
    place, fine_tuning = site.place, wanted.fine_tuning
    here = not fine_tuning.elsewhere(place.subscription, place.resource_group)
    async with asyncio.TaskGroup() as tasks:
        resources = tasks.create_task(site.manager.resources(place.resource_group))
        history = tasks.create_task(site.deployments.history(PREFIX))
        providers = [tasks.create_task(site.state.provider(one)) for one in wanted.template.namespaces]
        forbidden = tasks.create_task(site.state.forbidden(place.resource_group, NEEDED_ACTIONS))
        if fine_tuning.job and here:
            job = tasks.create_task(
                fine_tuning_job(site.cloud.connection, place.subscription, place.resource_group, fine_tuning.job)
            )
    return Found(
        resources.result(),
        history.result(),
        tuple(one.result() for one in providers),
        forbidden.result(),
        (fine_tuning.job or "", job.result() if fine_tuning.job and here else None),
    )


@dataclass(frozen=True)
class Existing:
    """Which of the named resources are there; `key` is the endpoint's, `name_problem` why an account cannot be made."""

    account: StorageAccount | None
    name_problem: str
    file_share: bool
    log_analytics: bool
    environment: ManagedEnvironment | None
    environment_id: str
    environment_elsewhere: bool
    """Whether it is named by its id and lies in another resource group: the template makes nothing there."""
    environment_storage: bool
    app: bool
    domains: tuple[str, ...]
    """The custom domains that are bound to the app."""
    app_environment: str
    """Id of the environment that the app lives in, which it cannot leave; empty without an app."""
    app_elsewhere: str
    """The resource group of that environment where it is another one; else empty."""
    key: str | None

    @property
    def definition_to_put(self) -> bool:
        """Whether an environment of another group lacks the storage definition, which only Provision makes there."""
        return self.environment_elsewhere and not self.environment_storage

    @property
    def complete(self) -> bool:
        """Whether everything that the endpoint needs is there."""
        return self.file_share and self.environment_storage and self.app

    def to_create(self) -> dict[str, bool]:
        """The switches of our template: only what is missing is made."""
        return {
            "createStorageAccount": self.account is None,
            "createFileShare": not self.file_share,
            "createLogAnalytics": not self.log_analytics and self.environment is None,
            "createEnvironment": self.environment is None,
            "createEnvironmentStorage": not self.environment_storage,
        }


async def look_at_existing(cloud: Cloud, subscription: str, group: str, looked: Found, settings: Settings) -> Existing:
    """Asks for every named resource at the same time.

    Raises ValueImpossible for a storage definition that is taken, unless we made it, and for an id of what does not
    exist.
    """
    found = looked.resources
    names = settings.names
    there = {(one.type, one.name) for one in found}
    has = {name: (kind.lower(), names[name].lower()) in there for kind, name in _TYPE_NAMES.items()}
    outside = {
        name: located
        for name in TYPES
        if not (located := settings.located(name, subscription, group)).is_in(subscription, group)
    }
    has |= dict.fromkeys(outside, True)
    account_at = settings.located("storageAccountName", subscription, group)
    environment_at = settings.located("acaEnvironmentName", subscription, group)
    account_name, app_name = account_at.name, names["acaAppName"]
    async with (
        cloud.storage(account_at.subscription, account_at.group) as storage,
        cloud.container_apps(subscription, group) as apps,
        cloud.container_apps(environment_at.subscription, environment_at.group) as beside,
        asyncio.TaskGroup() as tasks,
    ):
        if has["storageAccountName"]:
            account = tasks.create_task(storage.account(account_name))
            share = tasks.create_task(storage.has_share(account_name, names["fileShareName"]))
        else:
            problem = tasks.create_task(storage.name_problem(account_name))
        if has["acaEnvironmentName"]:
            environment = tasks.create_task(beside.environment(environment_at.name))
        if has["acaAppName"]:
            app = tasks.create_task(apps.app(app_name))
            key = tasks.create_task(apps.key(app_name))
    where = environment.result() if has["acaEnvironmentName"] else None
    missing = {
        "storageAccountName": has["storageAccountName"] and not (account.result() and share.result()),
        "acaEnvironmentName": where is None,
    }
    for name, located in outside.items():
        if missing[name]:
            what = "account with this share" if name == "storageAccountName" else "environment"
            told = f"there is no such {what} in the resource group {located.group}, and none is made there"
            raise settings.given.wrong(name, told)
    made = looked.made(f"/subscriptions/{subscription}/resourceGroups/{group}")
    return Existing(
        account=account.result() if has["storageAccountName"] else None,
        name_problem="" if has["storageAccountName"] else problem.result(),
        file_share=has["storageAccountName"] and share.result(),
        log_analytics=has["acaLogAnalyticsName"],
        environment=where,
        environment_id=environment_at.id_of(TYPES["acaEnvironmentName"]),
        environment_elsewhere="acaEnvironmentName" in outside,
        environment_storage=where is not None
        and _has_definition(where, account_name, settings, environment_at.id_of(TYPES["acaEnvironmentName"]), made),
        app=has["acaAppName"],
        domains=app.result().domains if has["acaAppName"] else (),
        app_environment=app.result().environment_id if has["acaAppName"] else "",
        app_elsewhere=_group_elsewhere(app.result().environment_id, group) if has["acaAppName"] else "",
        key=key.result() if has["acaAppName"] else None,
    )


def _group_elsewhere(resource_id: str, group: str) -> str:
    """The group that the id names, where it is not that one."""
    parts = resource_id.split("/")
    there = parts[4] if len(parts) > 4 else group  # noqa: PLR2004  (/subscriptions/{s}/resourceGroups/{g}/…)
    return there if there.lower() != group.lower() else ""


def _has_definition(
    environment: ManagedEnvironment, account: str, settings: Settings, environment_id: str, made: Collection[str]
) -> bool:
    """Whether the environment has the named storage definition, and it names our share, or did when we made it."""
    name = settings.value("acaEnvironmentStorageName")
    named = environment.storages.get(name)
    is_other = named is not None and named != (account, settings.value("fileShareName"))
    if named is not None and is_other and f"{environment_id}/storages/{name}".lower() not in made:
        raise settings.given.wrong(
            "acaEnvironmentStorageName",
            f"{name} of {environment.name} is used for the share {named[1]} of {named[0]} already; "
            "give another name, or that share",
        )
    return named is not None
