"""The provisioned app as the management plane knows it: the only host that may hear the key.

`inference.config.json` comes with a folder, and a folder may come from anywhere.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ai_toolkit.azure.connect import Cloud, open_cloud, raise_if_taken
from ai_toolkit.endpoint.what_runs import advice_unreachable, unreachable
from ai_toolkit.errors import AppAtRest, EndpointForeign, ResourceMissing
from ai_toolkit.workspace.workspace import Target, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.container_apps import ContainerApps


@dataclass(frozen=True)
class OwnApp:
    """The provisioned app and its cloud, while `open_app` lasts.

    `target` is what the config file at `config_path` names; where that names no endpoint, it is the app's own,
    if there is one.
    """

    cloud: Cloud
    apps: "ContainerApps"
    app: "ContainerApp"
    target: Target
    config_path: "Path"

    @property
    def endpoint(self) -> str:
        """The endpoint's URL: the app's own host, or a custom domain that is bound to it.

        Raises AppAtRest for an app without ingress, EndpointForeign when the config file names another host than its
        own.
        """
        if not self.app.host:
            raise AppAtRest(unreachable(self.app), advice_unreachable())
        own = _url(self.cloud, self.app)
        if not is_own(self.target.endpoint, own, self.app.domains):
            raise EndpointForeign(self.config_path, self.target.endpoint, own)
        return self.target.endpoint

    async def key(self) -> str | None:
        """The endpoint's key, from the management plane; None when the app has none."""
        return await self.apps.key(self.app.name)


@asynccontextmanager
async def open_app(workspace: Workspace) -> AsyncIterator[OwnApp]:
    """The app that `inference.config.json` names; a local cloud that does not run is started. Writes nothing.

    An app of this computer is handed out only while its own ingress listens at its address: TLS, which proves that on
    Azure, is missing here, and neither a key nor a signed link may reach another process.

    Raises FileMissing, ValueImpossible, ResourceMissing, SignInNeeded, LocalCloudFailed.
    """
    target = workspace.named_target()
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        app = await apps.app(target.app)
        if target.local and app.host:
            await raise_if_taken(app.host)
        if not target.endpoint and app.host:
            target = replace(target, endpoint=_url(cloud, app))
        yield OwnApp(cloud, apps, app, target, workspace.target_path)


async def with_own_endpoint(own: OwnApp) -> OwnApp:
    """The same after its ingress was switched on: its own address, where the config file names another or none."""
    if not own.app.host:
        return own
    if own.target.local:
        await raise_if_taken(own.app.host)
    url = _url(own.cloud, own.app)
    if is_own(own.target.endpoint, url, own.app.domains):
        return own
    return replace(own, target=replace(own.target, endpoint=url))


async def own_endpoint(workspace: Workspace) -> tuple[str, str | None]:
    """The endpoint's URL, and its key if it has one. Raises EndpointForeign when the config file names another host."""
    async with open_app(workspace) as own:
        return own.endpoint, await own.key()


async def endpoint_key(workspace: Workspace) -> str:
    """The endpoint's key. Raises ResourceMissing where the app has none."""
    async with open_app(workspace) as own:
        found = await own.key()
    if found is None:
        raise ResourceMissing("key secret (api-key) of container app", own.target.app, own.target.resource_group)
    return found


def is_own(given: str, own: str, domains: Collection[str]) -> bool:
    """Whether a URL is the app's own, or differs from it by the host alone, which is a domain that is bound to it."""
    there, here = urlsplit(given), urlsplit(own)
    ports = [one.port or {"https": 443, "http": 80}.get(one.scheme) for one in (there, here)]
    hosts = {here.hostname, *domains}
    return there.scheme == here.scheme and ports[0] == ports[1] and there.hostname in hosts and not there.path


def _url(cloud: Cloud, app: "ContainerApp") -> str:
    return f"{cloud.endpoint_scheme}://{app.host}"
