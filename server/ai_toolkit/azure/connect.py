"""Which cloud a subscription means, Azure or this computer, and how its services are reached."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ai_toolkit.azure.sign_in_choice import SIGN_IN
from ai_toolkit.errors import LocalCloudFailed
from ai_toolkit.local_cloud import control
from ai_toolkit.two_faces import Do, to
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Target

if TYPE_CHECKING:
    from ai_toolkit.azure.connection import Connection
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.azure.file_share import FileShare
    from ai_toolkit.azure.resource_manager import ResourceManager
    from ai_toolkit.azure.sign_in import AzureCredential
    from ai_toolkit.azure.storage import Storage

LOCAL_RESOURCE_GROUP: Final = "ai-toolkit-local"
LOCAL_LOCATION: Final = "westus3"


@dataclass(frozen=True)
class Cloud:
    """A cloud that answers; opens the adapters of `azure/` on it. The local cloud has no `account`."""

    connection: "Connection"
    endpoint_scheme: str
    portal: str | None
    account: "AzureCredential | None" = None

    def in_tenant(self, tenant: str) -> "Cloud":
        """The same cloud as the account sees it in that tenant; this one must stay open."""
        if self.account is None:
            return self
        account = self.account.in_tenant(tenant)
        return replace(self, connection=replace(self.connection, credential=account), account=account)

    @asynccontextmanager
    async def resource_manager(self, subscription: str) -> "AsyncIterator[ResourceManager]":
        from ai_toolkit.azure.resource_manager import ResourceManager  # noqa: PLC0415  (0.4 s, when first used)

        async with ResourceManager.open(self.connection, subscription) as opened:
            yield opened

    @asynccontextmanager
    async def container_apps(self, subscription: str, group: str) -> "AsyncIterator[ContainerApps]":
        from ai_toolkit.azure.container_apps import ContainerApps  # noqa: PLC0415  (0.7 s, when first used)

        async with ContainerApps.open(self.connection, subscription, group) as opened:
            yield opened

    @asynccontextmanager
    async def storage(self, subscription: str, group: str) -> "AsyncIterator[Storage]":
        from ai_toolkit.azure.storage import Storage  # noqa: PLC0415  (0.3 s, when first used)

        async with Storage.open(self.connection, subscription, group) as opened:
            yield opened

    @asynccontextmanager
    async def file_share(self, target: Target) -> "AsyncIterator[FileShare]":
        """The target's file share, by its account key. Raises ResourceMissing."""
        from ai_toolkit.azure.file_share import FileShare  # noqa: PLC0415  (0.3 s, when first used)

        async with AsyncExitStack() as stack:
            account = target.account
            storage = await stack.enter_async_context(self.storage(account.subscription, account.group))
            endpoint = await storage.file_endpoint(account.name)
            key = await storage.key(account.name)
            share = await stack.enter_async_context(FileShare.open(endpoint, account.name, key, target.file_share))
            yield share


@asynccontextmanager
async def open_cloud(subscription: str | None) -> AsyncIterator[Cloud]:
    """The cloud of the subscription (None means Azure); the local cloud is started when it is not running.

    Azure is reached as `sign_in_choice.SIGN_IN` says. Raises SignInNeeded, CloudUnreachable, NetworkProblem.
    """
    if subscription == LOCAL_SUBSCRIPTION:
        yield await _local_cloud()
        return
    from ai_toolkit.azure.connection import Connection  # noqa: PLC0415  (azure.core, when first used)
    from ai_toolkit.azure.environment import azure_environment  # noqa: PLC0415
    from ai_toolkit.azure.network import LOOPBACK  # noqa: PLC0415  (aiohttp)
    from ai_toolkit.azure.sign_in import azure_credential  # noqa: PLC0415  (azure.identity, when first used)

    sign_in = SIGN_IN.get()
    environment = await azure_environment()
    async with azure_credential(environment, await sign_in.credential(), sign_in.editor) as account:
        connection = Connection(environment.resource_manager, account, environment.scope)
        here = urlsplit(environment.resource_manager).hostname in LOOPBACK  # its apps have no TLS
        yield Cloud(connection, "http" if here else "https", environment.portal, account)


async def _local_cloud() -> Cloud:
    from ai_toolkit.azure.connection import Connection  # noqa: PLC0415  (azure.core, when first used)
    from ai_toolkit.azure.credential import LocalCredential  # noqa: PLC0415

    try:
        running = await control.start(control.home())
        token = running.token_file.read_text(encoding="utf-8").strip()
    except control.LocalCloudError as error:
        raise LocalCloudFailed(error.message, error.advice) from error
    if running.resource_manager is None:
        raise LocalCloudFailed("The local cloud did not start.", f"{to(Do.RESET_LOCAL_CLOUD)} starts it anew, empty.")
    connection = Connection(running.resource_manager, LocalCredential(token), "local/.default")
    return Cloud(connection, endpoint_scheme="http", portal=None)


async def raise_if_taken(host: str) -> None:
    """Raises LocalCloudFailed unless it is the local cloud that listens at a `127.0.0.1:PORT` of its own."""
    port = int(host.rpartition(":")[2])
    if port not in {app.port for app in (await control.status(control.home())).apps}:
        raise LocalCloudFailed(
            f"Another process on this computer listens on port {port}, the endpoint's. Nothing was sent there.",
            "End that process; the local cloud listens again by itself, a moment later.",
        )


def raise_if_impossible() -> None:
    """Raises LocalCloudFailed on a system that has no local cloud, before anything is downloaded for one."""
    try:
        control.raise_if_impossible()
    except control.LocalCloudError as error:
        raise LocalCloudFailed(error.message, error.advice) from error


async def raise_if_stopped(target: Target) -> None:
    """Raises LocalCloudFailed when the target is on this computer and the local cloud does not run."""
    if target.local:
        raise_if_impossible()
        if not (await control.status(control.home())).running:
            raise LocalCloudFailed("The local cloud is stopped.", f"To start it: {to(Do.START_LOCAL_CLOUD)}.")
