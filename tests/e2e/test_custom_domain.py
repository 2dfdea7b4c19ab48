"""A domain of a person's own that is bound to the app is an endpoint like its own host; another one is none."""

import io
import json
from urllib.parse import urlsplit

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.provisioning import Person

from ai_toolkit.endpoint.address import is_own, own_endpoint
from ai_toolkit.endpoint.client import Endpoint, Stage, signed_link
from ai_toolkit.errors import EndpointForeign

CERTIFICATE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/managedEnvironments/e/certificates/c"


async def register(ground, *domains):
    """Gives the app the custom domains, each a name and how it is bound."""
    named = [
        {"name": name, "bindingType": how, "certificateId": CERTIFICATE if how == "SniEnabled" else None}
        for name, how in domains
    ]
    async with ground.client(ContainerAppsAPIClient, api_version="2025-07-01") as client:
        app = (await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])).as_dict()
        ingress = {**app["properties"]["configuration"]["ingress"], "customDomains": named}
        ingress.pop("fqdn", None)
        body = {"location": app["location"], "properties": {"configuration": {"ingress": ingress}}}
        poller = await client.container_apps.begin_update(
            ground.group, app["name"], io.BytesIO(json.dumps(body).encode())
        )
        await poller.result()


def write_endpoint(ground, endpoint):
    config = ground.config | {"ACA_APP_ENDPOINT": endpoint}
    ground.workspace.target_path.write_text(json.dumps(config))


async def test_a_bound_domain_is_the_endpoint_and_stays_it(ground):
    """In links and for questions; the next Provision leaves in the file what the person wrote there."""
    await ground.provision()
    own = ground.config["ACA_APP_ENDPOINT"]
    domain = f"http://localhost:{urlsplit(own).port}"
    await register(ground, ("localhost", "SniEnabled"), ("not-bound.example", "Disabled"))
    write_endpoint(ground, domain)
    endpoint, key = await own_endpoint(ground.workspace)
    async with Endpoint.open(endpoint, key) as asked:
        readiness = await asked.readiness()
    person = Person()
    await ground.provision(person)

    assert endpoint == domain
    assert signed_link(endpoint, key).startswith(f"{domain}/#aitk=")
    assert readiness.stage in {Stage.NOTHING_DEPLOYED, Stage.NO_ANSWER}
    assert ground.config["ACA_APP_ENDPOINT"] == domain

    write_endpoint(ground, f"http://not-bound.example:{urlsplit(own).port}")
    with pytest.raises(EndpointForeign):
        await own_endpoint(ground.workspace)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://app.azurecontainerapps.io", True),
        ("https://chat.contoso.com", True),
        ("https://chat.contoso.com:443", True),
        ("https://chat.contoso.com:8443", False),
        ("http://chat.contoso.com", False),
        ("https://contoso.com", False),
        ("https://chat.contoso.com.evil.example", False),
        ("https://chat.contoso.com/chat", False),
    ],
)
def test_only_the_host_may_differ(given, expected):
    """The key goes nowhere else: not to another port, without TLS, or to a name that only begins like it."""
    assert is_own(given, "https://app.azurecontainerapps.io", ("chat.contoso.com",)) is expected
