"""The endpoints that a client signs in with: tenant discovery, tokens, and what this cloud is.

They are what the Azure CLI asks before it has a token, so they are public; a token is given only to who
knows the local cloud's own, as the secret of whatever service principal or as the password of the directory's user,
who may also sign in on a page, with a code (`sign_in_page.py`).
"""

import hmac
from collections.abc import Callable, Mapping

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import TENANT
from ai_toolkit.local_cloud.identity.directory import Directory, Tenant
from ai_toolkit.local_cloud.identity.sign_in_page import CODE_GRANTS, SignInPage, SignInRefused
from ai_toolkit.local_cloud.identity.tokens import issue_token

PUBLIC_ENDS = ("/oauth2/v2.0/authorize", "/.well-known/openid-configuration", "/oauth2/v2.0/token", "/oauth2/token")


def is_public(request: web.Request) -> bool:
    """Whether a request is answered without a token."""
    return request.path in {"/metadata/endpoints", "/common/discovery/instance"} or request.path.endswith(PUBLIC_ENDS)


def add_routes(router: web.UrlDispatcher, own_token: Callable[[], str], directory: Directory) -> None:
    """Add sign-in: whoever knows the local cloud's token gets one with a shorter life."""
    page = SignInPage(own_token, directory)

    async def token(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        own = own_token()
        try:
            claims = page.redeem(form) if form.get("grant_type") in CODE_GRANTS else _claims(form, own, directory)
            tenant = _tenant(directory, request.match_info["tenant"])
        except SignInRefused as refused:
            error = {"error": refused.code, "error_description": refused.description, "error_codes": []}
            return web.json_response(error, status=refused.status)
        life = directory.token_life
        seconds = int(life.total_seconds())
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": issue_token(own, life, {"tid": tenant.id, **claims}),
                **(page.further_tokens(form, tenant.id, _origin(request)) if "upn" in claims else {}),
            }
        )

    for version in ("", "/v2.0"):
        router.add_get(f"/{{tenant}}{version}/.well-known/openid-configuration", _configuration)
    for version in ("", "/v2.0"):
        router.add_post(f"/{{tenant}}/oauth2{version}/token", token)
    router.add_get("/{tenant}/oauth2/v2.0/authorize", page.show)
    router.add_post("/{tenant}/oauth2/v2.0/authorize", page.enter)
    router.add_get("/common/discovery/instance", _instance)
    router.add_get("/metadata/endpoints", _endpoints)


def _claims(form: Mapping[str, str], own: str, directory: Directory) -> JsonObject:
    """Who signs in with a secret or a password. Raises SignInRefused."""
    grant = form.get("grant_type")
    if grant == "client_credentials":
        if not hmac.compare_digest(form.get("client_secret", "").encode(), own.encode()):
            raise SignInRefused(
                "invalid_client", "AADSTS7000215: The client secret is not the token of the local cloud.", status=401
            )
        return {"appid": form.get("client_id", ""), "idtyp": "app"}
    if grant == "password":
        known = hmac.compare_digest(form.get("password", "").encode(), own.encode())
        if not known or form.get("username") != directory.user:
            raise SignInRefused("invalid_grant", "AADSTS50126: Invalid username or password.")
        return {"upn": directory.user, "unique_name": directory.user}
    raise SignInRefused("unsupported_grant_type", f"AADSTS70003: The grant '{grant}' is not emulated.")


def _tenant(directory: Directory, named: str) -> Tenant:
    """The tenant that gives the token. Raises SignInRefused."""
    tenant = directory.tenant(named)
    if tenant is None:
        raise SignInRefused("invalid_request", f"AADSTS90002: Tenant '{named}' not found.")
    if tenant.refuses is not None:
        raise SignInRefused("interaction_required", tenant.refuses)
    return tenant


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
    # 2019-05-01 lists all clouds; 2022-09-01, which `az cloud register` asks, describes the asked one alone.
    return web.json_response([cloud] if request.query.get("api-version") == "2019-05-01" else cloud)
