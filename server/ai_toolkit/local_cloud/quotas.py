"""Usages, workload profiles and other things to read about Container Apps, over HTTP."""

from aiohttp import web

from ai_toolkit.local_cloud.container_apps.environment_resource import (
    ManagedEnvironments,
    available_profile_types,
    environment_usages,
    region_usages,
)
from ai_toolkit.local_cloud.container_apps.host import AppHost
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.state import StoredResource
from ai_toolkit.local_cloud.files.account_resource import StorageAccounts
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes
from ai_toolkit.local_cloud.resource_manager.subscriptions import (
    check_location,
    check_subscription,
    normal_location,
)

ACCOUNTS_PER_REGION = 250


class Quotas:
    """Answers what a preflight asks before anything is billed."""

    def __init__(
        self,
        manager: ResourceManager,
        environments: ManagedEnvironments,
        accounts: StorageAccounts,
        host: AppHost,
    ) -> None:
        self._manager = manager
        self._environments = environments
        self._accounts = accounts
        self._host = host

    def add_routes(self, routes: Routes) -> None:
        """Add the routes."""
        location = "/subscriptions/{subscription}/providers/Microsoft.App/locations/{location}"
        group = "/subscriptions/{subscription}/resourcegroups/{group}"
        environment = f"{group}/providers/Microsoft.App/managedEnvironments/{{environment}}"
        routes.add("GET", f"{location}/usages", self._location_usages)
        routes.add("GET", f"{location}/availableManagedEnvironmentsWorkloadProfileTypes", self._profile_types)
        routes.add("GET", f"{environment}/usages", self._environment_usages)
        routes.add("GET", f"{environment}/workloadProfileStates", self._profile_states)
        storage = "/subscriptions/{subscription}/providers/Microsoft.Storage/locations/{location}"
        routes.add("GET", f"{storage}/usages", self._storage_usages)
        routes.add(
            "POST",
            "/subscriptions/{subscription}/providers/Microsoft.Storage/checkNameAvailability",
            self._check_name,
        )

    async def _location_usages(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        check_location(request.names["location"])
        if self._host.faults.has_no_usages:
            return web.json_response({"value": []})
        return web.json_response(
            {
                "value": region_usages(
                    len(self._manager.list("", "Microsoft.App/managedEnvironments")),
                    self._host.gpus_in_use(),
                    self._host.gpu_limit,
                )
            }
        )

    async def _storage_usages(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        check_location(request.names["location"])
        here = normal_location(request.names["location"])
        accounts = self._manager.list(f"/subscriptions/{request.names['subscription']}", self._accounts.name)
        used = sum(normal_location(str(one["location"])) == here for one in accounts)
        name = {"value": "StorageAccounts", "localizedValue": "Storage Accounts"}
        counted = {"unit": "Count", "currentValue": used, "limit": ACCOUNTS_PER_REGION, "name": name}
        return web.json_response({"value": [counted]})

    async def _profile_types(self, request: ArmRequest) -> web.Response:
        names = request.names
        check_subscription(names["subscription"])
        check_location(names["location"])
        return web.json_response({"value": available_profile_types(names["subscription"], names["location"])})

    async def _environment_usages(self, request: ArmRequest) -> web.Response:
        environment = self._environment(request)
        return web.json_response(
            {"value": environment_usages(self._host.gpus_in_use(environment.id.key), self._host.gpu_limit)}
        )

    async def _profile_states(self, request: ArmRequest) -> web.Response:
        environment = self._environment(request)
        in_use = self._host.gpus_in_use(environment.id.key)
        states = self._environments.workload_profile_states(environment, in_use)
        return web.json_response({"value": states})

    async def _check_name(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        name = str(request.require_body().get("name"))
        if not self._accounts.name_pattern.fullmatch(name):
            message = f"{name} is not a valid storage account name: {self._accounts.name_rule}."
            return web.json_response({"nameAvailable": False, "reason": "AccountNameInvalid", "message": message})
        if self._accounts.find(name) is not None:
            message = f"The storage account named {name} is already taken."
            return web.json_response({"nameAvailable": False, "reason": "AlreadyExists", "message": message})
        return web.json_response({"nameAvailable": True})

    def _environment(self, request: ArmRequest) -> StoredResource:
        names = request.names
        identifier = ResourceId(
            names["subscription"],
            names["group"],
            "Microsoft.App",
            ("managedEnvironments",),
            (names["environment"],),
        )
        return self._manager.require(identifier)
