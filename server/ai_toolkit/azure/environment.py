"""Which Azure: the public one, a sovereign one, or another Resource Manager such as Azure Stack Hub's.

| variable | meaning |
|---|---|
| `AZURE_SDK_CLOUD_CONF` | `AZURE_US_GOVERNMENT` or `AZURE_CHINA_CLOUD`, as the Azure SDKs read it |
| `AITK_RESOURCE_MANAGER` | URL of another Resource Manager, as `az cloud register --endpoint-resource-manager` takes \
it; its `/metadata/endpoints` says where to sign in |
| `AZURE_AUTHORITY_HOST` | where to sign in, instead of what the two above say |
"""

import os
from dataclasses import dataclass
from typing import Final

import aiohttp
from azure.core import AzureClouds
from azure.core.settings import settings
from azure.identity import AzureAuthorityHosts
from azure.mgmt.core.tools import get_arm_endpoints

from ai_toolkit.azure.network import certificates, raise_if_blocked, session
from ai_toolkit.errors import CloudUnreachable

_LIMIT: Final = aiohttp.ClientTimeout(total=30)
_SIGN_IN_AND_PORTAL: Final = {
    AzureClouds.AZURE_PUBLIC_CLOUD: (AzureAuthorityHosts.AZURE_PUBLIC_CLOUD, "https://portal.azure.com"),
    AzureClouds.AZURE_US_GOVERNMENT: (AzureAuthorityHosts.AZURE_GOVERNMENT, "https://portal.azure.us"),
    AzureClouds.AZURE_CHINA_CLOUD: (AzureAuthorityHosts.AZURE_CHINA, "https://portal.azure.cn"),
}


@dataclass(frozen=True)
class AzureEnvironment:
    """Addresses of one Azure; `certificates` is a PEM file of authorities for what signs in without `network`.

    `is_private` is true for a Resource Manager that is none of Microsoft's own.
    """

    resource_manager: str
    scope: str
    authority: str
    portal: str | None
    certificates: str | None
    is_private: bool = False


async def azure_environment() -> AzureEnvironment:
    """The Azure that the environment's variables name. Raises CloudUnreachable, NetworkProblem."""
    bundle = certificates()
    given_authority = os.environ.get("AZURE_AUTHORITY_HOST")
    other = os.environ.get("AITK_RESOURCE_MANAGER", "").rstrip("/")
    if other:
        audience, authority, portal = await _described(other)
        authority = given_authority or authority
        return AzureEnvironment(other, f"{audience}/.default", authority, portal, bundle, is_private=True)
    cloud = settings.azure_cloud()
    endpoints = get_arm_endpoints(cloud)
    authority, portal = _SIGN_IN_AND_PORTAL[cloud]
    base, scope = endpoints["resource_manager"].rstrip("/"), endpoints["credential_scopes"][0]
    return AzureEnvironment(base, scope, given_authority or authority, portal, bundle)


async def _described(url: str) -> tuple[str, str, str | None]:
    """Audience, authority and portal, as a Resource Manager describes itself.

    Source: https://learn.microsoft.com/azure-stack/user/azure-stack-version-profiles-azurecli2
    """
    try:
        async with (
            session(url, timeout=_LIMIT) as asked,
            asked.get(f"{url}/metadata/endpoints", params={"api-version": "2022-09-01"}) as answer,
        ):
            answer.raise_for_status()
            found = await answer.json()
            sign_in = found["authentication"]
            return sign_in["audiences"][0].rstrip("/"), sign_in["loginEndpoint"].rstrip("/"), found.get("portal")
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        raise_if_blocked(error, url, offline=True)
        reason = f"it does not describe itself at /metadata/endpoints ({error or type(error).__name__})"
        raise CloudUnreachable(f"{url} (AITK_RESOURCE_MANAGER)", reason) from error
