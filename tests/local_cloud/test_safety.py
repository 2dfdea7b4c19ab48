"""What the ports refuse, whoever asks: versions, sizes, hosts and origins; and what the ingress lets pass."""

import asyncio
import base64
import hmac
import io
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from multidict import CIMultiDict

from ai_toolkit.local_cloud.files.shared_key import string_to_sign

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
APP_SPACE = f"{SUBSCRIPTION}/providers/Microsoft.App/locations/westus3"


async def ask(clients, method, path, **options):
    headers = {"Authorization": f"Bearer {clients.token}", **options.pop("headers", {})}
    url = f"{clients.status.resource_manager}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **options) as answer:
        return answer.status, (await answer.json())["error"]["code"] if answer.status >= 400 else None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{SUBSCRIPTION}/resourcegroups", "MissingApiVersionParameter"),
        (f"{SUBSCRIPTION}/resourcegroups?api-version=latest", "InvalidApiVersionParameter"),
        (f"{SUBSCRIPTION}/resourcegroups?api-version=2099-01-01", "InvalidApiVersionParameter"),
        (f"{APP_SPACE}/usages?api-version=2020-01-01", "NoRegisteredProviderFound"),
        (f"{SUBSCRIPTION}/providers/Microsoft.App/containerApps?api-version=2020-01-01", "NoRegisteredProviderFound"),
        (f"{SUBSCRIPTION}/resourcegroups?api-version=2025-04-01", None),
        (f"{APP_SPACE}/usages?API-VERSION=2025-07-01", None),
        (f"{SUBSCRIPTION}/providers/Microsoft.App?api-version=2021-04-01", None),
        (f"{SUBSCRIPTION}/providers/Microsoft.Compute/disks?api-version=2025-01-01", "NotImplementedByLocalCloud"),
    ],
)
async def test_an_api_version_is_required_and_known(clients, path, code):
    """In any case of its name; refused in Azure's words."""
    status, found = await ask(clients, "GET", path)

    assert (status, found) == ({None: 200, "NotImplementedByLocalCloud": 501}.get(code, 400), code)


async def test_a_management_body_has_a_limit(clients, group):
    """More than Azure's 4 MiB is 413 before it is read as JSON."""
    path = f"{SUBSCRIPTION}/resourcegroups/{group}?api-version=2025-04-01"
    status, _code = await ask(clients, "PUT", path, data=io.BytesIO(b" " * (4 * 1024 * 1024 + 1)))

    assert status == 413


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_range_has_a_limit(share):
    """More than 4 MiB at once is refused, and nothing of it is written."""
    file = share.get_file_client("large")
    size = 4 * 1024 * 1024 + 512
    await file.create_file(size)
    with pytest.raises(HttpResponseError) as refusal:
        await file.upload_range(b"x" * size, 0, size)
    written = [one async for one in file.list_ranges()]

    assert (refusal.value.status_code, refusal.value.error_code) == (413, "RequestBodyTooLarge")
    assert written == []


async def signed_get(clients, account, raw_path):
    """Status and body of a GET whose path goes over the wire exactly as it is given, signed with the key."""
    name, key = account
    host = clients.status.files.removeprefix("http://")
    headers = CIMultiDict({"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": "2025-11-05"})
    text = string_to_sign("GET", raw_path, headers, name).encode()
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text, "sha256")).decode()
    lines = [f"GET {raw_path} HTTP/1.1", f"Host: {host}", f"Authorization: SharedKey {name}:{signature}"]
    lines += [f"{header}: {value}" for header, value in headers.items()]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


SPELLINGS = [
    "models/../../../token", "models/%2e%2e/%2e%2e/%2e%2e/token", "models/..%2f..%2f..%2ftoken",
    "models/%2e%2e%5c%2e%2e%5ctoken", "models/%252e%252e/token", "models/%c0%ae%c0%ae/token", "models/a%00b",
    "%2e%2e/%2e%2e/token", "..%2f..%2ftoken", "models//../../token", "models/.../token", "models/%2fetc%2fpasswd",
    "..%2f../token", "..%2f..%2flogs/local-cloud.log", "..%2f..%2f..?restype=directory&comp=list", "%2e%2e",
    "..%2f..%2f..?restype=share", "models/TOKEN.", "models/inside%2e%2e%2f..%2f",
]  # fmt: skip


async def test_no_spelling_of_a_path_leaves_the_share(clients, account, share):
    """Encoded once, twice, wrongly or not at all: refused with one of Azure's codes, and never a failure."""
    await share.get_file_client("inside").upload_file(b"inside")
    inside = await signed_get(clients, account, f"/{account[0]}/models/inside")
    answers = {path: await signed_get(clients, account, f"/{account[0]}/{path}") for path in SPELLINGS}
    secrets = (clients.token.encode(), b"root:", b"local_cloud", b"<Name>")

    assert inside == (200, b"inside")
    assert {path: status for path, (status, _body) in answers.items() if status not in {400, 403, 404}} == {}
    assert [path for path, (_status, body) in answers.items() if any(secret in body for secret in secrets)] == []


@pytest.mark.parametrize("place", ["revisionSuffix", "volumes"])
async def test_no_name_of_a_template_leaves_its_folder(clients, group, place):
    """Revisions and volumes, after which folders are named, have Kubernetes' names."""
    body = {"location": "westus3"}
    environment = await (await clients.apps.managed_environments.begin_create_or_update(group, "env", body)).result()
    wrong = "../../../outside"
    template = {
        "containers": [{"name": "one", "image": "image", "command": ["true"]}],
        **({"revisionSuffix": wrong} if place == "revisionSuffix" else {"volumes": [{"name": wrong}]}),
    }
    app = {**body, "properties": {"environmentId": environment.id, "template": template}}
    with pytest.raises(HttpResponseError) as refusal:
        await clients.apps.container_apps.begin_create_or_update(group, "named", app)

    assert refusal.value.error.target == f"properties.template.{place}"
    assert list(clients.status.home.parent.glob("outside*")) == []


async def test_an_etag_is_no_condition_of_a_write(share):
    """As on Azure: If-Match and If-None-Match of a write are not looked at."""
    file = share.get_file_client("free")
    await file.create_file(4)
    await file.upload_range(b"1234", 0, 4, headers={"If-Match": '"another"'})
    await file.set_file_metadata({"a": "1"}, headers={"If-None-Match": "*"})

    assert await (await file.download_file()).readall() == b"1234"


async def test_the_ingress_is_for_browsers(deploy):
    """It checks neither Host nor Origin: the app has its own key."""
    app = await deploy(gpu=False)
    headers = {"Host": "example.org", "Origin": "https://example.org"}
    url = f"http://{app.endpoint}/health"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        status = answer.status

    assert status == 200


async def test_nothing_ready_is_503_with_a_time_to_come_back(cloud_group, clients, deploy):
    """A revision whose container ends again and again answers 503 with Retry-After."""
    with pytest.raises(HttpResponseError):
        await deploy(gpu=False, script="exit 7")
    (app,) = [one async for one in clients.apps.container_apps.list_by_resource_group(cloud_group)]
    async with aiohttp.ClientSession() as session, session.get(f"http://{app.configuration.ingress.fqdn}/") as answer:
        found = answer.status, answer.headers.get("Retry-After"), await answer.text()

    assert found[:2] == (503, "5")
    assert "no healthy upstream" in found[2]


async def test_a_new_revision_starts_a_replica_whatever_the_minimum(deploy, clients, until):
    """An app that sleeps, with a minimum of none: a changed template wakes one replica to see that it works."""
    app = await deploy(gpu=False, least=0, cooldownSeconds=1)
    revisions = clients.apps.container_apps_revisions

    async def replicas():
        latest = (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name
        return latest, (await revisions.get_revision(app.group, app.app, latest)).replicas

    async def asleep():
        name, count = await replicas()
        return name if count == 0 else None

    before = await until(asleep)
    body = await clients.apps.container_apps.get(app.group, app.app)
    container = body.template.containers[0].as_dict()
    container["args"] = ["again"]
    patch = {"location": "westus3", "properties": {"template": {"containers": [container]}}}
    await (await clients.apps.container_apps.begin_update(app.group, app.app, patch)).result()
    log = (clients.status.home / "logs" / app.group / app.app / "system.log").read_text()
    latest = (await replicas())[0]

    assert latest != before
    assert f'"RevisionName": "{latest}"' in log
    assert log.count('"Reason": "AssigningReplica"') == 2
