"""Clients that insist on https and a sign-in."""

import ssl
import stat
import sys

import aiohttp
import pytest

from ai_toolkit.local_cloud import control

TENANT = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def secure(tmp_path, monkeypatch):
    """A local cloud with https, and a session that trusts its certificate."""
    monkeypatch.setenv("AITK_REPLICA_PYTHON", sys.executable)
    status = await control.start(tmp_path / "home", tls=True)
    context = ssl.create_default_context(cafile=status.certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield status, session
    await control.stop(tmp_path / "home")


async def signed_in(status, session, secret):
    """Status and body of a service principal's sign-in, found by discovery."""
    async with session.get(f"{status.resource_manager_tls}/metadata/endpoints?api-version=2022-09-01") as answer:
        (cloud,) = await answer.json()
    login = cloud["authentication"]["loginEndpoint"]
    async with session.get(f"{login}/{TENANT}/v2.0/.well-known/openid-configuration") as answer:
        endpoint = (await answer.json())["token_endpoint"]
    form = {"grant_type": "client_credentials", "client_id": "any", "client_secret": secret}
    async with session.post(endpoint, data=form) as answer:
        return answer.status, await answer.json()


async def test_a_service_principal_signs_in_over_https(secure):
    """By discovery to the token endpoint; the token opens the management API, for an hour."""
    status, session = secure
    code, body = await signed_in(status, session, status.token_file.read_text().strip())
    url = f"{status.resource_manager_tls}/subscriptions?api-version=2022-12-01"
    async with session.get(url, headers={"Authorization": f"Bearer {body['access_token']}"}) as answer:
        opened = answer.status

    assert (code, opened) == (200, 200)
    assert body["expires_in"] == 3600
    assert status.token_file.read_text().strip() not in body["access_token"]
    assert stat.S_IMODE((status.home / "tls" / "server.key").stat().st_mode) == 0o600


async def test_a_wrong_secret_gets_no_token(secure):
    """invalid_client, 401."""
    status, session = secure
    code, body = await signed_in(status, session, "guess")

    assert (code, body["error"]) == (401, "invalid_client")


async def test_https_addresses_and_certificate_stay(secure):
    """After a restart with https both are the same; without being asked there is no https."""
    status, _session = secure
    certificate = status.certificate.read_bytes()
    await control.stop(status.home)
    again = await control.start(status.home, tls=True)
    await control.stop(status.home)
    plain = await control.start(status.home)

    assert again == status
    assert again.certificate.read_bytes() == certificate
    assert (plain.resource_manager, plain.resource_manager_tls) == (status.resource_manager, None)
