"""A local cloud of its own for each test module, and the real Azure SDKs pointed at it."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient
from azure.mgmt.storage.aio import StorageManagementClient
from azure.storage.fileshare.aio import ShareServiceClient
from tests.support.local_cloud import WEB_APP
from tests.support.local_cloud.plans import plan_of

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.faults import FaultInjection

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
LIMIT_SECONDS = 60.0


class TokenFileCredential:
    """Hands out the token of the token file."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass


class LoopbackBearerPolicy(AsyncBearerTokenCredentialPolicy):
    """The SDK's own policy, which sends tokens over plain http to this computer only."""

    async def on_request(self, request: Any) -> None:
        request.context.options["enforce_https"] = False
        await super().on_request(request)


@dataclass
class Clients:
    """Every SDK client that the product uses."""

    status: control.LocalCloudStatus
    apps: ContainerAppsAPIClient
    resources: ResourceManagementClient
    subscriptions: SubscriptionClient
    deployments: DeploymentsMgmtClient
    storage: StorageManagementClient

    @property
    def token(self) -> str:
        return self.status.token_file.read_text().strip()

    async def raw(self, path: str, api_version: str, method: str = "GET") -> Any:
        """An answer's JSON as it came over the wire, with nothing that an SDK's models add or drop."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.status.resource_manager}{path}?api-version={api_version}"
        async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def share_service(self, account: str, key: str, **options: Any) -> ShareServiceClient:
        return ShareServiceClient(
            f"{self.status.files}/{account}", credential=AzureNamedKeyCredential(account, key), **options
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.LocalCloudStatus]:
    """A running local cloud in a folder of its own."""
    home = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_REPLICA_PYTHON", __import__("sys").executable)
        yield asyncio.run(control.start(home))
    asyncio.run(control.stop(home))


@pytest.fixture
async def clients(cloud: control.LocalCloudStatus) -> AsyncIterator[Clients]:
    """The SDKs' async clients for the running cloud."""
    token = cloud.token_file.read_text().strip()
    credential = TokenFileCredential(token)
    scope = f"{cloud.resource_manager}/.default"

    def options() -> dict[str, Any]:
        return {
            "base_url": cloud.resource_manager,
            "credential_scopes": [scope],
            "authentication_policy": LoopbackBearerPolicy(credential, scope),
        }

    async with AsyncExitStack() as stack:
        yield Clients(
            cloud,
            await stack.enter_async_context(
                ContainerAppsAPIClient(credential, SUBSCRIPTION, api_version="2025-07-01", **options())
            ),
            await stack.enter_async_context(ResourceManagementClient(credential, SUBSCRIPTION, **options())),
            await stack.enter_async_context(SubscriptionClient(credential, **options())),
            await stack.enter_async_context(DeploymentsMgmtClient(credential, SUBSCRIPTION, **options())),
            await stack.enter_async_context(
                StorageManagementClient(credential, SUBSCRIPTION, api_version="2025-08-01", **options())
            ),
        )


@pytest.fixture
def faults(clients: Clients) -> Iterator[FaultInjection]:
    """Makes the running cloud misbehave; all of it ends with the test."""
    with FaultInjection(clients.status.home) as injection:
        yield injection


@pytest.fixture
def until() -> Any:
    """Waits until a condition, of this or of another process, holds; fails after a limit."""

    async def wait(condition: Any, limit_seconds: float = 30) -> Any:
        async with asyncio.timeout(limit_seconds):
            while not (found := await condition()):  # noqa: ASYNC110  # other processes send no event
                await asyncio.sleep(0.05)
        return found

    return wait


@pytest.fixture
async def group(clients: Clients, request: pytest.FixtureRequest) -> str:
    """A resource group named after the test."""
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    await clients.resources.resource_groups.create_or_update(name, {"location": "westus3"})
    return name


@pytest.fixture
def template() -> dict[str, Any]:
    """A small template of the product's kind, as Bicep compiles it."""
    return json.loads((Path(__file__).parent / "template.json").read_text())


def parameter_values(**values: Any) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}


@dataclass(frozen=True)
class Deployed:
    """What the test template made."""

    group: str
    account: str
    environment: str
    app: str
    endpoint: str
    properties: dict[str, Any]


@pytest.fixture
def cloud_group(group: str) -> str:
    return group


@pytest.fixture
async def deploy(clients: Clients, group: str, template: dict[str, Any]) -> Any:
    """Deploys the test template with given parameter values; the account's share holds the web app."""

    async def run(name: str = "first", **values: Any) -> Deployed:
        values.setdefault("script", f"exec python3 {WEB_APP}")
        values.setdefault("apiKey", "the-key")
        properties = {"mode": "Incremental", "template": template, "parameters": parameter_values(**values)}
        poller = await clients.deployments.deployments.begin_create_or_update(group, name, {"properties": properties})
        result = await poller.result()
        outputs = {key: value["value"] for key, value in result.properties.outputs.items()}
        return Deployed(
            group,
            outputs["STORAGE_ACCOUNT_NAME"],
            outputs["ACA_APP_NAME"].replace("aiacaapp", "aienv"),
            outputs["ACA_APP_NAME"],
            outputs["ACA_APP_ENDPOINT"],
            properties,
        )

    yield run
    await (await clients.resources.resource_groups.begin_delete(group)).result()


@pytest.fixture
async def deployed(deploy: Any) -> Deployed:
    """The test template, deployed."""
    return await deploy()


@pytest.fixture
async def account(clients, group):
    """The name and key of a storage account of the test's own."""
    name = "files" + hashlib.sha256(group.encode()).hexdigest()[:12]
    poller = await clients.storage.storage_accounts.begin_create(
        group, name, {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    )
    await poller.result()
    keys = await clients.storage.storage_accounts.list_keys(group, name)
    return name, keys["keys"][0]["value"]


@pytest.fixture
async def share(clients, account):
    """A share of that account, as the SDK's client."""
    async with clients.share_service(*account) as service, service.get_share_client("models") as client:
        await client.create_share()
        yield client


@pytest.fixture
def folder(clients, account):
    return clients.status.home / "shares" / account[0] / "models"


@pytest.fixture
def template_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Type and evaluated body of each resource that the product's own template would put."""
    path = Path(__file__).parents[2] / "infra" / "provision" / "inference.json"
    group = {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ai-toolkit-local",
        "name": "ai-toolkit-local",
        "location": "westus3",
    }
    plan = plan_of(json.loads(path.read_text()), {}, group, "contract")
    return [
        (
            one.id.type,
            {"name": one.id.name, **one.known_body()},
        )
        for one in plan.resources
        if not one.existing
    ]
