"""Proxies, exceptions from them, and a company's own authority, on real servers: for every kind of connection."""

import base64
import ssl
import time
from pathlib import PurePosixPath

import pytest
from aiohttp import web
from tests.support.azure_files import KEY, AzureFiles
from tests.support.corporate_network import HOST, VARIABLES, Proxy, certificate, listening

from ai_toolkit.azure import network
from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.azure.connection import Connection
from ai_toolkit.azure.container_apps import ContainerApps, Replica
from ai_toolkit.azure.credential import LocalCredential
from ai_toolkit.azure.environment import azure_environment
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.resource_manager import list_subscriptions
from ai_toolkit.azure.tenants import find_subscription
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import NetworkProblem, SignInNeeded

READY = {"ready": True, "stage": "ready"}
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
DESCRIPTION = {
    "authentication": {"audiences": ["https://management.example/"], "loginEndpoint": "https://login.example"}
}


@pytest.fixture(autouse=True)
def own_network(monkeypatch):
    """Whatever network this computer is in, the test's is its own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "elsewhere.example")


async def cloud(request):
    """A Resource Manager, an app and a log stream of a few answers."""
    answers = {
        "/ready": READY,
        "/metadata/endpoints": DESCRIPTION,
        "/subscriptions": {"value": [{"subscriptionId": SUBSCRIPTION, "displayName": "Research", "state": "Enabled"}]},
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.App/containerApps/app/getAuthtoken": {
            "location": "westus3",
            "properties": {"token": "t", "expires": "2030-01-01T00:00:00Z"},
        },
    }
    if request.path == "/log":
        return web.Response(text="first\nlast\n")
    return web.json_response(answers[request.path])


async def ask_management(url):
    assert [one.name for one in await list_subscriptions(connection(url))] == ["Research"]


async def ask_endpoint(url):
    async with Endpoint.open(url, "key") as endpoint:
        assert (await endpoint.readiness()).ready


async def ask_description(url):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_RESOURCE_MANAGER", url)
        assert (await azure_environment()).authority == "https://login.example"


async def ask_log(url):
    async with ContainerApps.open(connection(url), SUBSCRIPTION, "g") as apps:
        app = type("App", (), {"name": "app"})()
        replica = Replica("r", "Running", "", 0, None, f"{url}/log")
        assert await apps.log_tail(app, replica) == ["first", "last"]
        assert [line async for line in apps.follow_log(app, replica)] == ["first", "last"]


def connection(url):
    return Connection(url, LocalCredential("token"), "local/.default")


EVERY = pytest.mark.parametrize("ask", [ask_management, ask_endpoint, ask_description, ask_log])


@EVERY
async def test_what_the_proxy_alone_can_reach_is_reached(ask, tmp_path, monkeypatch):
    """Through the proxy, with the company's authority from the environment: Azure, the app, its log."""
    context, authority = certificate(tmp_path, HOST)
    proxy = Proxy()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    async with listening(cloud, context) as port, proxy.running() as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        await ask(f"https://{HOST}:{port}")

    assert set(proxy.asked) == {f"CONNECT {HOST}:{port}"}


async def test_the_share_is_reached_through_the_proxy(tmp_path, monkeypatch):
    """The file service too: signed for its own host, over the proxy's connection."""
    context, authority = certificate(tmp_path / "tls", HOST)
    files, proxy = AzureFiles(tmp_path), Proxy()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    key = base64.b64encode(KEY).decode()

    async def answer(request):  # as the file service of this computer, which answers under no other name
        return await files.answer(request.clone(headers={**request.headers, "Host": "127.0.0.1"}))

    async with listening(answer, context) as port, proxy.running() as address:
        monkeypatch.setenv("https_proxy", address)
        async with FileShare.open(f"https://{HOST}:{port}/account", "account", key, "share") as share:
            await share.write(PurePosixPath("words.txt"), b"first")
            assert await share.read(PurePosixPath("words.txt")) == b"first"

    assert set(proxy.asked) == {f"CONNECT {HOST}:{port}"}


@pytest.mark.parametrize("refusal", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
@EVERY
async def test_a_proxy_that_refuses_is_told_at_once(ask, refusal, monkeypatch):
    """With its name and its answer, after one request: never as a replica that starts, and never again and again."""
    proxy = Proxy(refusal)
    async with proxy.running() as address:
        host = address.removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:secret@{host}")
        with pytest.raises(NetworkProblem) as raised:
            await ask(f"https://{HOST}:443")

    assert host in raised.value.message
    assert refusal[:3] in raised.value.message
    assert "secret" not in str(raised.value)
    assert proxy.asked == [f"CONNECT {HOST}:443"]


@EVERY
async def test_a_proxy_that_is_not_there_is_told_at_once(ask, monkeypatch):
    """Nobody listens where HTTPS_PROXY points."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(NetworkProblem, match=r"proxy 127\.0\.0\.1:9 does not answer"):
        await ask(f"https://{HOST}")


@EVERY
async def test_an_authority_that_is_not_trusted_is_told_at_once(ask, tmp_path):
    """As a company's proxy shows its own certificates: with the variable that mends it."""
    context, _authority = certificate(tmp_path, "localhost")
    async with listening(cloud, context) as port:
        with pytest.raises(NetworkProblem, match="certificate that is not trusted") as raised:
            await ask(f"https://localhost:{port}")

    assert "REQUESTS_CA_BUNDLE" in raised.value.advice
    assert "aiToolkit.server.certificates" in raised.value.advice


@EVERY
async def test_what_speaks_no_tls_is_told_as_that(ask):
    """A plain server where TLS is expected is no replica that starts."""
    async with listening(cloud) as port:
        with pytest.raises(NetworkProblem, match="TLS with it failed"):
            await ask(f"https://localhost:{port}")


async def test_a_certificate_that_ended_points_at_the_clock(tmp_path, monkeypatch):
    """It may be this computer's clock that is wrong: both times are said."""
    context, authority = certificate(tmp_path, "localhost", ended=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    async with listening(cloud, context) as port:
        with pytest.raises(NetworkProblem, match="expired") as raised:
            await ask_endpoint(f"https://localhost:{port}")

    assert "clock" in raised.value.advice


async def test_a_certificate_of_another_host_is_no_question_of_authorities(tmp_path, monkeypatch):
    """Trusting more would help nothing."""
    context, authority = certificate(tmp_path, "other.example")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(authority))
    async with listening(cloud, context) as port:
        with pytest.raises(NetworkProblem) as raised:
            await ask_management(f"https://localhost:{port}")

    assert "REQUESTS_CA_BUNDLE" not in raised.value.advice


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
async def test_a_bundle_is_trusted_besides_or_named_when_it_is_none(name, tmp_path, monkeypatch):
    """Each variable that other programs read; one that names no certificates is said with its name."""
    context, authority = certificate(tmp_path, "localhost")
    async with listening(cloud, context) as port:
        monkeypatch.setenv(name, str(authority))
        await ask_endpoint(f"https://localhost:{port}")
        for content in ("no certificates", None):
            broken = tmp_path / f"{name}-{content}.pem"
            if content is not None:
                broken.write_text(content)
            monkeypatch.setenv(name, str(broken))
            with pytest.raises(NetworkProblem, match=name):
                await ask_endpoint(f"https://localhost:{port}")


@pytest.mark.parametrize(
    ("url", "listed", "is_direct"),
    [
        ("https://a.contoso.com", ".contoso.com", True),
        ("https://a.contoso.com", "*.contoso.com", True),
        ("https://A.Contoso.com", "x.example, contoso.com", True),
        ("https://acontoso.com", "contoso.com", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://a.contoso.com:8443", "contoso.com:8443", True),
        ("https://a.contoso.com", "contoso.com:8443", False),
        ("https://management.azure.com", "*", True),
        ("https://management.azure.com", "", False),
        ("https://127.0.0.1:7860", "", True),
        ("http://localhost:7860", "", True),
        ("http://[::1]:7860", "", True),
    ],
)
def test_exceptions_are_read_as_people_write_them(url, listed, is_direct, monkeypatch):
    """Suffixes, stars, networks, ports; and this computer is never asked through a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:8080")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("NO_PROXY", listed)

    assert network.proxy_of(url) == (None if is_direct else "http://proxy.example:8080")


def test_a_proxy_of_another_kind_is_said():
    """A SOCKS proxy is not one that HTTP can be sent through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
        with pytest.raises(NetworkProblem, match=r"proxy\.example:1080 is no HTTP proxy"):
            network.proxy_of("https://management.azure.com")


@pytest.mark.parametrize("status", [200, 401, 403])
async def test_a_web_page_in_place_of_azure_is_said(status):
    """A proxy's or a hotel's page, with a polite 200 or without: a sentence, and no traceback."""

    async def page(_request):
        return web.Response(text="<html>Please sign in</html>", content_type="text/html", status=status)

    async with listening(page) as port:
        with pytest.raises(Exception) as raised:  # noqa: PT011  (the SDK's own, which is told next)
            await find_subscription(connection(f"http://127.0.0.1:{port}"), SUBSCRIPTION)
    told = for_people(raised.value)

    assert isinstance(told, NetworkProblem)
    assert "web page came back" in told.message
    assert "Please sign in" not in str(told)


async def test_a_host_that_nobody_knows_is_told_as_offline_at_once(monkeypatch):
    """Which host, and which variable names a proxy: without the SDK's retries, which take half a minute."""
    began = time.monotonic()
    with pytest.raises(NetworkProblem) as found:
        await network.raise_if_offline("https://management.nowhere.invalid")
    with pytest.raises(NetworkProblem) as by_the_sdk:
        await list_subscriptions(connection("https://management.nowhere.invalid"))

    assert time.monotonic() - began < 5
    for told in (found.value, by_the_sdk.value):
        assert told.message.startswith("management.nowhere.invalid cannot be reached: its name is not found.")
        assert "HTTPS_PROXY" in told.advice


async def test_nobody_is_signed_in_is_said_only_where_somebody_could_be_asked(tmp_path, monkeypatch):
    """Offline is told as offline; else each way stands on a line of its own."""
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.nowhere.invalid")
    async with open_cloud(None) as azure:
        with pytest.raises(NetworkProblem, match="cannot be reached: its name is not found"):
            await azure.account.account()

    context, authority = certificate(tmp_path, "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    async with listening(cloud, context) as port:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://localhost:{port}")
        async with open_cloud(None) as azure:
            with pytest.raises(SignInNeeded) as found:
                await azure.account.account()
    assert found.value.reason == "nobody is signed in."
    assert [line.partition(":")[0] for line in found.value.details][:2] == ["Azure CLI", "Azure Developer CLI"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "localhost", "a.localhost", "[::1]"])
def test_this_computer_is_never_asked_through_a_proxy(host, monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert network.proxy_of(f"http://{host}:8000/x") is None
    assert network.proxy_of(f"https://{host}/") is None


def test_a_context_is_made_once():
    """It takes some hundredths of a second, and each client would make its own."""
    assert network.trust() is network.trust()
    assert network.trust().verify_mode is ssl.CERT_REQUIRED
