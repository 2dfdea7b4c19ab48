"""What runs behind the ports: every resource, share and app of one home folder."""

import os
from collections.abc import Callable
from datetime import timedelta

from aiohttp import web

from ai_toolkit.local_cloud.api_versions import check_api_version
from ai_toolkit.local_cloud.container_apps.app_resource import ContainerApps
from ai_toolkit.local_cloud.container_apps.environment_resource import (
    EnvironmentStorages,
    ManagedEnvironments,
)
from ai_toolkit.local_cloud.container_apps.host import AppHost
from ai_toolkit.local_cloud.container_apps.job_resource import Jobs
from ai_toolkit.local_cloud.container_apps.log_workspace_resource import Workspaces
from ai_toolkit.local_cloud.container_apps.replica_environment import ReplicaEnvironments
from ai_toolkit.local_cloud.container_apps.revision_routes import Revisions
from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.home import Address, HomeFolder
from ai_toolkit.local_cloud.core.state import ResourceStore
from ai_toolkit.local_cloud.faults.model import Faults
from ai_toolkit.local_cloud.files.account_resource import (
    FileServices,
    FileShares,
    StorageAccounts,
)
from ai_toolkit.local_cloud.files.service import FileService
from ai_toolkit.local_cloud.files.share_folder import ShareRecords, Shares
from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.quotas import Quotas
from ai_toolkit.local_cloud.resource_manager import subscriptions
from ai_toolkit.local_cloud.resource_manager.kept_resources import kept_types
from ai_toolkit.local_cloud.resource_manager.long_operations import Pace
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.operations import OF_THE_MANAGER, Operations
from ai_toolkit.local_cloud.resource_manager.providers import Providers
from ai_toolkit.local_cloud.resource_manager.resource_groups import ResourceGroups, ResourceGroupType
from ai_toolkit.local_cloud.resource_manager.resource_type import ResourceType
from ai_toolkit.local_cloud.resource_manager.resources import Resources
from ai_toolkit.local_cloud.resource_manager.routes import Routes, read_request
from ai_toolkit.local_cloud.resource_manager.vaults import Vaults, VaultSecrets
from ai_toolkit.local_cloud.template.deployment_routes import Deployments


class Services:
    """The Resource Manager and the file service, with the apps that they run."""

    def __init__(  # noqa: PLR0913  # the two stores, the folder and what the ports know
        self,
        home: HomeFolder,
        *,
        store: ResourceStore,
        side_data: SideData,
        faults: Faults,
        address: Address,
        issue_token: Callable[[timedelta], str],
        minute_seconds: float,
    ) -> None:
        self._operations = Operations(store, Pace(minute_seconds))
        shares = Shares(home.shares, side_data)
        accounts = StorageAccounts(store, shares, lambda: address.files)
        file_shares = FileShares(store, shares)
        environments = ManagedEnvironments(store, lambda: address.resource_manager)
        replica_environments = ReplicaEnvironments(home.replica_environments, os.environ)
        host = AppHost(home, store, shares, accounts.account_keys, replica_environments, faults)
        self._apps = ContainerApps(host, lambda: address.resource_manager, issue_token)
        types: tuple[ResourceType, ...] = (
            accounts,
            FileServices(store),
            file_shares,
            Workspaces(store),
            environments,
            EnvironmentStorages(store),
            self._apps,
            Jobs(store, lambda: address.resource_manager),
            ResourceGroupType(store),
            *kept_types(store),
            Vaults(store),
            VaultSecrets(store),
        )
        manager = self._manager = ResourceManager(store, self._operations, faults, types)
        groups = ResourceGroups(manager)
        self._deployments = Deployments(manager)
        self._resources = Resources(manager)
        self._files = FileService(
            shares,
            accounts.account_keys,
            ShareRecords(file_shares.quota_gib, file_shares.record, file_shares.forget),
            accounts.refusal,
        )
        self._routes = Routes()
        subscriptions.add_routes(self._routes)
        Providers(manager, faults).add_routes(self._routes)
        groups.add_routes(self._routes)
        self._deployments.add_routes(self._routes)
        Quotas(manager, environments, accounts, host).add_routes(self._routes)
        Revisions(manager, self._apps).add_routes(self._routes)
        for place in ("", "/providers/{namespace}/locations/{location}"):
            for words in (OF_THE_MANAGER, *(one.long for one in types if one.long is not None)):
                for word in (words.statuses, words.results):
                    path = f"/subscriptions/{{subscription}}{place}/{word}/{{operation}}"
                    self._routes.add("GET", path, self._operations.answer)

    def addresses(self) -> list[JsonObject]:
        """Where the apps are listened for now."""
        return self._apps.addresses()

    async def resume(self) -> None:
        """Continue with what an earlier process left."""
        self._deployments.fail_interrupted()
        await self._manager.resume()
        await self._apps.resume()

    async def close(self) -> None:
        """Cancel what runs, and end every replica."""
        await self._operations.close()
        await self._apps.close()

    async def answer_management(self, http: web.Request) -> web.StreamResponse:
        """The answer to a request to the Resource Manager; raises ArmError."""
        request = await read_request(http)
        if "api-version" in request.query:  # a log stream has none
            check_api_version(request.segments, request.api_version)
        found = self._routes.find(request.method, request.segments)
        if found is None:
            return await self._resources.answer(request)
        handler, names = found
        return await handler(request.with_names(names))

    async def answer_files(self, http: web.Request) -> web.StreamResponse:
        """The answer to any request to the Files port."""
        return await self._files.answer(http)
