"""Init containers, sidecars, volumes of secrets, cron rules, traffic and CORS of container apps."""

import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from tests.support.local_cloud import WEB_APP

from ai_toolkit.local_cloud.container_apps.schedule import Schedule
from ai_toolkit.local_cloud.container_apps.traffic import TrafficShare, choose, weights_of
from ai_toolkit.local_cloud.core.arm_error import ArmError


@pytest.fixture
def app(template):
    """The container app of the test template, to be changed before it is deployed."""
    return next(one for one in template["resources"] if one["type"] == "Microsoft.App/containerApps")["properties"]


def container(name, *command, **more):
    return {"name": name, "image": "docker.io/library/busybox:1.37", "command": list(command), **more}


SHARE = {"volumeMounts": [{"volumeName": "share", "mountPath": "/mount"}]}


async def ask(app, path="/about", method="GET", headers=None):
    url = f"http://{app.endpoint}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer, await answer.text()


async def replicas_of(clients, app):
    revision = (await clients.apps.container_apps.get(app.group, app.app)).latest_revision_name
    return (await clients.apps.container_apps_revision_replicas.list_replicas(app.group, app.app, revision)).value


async def test_init_containers_run_first_and_in_order(clients, deploy, app):
    """One after the other, each to its end, before the app's own container starts."""
    app["template"]["initContainers"] = [
        container("first", "/bin/sh", "-c", "sleep 0.3; echo first >> /mount/order", **SHARE),
        container("second", "/bin/sh", "-c", "echo second >> /mount/order", **SHARE),
    ]
    made = await deploy(gpu=False, script=f'echo app >> "$AITK_SHARE/order"; exec python3 {WEB_APP}')
    order = (clients.status.home / "shares" / made.account / "models" / "order").read_text()
    (replica,) = await replicas_of(clients, made)

    assert order.split() == ["first", "second", "app"]
    assert [one.name for one in replica.init_containers] == ["first", "second"]


async def test_a_failing_init_container_fails_the_deployment(deploy, app):
    """The app's container never starts; the reason names the init container."""
    app["template"]["initContainers"] = [container("broken", "/bin/sh", "-c", "exit 7")]
    with pytest.raises(HttpResponseError) as failure:
        await deploy(gpu=False)

    assert "broken: The container ended with exit code 7" in str(failure.value)


async def test_a_sidecar_with_a_command_runs_and_one_without_is_never_ready(clients, deploy, app):
    """Both are listed; the one without a command says why it does not run, and the app is served all the same."""
    wait = f"{sys.executable} -c 'import threading; threading.Event().wait()'"
    app["template"]["containers"] = [
        container("image-only"),
        *app["template"]["containers"],
        container("sidecar", "/bin/sh", "-c", f"echo here >> /mount/sidecar; exec {wait}", **SHARE),
    ]
    made = await deploy(gpu=False)
    (replica,) = await replicas_of(clients, made)
    found = {one.name: one for one in replica.containers}

    assert (await ask(made, "/health"))[0].status == 200
    assert {name: one.ready for name, one in found.items()} == {"image-only": False, "inference": True, "sidecar": True}
    assert "no command" in found["image-only"].running_state_details
    assert (clients.status.home / "shares" / made.account / "models" / "sidecar").read_text() == "here\n"


async def test_secrets_can_be_files(deploy, app):
    """A volume of secrets holds one file for each, with its value."""
    app["template"]["volumes"].append({"name": "keys", "storageType": "Secret"})
    app["template"]["containers"][0]["volumeMounts"].append({"volumeName": "keys", "mountPath": "/keys"})
    made = await deploy(gpu=False, script=f"export READ=$(cat /keys/api-key); exec python3 {WEB_APP}")
    _, text = await ask(made)

    assert '"READ": "the-key"' in text


async def test_a_secret_in_a_key_vault_is_kept_and_cannot_be_read(deploy, app):
    """The app is taken as it is; its replica says that the local cloud has no key vaults."""
    app["configuration"]["secrets"] = [
        {"name": "api-key", "keyVaultUrl": "https://v.vault.azure.net/secrets/k", "identity": "system"}
    ]
    with pytest.raises(HttpResponseError) as failure:
        await deploy(gpu=False)

    assert "key vault, which the local cloud cannot read" in str(failure.value)


async def test_pages_of_allowed_origins_are_answered(deploy, app):
    """A preflight is answered by the ingress itself; an answer names the origin, and nothing for another one."""
    app["configuration"]["ingress"]["corsPolicy"] = {
        "allowedOrigins": ["https://pages.example"],
        "allowedMethods": ["GET", "POST"],
        "allowedHeaders": ["authorization"],
        "exposeHeaders": ["x-took"],
        "maxAge": 60,
        "allowCredentials": True,
    }
    made = await deploy(gpu=False)
    asked = {"Origin": "https://pages.example", "Access-Control-Request-Method": "POST"}
    preflight, _ = await ask(made, method="OPTIONS", headers=asked)
    answered, _ = await ask(made, headers={"Origin": "https://pages.example"})
    foreign, _ = await ask(made, headers={"Origin": "https://other.example"})

    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET,POST"
    assert preflight.headers["Access-Control-Max-Age"] == "60"
    assert answered.headers["Access-Control-Allow-Origin"] == "https://pages.example"
    assert answered.headers["Access-Control-Expose-Headers"] == "x-took"
    assert "Access-Control-Allow-Origin" not in foreign.headers


async def test_traffic_is_split_between_revisions(clients, deploy, app):
    """In multiple mode an old revision stays, and each gets the share that its weight says."""
    app["configuration"]["activeRevisionsMode"] = "Multiple"
    app["template"]["revisionSuffix"] = "one"
    made = await deploy(gpu=False)
    app["template"]["revisionSuffix"] = "two"
    app["template"]["containers"][0]["env"].append({"name": "NEW", "value": "yes"})
    app["configuration"]["ingress"]["traffic"] = [
        {"revisionName": f"{made.app}--one", "weight": 100, "label": "stable"},
        {"revisionName": f"{made.app}--two", "weight": 0, "label": "next"},
    ]
    await deploy(gpu=False)
    before = (await ask(made))[1]
    app["configuration"]["ingress"]["traffic"][0]["weight"] = 0
    app["configuration"]["ingress"]["traffic"][1]["weight"] = 100
    await deploy(gpu=False)
    after = (await ask(made))[1]
    listed = clients.apps.container_apps_revisions.list_revisions(made.group, made.app)
    revisions = {one.name: (one.active, one.traffic_weight) async for one in listed}

    assert '"NEW"' not in before
    assert '"NEW"' in after
    assert revisions == {f"{made.app}--one": (True, 0), f"{made.app}--two": (True, 100)}


async def test_weights_that_make_no_whole_are_refused(deploy, app):
    """As Azure does."""
    app["configuration"]["activeRevisionsMode"] = "Multiple"
    app["configuration"]["ingress"]["traffic"] = [{"latestRevision": True, "weight": 60}]
    with pytest.raises(HttpResponseError) as refusal:
        await deploy(gpu=False)

    assert refusal.value.error.code == "ContainerAppInvalidTrafficWeight"


def test_a_revision_is_drawn_by_weight():
    """Only revisions that are active and have a weight, in the proportion of the weights."""
    shares = (TrafficShare("a", 30), TrafficShare(None, 70), TrafficShare("gone", 0))
    weights = weights_of(shares, "b", ["a", "b"])
    drawn = [choose(weights) for _ in range(2000)]

    assert weights == {"a": 30, "b": 70}
    assert 0.2 < drawn.count("a") / len(drawn) < 0.4
    assert choose({}) is None


@pytest.mark.parametrize(("hour", "expected"), [(7, 0), (8, 3), (17, 3), (18, 0), (23, 0)])
def test_a_cron_rule_holds_its_replicas(hour, expected):
    """From its start to its end, in its own time zone."""
    rule = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Europe/Oslo", "desiredReplicas": "3"}
    moment = datetime(2026, 11, 26, hour, 30, tzinfo=ZoneInfo("Europe/Oslo")).astimezone(UTC)

    assert Schedule.read(rule).holds(moment) == expected


@pytest.mark.parametrize("wrong", [{"start": "soon"}, {"timezone": "Europe/Atlantis"}, {"desiredReplicas": "many"}])
def test_a_cron_rule_that_means_nothing_is_refused(wrong):
    """With its place."""
    rule = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Europe/Oslo", "desiredReplicas": "3", **wrong}
    with pytest.raises(ArmError) as refusal:
        Schedule.read(rule)

    assert refusal.value.target == "properties.template.scale.rules"
