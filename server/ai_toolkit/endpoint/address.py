"""The endpoint as the management plane knows it: the only host that may hear the key.

`inference.config.json` comes with a folder, and a folder may come from anywhere.
"""

from dataclasses import replace
from urllib.parse import urlsplit

from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.errors import EndpointForeign, ResourceMissing
from ai_toolkit.workspace.workspace import Target, Workspace


async def own_endpoint(workspace: Workspace) -> tuple[str, str | None]:
    """The endpoint's URL, and its key if it has one. Raises EndpointForeign when the config file names another host."""
    target = workspace.target()
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        app = await apps.app(target.app)
        check_own(workspace, target, f"{cloud.endpoint_scheme}://{app.host}")
        return target.endpoint, await apps.key(target.app)


async def whole_target(workspace: Workspace) -> Target:
    """The provisioned target, with the endpoint looked up where `inference.config.json` lacks it; writes nothing."""
    incomplete = workspace.target_without_endpoint()
    if incomplete is None:
        return workspace.target()
    async with (
        open_cloud(incomplete.subscription) as cloud,
        cloud.container_apps(incomplete.subscription, incomplete.resource_group) as apps,
    ):
        app = await apps.app(incomplete.app)
        return replace(incomplete, endpoint=f"{cloud.endpoint_scheme}://{app.host}")


def check_own(workspace: Workspace, target: Target, own: str) -> None:
    """Raises EndpointForeign when the target's endpoint, from `inference.config.json`, is not the app's own."""
    given, expected = urlsplit(target.endpoint), urlsplit(own)
    if (given.scheme, given.netloc.lower()) != (expected.scheme, expected.netloc.lower()):
        raise EndpointForeign(workspace.target_path, target.endpoint, own)


async def endpoint_key(workspace: Workspace) -> str:
    """The endpoint's key, from the management plane. Raises ResourceMissing."""
    target = workspace.target()
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        found = await apps.key(target.app)
    if found is None:
        raise ResourceMissing("key secret (api-key) of container app", target.app, target.resource_group)
    return found
