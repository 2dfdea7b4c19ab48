"""What is in the resource group already, so that it is used and not made anew."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ai_toolkit.cloud import Cloud
from ai_toolkit.settle_parameters import DEFAULT, Settings

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ManagedEnvironment
    from ai_toolkit.azure.resource_manager import Resource
    from ai_toolkit.azure.storage import StorageAccount

SERVERLESS: Final = {"Consumption-GPU-NC24-A100": 80, "Consumption-GPU-NC8as-T4": 16}
"""The GPU profiles that Provision can add to an environment, and the GPU's memory in GB."""
_TYPE_NAMES: Final = {
    "Microsoft.Storage/storageAccounts": "storageAccountName",
    "Microsoft.OperationalInsights/workspaces": "acaLogAnalyticsName",
    "Microsoft.App/managedEnvironments": "acaEnvironmentName",
    "Microsoft.App/containerApps": "acaAppName",
}


@dataclass(frozen=True)
class Existing:
    """Which of the named resources are there; `key` is the endpoint's, `name_problem` why an account cannot be made."""

    account: "StorageAccount | None"
    name_problem: str
    file_share: bool
    log_analytics: bool
    environment: "ManagedEnvironment | None"
    environment_storage: bool
    app: bool
    app_environment: str
    """Id of the environment that the app lives in, which it cannot leave; empty without an app."""
    key: str | None

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


@dataclass(frozen=True)
class Profile:
    """The workload profile to run on; `missing` when an existing environment gets it first, by PATCH."""

    name: str
    type: str
    missing: bool


async def look_at_existing(
    cloud: Cloud, subscription: str, group: str, found: "list[Resource]", settings: Settings
) -> Existing:
    """Asks for every named resource at the same time. Raises ValueImpossible for a storage definition that is taken."""
    names = settings.names
    there = {(one.type, one.name) for one in found}
    has = {name: (kind.lower(), names[name].lower()) in there for kind, name in _TYPE_NAMES.items()}
    account_name, app_name = names["storageAccountName"], names["acaAppName"]
    async with (
        cloud.storage(subscription, group) as storage,
        cloud.container_apps(subscription, group) as apps,
        asyncio.TaskGroup() as tasks,
    ):
        if has["storageAccountName"]:
            account = tasks.create_task(storage.account(account_name))
            share = tasks.create_task(storage.has_share(account_name, names["fileShareName"]))
        else:
            problem = tasks.create_task(storage.name_problem(account_name))
        if has["acaEnvironmentName"]:
            environment = tasks.create_task(apps.environment(names["acaEnvironmentName"]))
        if has["acaAppName"]:
            app = tasks.create_task(apps.app(app_name))
            key = tasks.create_task(apps.key(app_name))
    where = environment.result() if has["acaEnvironmentName"] else None
    return Existing(
        account=account.result() if has["storageAccountName"] else None,
        name_problem="" if has["storageAccountName"] else problem.result(),
        file_share=has["storageAccountName"] and share.result(),
        log_analytics=has["acaLogAnalyticsName"],
        environment=where,
        environment_storage=where is not None and _has_definition(where, settings),
        app=has["acaAppName"],
        app_environment=app.result().environment_id if has["acaAppName"] else "",
        key=key.result() if has["acaAppName"] else None,
    )


def _has_definition(environment: "ManagedEnvironment", settings: Settings) -> bool:
    """Whether the environment has the named storage definition, and it names our share."""
    name = settings.value("acaEnvironmentStorageName")
    named = environment.storages.get(name)
    if named is not None and named != (settings.value("storageAccountName"), settings.value("fileShareName")):
        raise settings.given.wrong(
            "acaEnvironmentStorageName",
            f"{name} of {environment.name} names share {named[1]} of {named[0]} already; "
            "give another name, or that share",
        )
    return named is not None


def choose_profile(settings: Settings, environment: "ManagedEnvironment | None") -> Profile:
    """A profile of the wanted type that the environment has, else one to add.

    Raises ValueImpossible for a dedicated profile that it has not.
    """
    wanted = settings.by_name["workloadProfileType"]
    named = settings.by_name["workloadProfileName"]
    there: Mapping[str, str] = dict(environment.workload_profiles) if environment else {}
    if named.value in there and named.origin != DEFAULT:
        if wanted.origin != DEFAULT and there[named.value] != wanted.value:
            problem = f"{named.value} is a profile of type {there[named.value]}, not {wanted.value}"
            raise settings.given.wrong("workloadProfileName", problem)
        return Profile(named.value, there[named.value], missing=False)
    of_type = [name for name, kind in there.items() if kind == wanted.value]
    if of_type and named.origin == DEFAULT:
        return Profile(named.value if named.value in of_type else of_type[0], wanted.value, missing=False)
    if wanted.value not in SERVERLESS:
        listed = ", ".join(f"{name} ({kind})" for name, kind in there.items()) or "none"
        raise settings.given.wrong(
            "workloadProfileType",
            f"{wanted.value} is not serverless, so an existing environment must have it; its profiles: {listed}. "
            f"Serverless are {' and '.join(SERVERLESS)}",
        )
    name, number = named.value, 2
    while name in there:
        name, number = f"{named.value}{number}", number + 1
    return Profile(name, wanted.value, missing=environment is not None)
