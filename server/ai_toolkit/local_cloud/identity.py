"""The endpoints that a client signs in with: tenant discovery, tokens, and what this cloud is.

They are what the Azure CLI asks before it has a token, so they are public; a token is given only to who
knows the local cloud's own, as the secret of whatever service principal.
"""

import hmac
from collections.abc import Callable
from datetime import timedelta

from aiohttp import web

from ai_toolkit.local_cloud.arm_error import JsonObject
from ai_toolkit.local_cloud.resource_manager.resource_id import TENANT

TOKEN_LIFE = timedelta(hours=1)
PUBLIC_ENDS = ("/.well-known/openid-configuration", "/oauth2/v2.0/token", "/oauth2/token")


def is_public(request: web.Request) -> bool:
    """Whether a request is answered without a token."""
    return request.path in {"/metadata/endpoints", "/common/discovery/instance"} or request.path.endswith(PUBLIC_ENDS)


def add_routes(
    router: web.UrlDispatcher, own_token: Callable[[], str], issue_token: Callable[[timedelta], str]
) -> None:
    """Add sign-in: whoever knows the local cloud's token gets one with an hour's life."""

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        secret = str(form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "AADSTS70003: Only client_credentials are emulated.", 400)
        if not hmac.compare_digest(secret.encode(), own_token().encode()):
            return _refused(
                "invalid_client", "AADSTS7000215: The client secret is not the token of the local cloud.", 401
            )
        life = int(TOKEN_LIFE.total_seconds())
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": life,
                "ext_expires_in": life,
                "access_token": issue_token(TOKEN_LIFE),
            }
        )

    for version in ("", "/v2.0"):
        router.add_get(f"/{{tenant}}{version}/.well-known/openid-configuration", _configuration)
    for version in ("", "/v2.0"):
        router.add_post(f"/{{tenant}}/oauth2{version}/token", token)
    router.add_get("/common/discovery/instance", _instance)
    router.add_get("/metadata/endpoints", _endpoints)


def _refused(code: str, description: str, status: int) -> web.Response:
    return web.json_response({"error": code, "error_description": description, "error_codes": []}, status=status)


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


async def _configuration(request: web.Request) -> web.Response:
    base = f"{_origin(request)}/{request.match_info['tenant']}"
    return web.json_response(
        {
            "issuer": f"{_origin(request)}/{TENANT}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


async def _instance(request: web.Request) -> web.Response:
    host = request.host
    return web.json_response(
        {
            "tenant_discovery_endpoint": f"{_origin(request)}/{TENANT}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )


async def _endpoints(request: web.Request) -> web.Response:
    origin = _origin(request)
    cloud: JsonObject = {
        "name": "AIToolkitLocalCloud",
        "portal": origin,
        "authentication": {
            "loginEndpoint": origin,
            "audiences": [origin],
            "tenant": TENANT,
            "identityProvider": "AAD",
        },
        "resourceManager": origin,
        "graph": origin,
        "graphAudience": origin,
        "microsoftGraphResourceId": f"{origin}/",
        "logAnalyticsResourceId": origin,
        "media": origin,
        "batch": origin,
        "gallery": origin,
        "sqlManagement": origin,
        "vmImageAliasDoc": origin,
        "suffixes": {
            "storage": "local.invalid",
            "keyVaultDns": "vault.local.invalid",
            "sqlServerHostname": "database.local.invalid",
            "acrLoginServer": "registry.local.invalid",
        },
    }
    # From 2022-09-01 on it is a list of clouds; before, one cloud with another spelling of its endpoints.
    if request.query.get("api-version", "") >= "2019-05-01":
        return web.json_response([cloud])
    return web.json_response(
        {
            "galleryEndpoint": origin,
            "graphEndpoint": origin,
            "portalEndpoint": origin,
            "authentication": {"loginEndpoint": origin, "audiences": [origin]},
        }
    )
