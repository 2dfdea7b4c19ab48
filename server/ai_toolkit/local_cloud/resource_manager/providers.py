"""Resource providers and whether the subscription has registered them; what the caller may do in a group."""

from collections.abc import Sequence

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.faults.model import Faults
from ai_toolkit.local_cloud.resource_manager.manager import ResourceManager
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes
from ai_toolkit.local_cloud.resource_manager.subscriptions import LOCATIONS, check_subscription
from ai_toolkit.local_cloud.resource_manager.write_checks import unregistered

PROVIDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "Microsoft.App": {
        "managedEnvironments": ("2025-07-01", "2025-01-01", "2024-03-01"),
        "containerApps": ("2025-07-01", "2025-01-01", "2024-03-01"),
        "jobs": ("2025-07-01", "2025-01-01", "2024-03-01"),
        "locations": ("2025-07-01", "2025-01-01", "2024-03-01"),
        "operations": ("2025-07-01", "2025-01-01", "2024-03-01"),
    },
    "Microsoft.Storage": {"storageAccounts": ("2025-08-01", "2025-01-01", "2023-05-01")},
    "Microsoft.OperationalInsights": {"workspaces": ("2025-07-01", "2025-02-01", "2023-09-01")},
    "Microsoft.Authorization": {
        "roleAssignments": ("2022-04-01", "2020-04-01-preview"),
        "locks": ("2020-05-01", "2016-09-01"),
    },
    "Microsoft.ContainerRegistry": {"registries": ("2025-04-01", "2023-07-01")},
    "Microsoft.Insights": {"diagnosticSettings": ("2021-05-01-preview",)},
    "Microsoft.KeyVault": {"vaults": ("2024-11-01", "2023-07-01"), "vaults/secrets": ("2024-11-01", "2023-07-01")},
    "Microsoft.ManagedIdentity": {"userAssignedIdentities": ("2024-11-30", "2023-01-31")},
    "Microsoft.Resources": {
        "resourceGroups": ("2025-04-01", "2022-09-01"),
        "deployments": ("2025-04-01", "2022-09-01"),
        "subscriptions": ("2022-12-01",),
        "tenants": ("2022-12-01",),
    },
}
ALWAYS_REGISTERED = frozenset({"microsoft.resources"})


class Providers:
    """Shows, registers and unregisters resource providers; tells the caller's permissions."""

    def __init__(self, manager: ResourceManager, faults: Faults) -> None:
        self._manager = manager
        self._faults = faults

    def add_routes(self, routes: Routes) -> None:
        """Add the routes."""
        one = "/subscriptions/{subscription}/providers/{namespace}"
        group = "/subscriptions/{subscription}/resourcegroups/{group}"
        routes.add("GET", "/subscriptions/{subscription}/providers", self._all)
        routes.add("GET", one, self._one)
        routes.add("POST", f"{one}/register", self._register)
        routes.add("POST", f"{one}/unregister", self._unregister)
        routes.add("GET", f"{group}/providers/Microsoft.Authorization/permissions", self._permissions)

    async def _all(self, request: ArmRequest) -> web.Response:
        check_subscription(request.names["subscription"])
        return web.json_response({"value": [self._document(request, namespace) for namespace in PROVIDERS]})

    async def _one(self, request: ArmRequest) -> web.Response:
        return web.json_response(self._document(request, _namespace(request)))

    async def _register(self, request: ArmRequest) -> web.Response:
        namespace = _namespace(request)
        self._manager.store.delete(unregistered(request.names["subscription"], namespace))
        return web.json_response(self._document(request, namespace))

    async def _unregister(self, request: ArmRequest) -> web.Response:
        namespace = _namespace(request)
        if namespace.lower() in ALWAYS_REGISTERED:
            raise ArmError("UnregisterResourceProviderNotAllowed", f"'{namespace}' cannot be unregistered.", status=409)
        self._manager.store.put(unregistered(request.names["subscription"], namespace), {})
        return web.json_response(self._document(request, namespace))

    async def _permissions(self, request: ArmRequest) -> web.Response:
        names = request.names
        check_subscription(names["subscription"])
        self._manager.require_group(ResourceId(names["subscription"], names["group"]))
        actions = ["*/read"] if self._faults.is_read_only else ["*"]
        granted = {"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}
        return web.json_response({"value": [granted]})

    def _document(self, request: ArmRequest, namespace: str) -> JsonObject:
        displays = [display for display, *_rest in LOCATIONS.values()]
        registered = self._manager.store.get(unregistered(request.names["subscription"], namespace)) is None
        return {
            "id": f"/subscriptions/{request.names['subscription']}/providers/{namespace}",
            "namespace": namespace,
            "registrationState": "Registered" if registered else "NotRegistered",
            "registrationPolicy": "RegistrationRequired",
            "resourceTypes": [
                {
                    "resourceType": resource_type,
                    "locations": displays,
                    "apiVersions": list(self._versions(namespace, resource_type, versions)),
                    "defaultApiVersion": versions[0],
                    "capabilities": "CrossResourceGroupResourceMove, SupportsTags, SupportsLocation",
                }
                for resource_type, versions in PROVIDERS[namespace].items()
            ],
        }

    def _versions(self, namespace: str, resource_type: str, some: Sequence[str]) -> Sequence[str]:
        """Every version that is known for the type, the newest first; else those that are listed here."""
        found = self._manager.find_type(f"{namespace}/{resource_type}")
        return sorted(found.api_versions, reverse=True) if found is not None and found.api_versions else some


def _namespace(request: ArmRequest) -> str:
    check_subscription(request.names["subscription"])
    wanted = request.names["namespace"].lower()
    for namespace in PROVIDERS:
        if namespace.lower() == wanted:
            return namespace
    raise ArmError(
        "InvalidResourceNamespace",
        f"The resource namespace '{request.names['namespace']}' is invalid.",
        status=404,
    )
