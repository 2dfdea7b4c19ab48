"""Keys renewed, properties changed and things added by somebody else: noticed, shown, and kept or put back as asked."""

import asyncio
import io
import json

import pytest
from azure.mgmt.storage.aio import StorageManagementClient
from tests.support.edited_app import Nobody, with_small_app
from tests.support.edited_template import SHAPES, adds_word, into_a_module
from tests.support.provisioning import Person, make_ground

from ai_toolkit.azure.connection import STORAGE_API_VERSION
from ai_toolkit.deploy.action import Action, Options
from ai_toolkit.deploy.run import preview
from ai_toolkit.endpoint.add_secret import add_secret
from ai_toolkit.errors import CloudError
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.run import provision
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

QUIET = "Nothing changed since the last provisioning"


@pytest.fixture(scope="module")
def edited(tmp_path_factory, cloud_home):
    """A deployed app, awake, which the tests of this module change one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_LOCAL_CLOUD_HOME", str(cloud_home))
        app = with_small_app(make_ground(tmp_path_factory.mktemp("others"), cloud_home))
        app.ground.give(cooldownSeconds=3600)
        asyncio.run(app.ground.provision())
        asyncio.run(app.deploy(wake=True))
        yield app


async def renew_key(edited, name):
    async with edited.ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as client:
        account = edited.ground.config["STORAGE_ACCOUNT_NAME"]
        await client.storage_accounts.regenerate_key(edited.ground.group, account, {"keyName": name})


async def provisioned(edited, person=None, **answers):
    given = Answers(LOCAL_SUBSCRIPTION, edited.ground.group, agreed=True, **answers)
    person = person or Person()
    await provision(edited.workspace, person, given)
    return person


async def test_nothing_changed_is_looked_at_and_quiet(edited):
    """Provision, Deploy, Provision: nothing is asked, shown or done."""
    first = await provisioned(edited)
    _person, done = await edited.deploy()
    second = await provisioned(edited)

    assert done.action is Action.NOTHING
    assert [QUIET in one.text for one in (first, second)] == [True, True]
    assert "renewed" not in first.text


@pytest.mark.parametrize("key", ["key1", "key2"])
async def test_a_renewed_key_is_noticed_before_a_replica_is_stopped(edited, key):
    """The definition is put again, so that the restarted replica mounts the share; the next deploy is quiet."""
    await renew_key(edited, key)
    person, done = await edited.deploy(restart=True)
    again, _done = await edited.deploy()

    assert done.action is Action.RESTART
    assert "was renewed: " in person.text
    assert "renewed" not in again.text


@pytest.mark.parametrize("changed", [{"shareName": "another"}, {"accountName": "anotheraccount"}, None])
async def test_a_mount_of_another_share_ends_deploy_before_anything_is_sent(edited, changed):
    """Somebody changed the storage definition, or deleted it; Provision puts it back, and Deploy goes on."""
    app = (await edited.read())["properties"]
    [volume] = app["template"]["volumes"]
    at = (edited.ground.group, app["environmentId"].rpartition("/")[2], volume["storageName"])
    async with edited.client() as client:
        storages = client.managed_environments_storages
        file = (await storages.get(*at)).as_dict()["properties"]["azureFile"]
        if changed is None:
            await storages.delete(*at)
        else:
            body = {"properties": {"azureFile": {**file, **changed, "accountKey": "a2V5"}}}
            await storages.create_or_update(*at, io.BytesIO(json.dumps(body).encode()))
    edited.write(**{"words.txt": f"for {changed}"})
    with pytest.raises(CloudError, match="does not mount the file share") as refused:
        await edited.deploy()
    await provisioned(edited, put_back=True)
    _person, done = await edited.deploy()

    assert "aitk provision --put-back" in refused.value.advice
    assert done.action is Action.RESTART


async def test_provision_that_finds_its_own_deployment_notices_a_renewed_key(edited):
    """It deploys nothing, and yet the next replica can mount the share."""
    await renew_key(edited, "key1")
    person = await provisioned(edited)
    again = await provisioned(edited)
    _person, done = await edited.deploy(restart=True)

    assert QUIET in person.text
    assert "was renewed: " in person.text
    assert "renewed" not in again.text
    assert done.action is Action.RESTART


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"template": {"scale": {"cooldownPeriod": 900}}}, "~ properties.template.scale.cooldownPeriod: 900 -> 3600"),
        ({"template": {"scale": {"maxReplicas": 4}}}, "~ properties.template.scale.maxReplicas: 4 -> 1"),
        (
            {"configuration": {"ingress": {"allowInsecure": True, "targetPort": 9000}}},
            "~ properties.configuration.ingress.targetPort: 9000 -> 7860",
        ),
    ],
)
async def test_what_somebody_changed_is_shown_and_put_back_only_where_that_is_wanted(edited, change, said):
    """Property by property; nobody asked, it stays."""
    serving = (await edited.active())[-1]
    await edited.patch(wait=False, **change)

    async def done():
        return (await edited.read())["properties"]["provisioningState"] != "InProgress" or await edited.status()

    await done()
    nobody = await provisioned(edited, Nobody())
    left = (await edited.read())["properties"]
    asked = await provisioned(edited, Person("leave"))
    put_back = await provisioned(edited, put_back=True)
    quiet = await provisioned(edited)

    assert said in nobody.text
    assert "aitk provision --put-back" in nobody.text
    assert said in asked.text
    [(place, below)] = change.items()
    [(key, value)] = below.items()
    assert value.items() <= left[place][key].items()
    assert said in put_back.text
    assert QUIET in quiet.text
    assert serving


async def test_what_our_own_command_added_is_carried_over_unasked(edited):
    """A secret and its variable survive a Provision that changes something else; the value is shown nowhere."""
    await add_secret(edited.workspace, Person("HF_TOKEN", "hf-value-of-the-secret"))
    edited.ground.give(concurrentRequests=8)
    person = await provisioned(edited)
    [container] = (await edited.read())["properties"]["template"]["containers"]
    async with edited.client() as client:
        listed = (await client.container_apps.list_secrets(edited.ground.group, edited.name)).as_dict()["value"]

    assert "secret hf-token" in person.text
    assert "hf-value" not in person.text
    assert {"name": "HF_TOKEN", "secretRef": "hf-token"} in container["env"]
    assert {one["name"]: one["value"] for one in listed}["hf-token"] == "hf-value-of-the-secret"
    assert QUIET in (await provisioned(edited)).text


async def test_what_others_added_is_listed_and_kept_or_removed(edited):
    """Identity, tag, registry, domain, sidecar, variable, CORS, IP range: in one question; kept is what --yes says."""
    app = await edited.read()
    template, ingress = app["properties"]["template"], app["properties"]["configuration"]["ingress"]
    [container] = template["containers"]
    sidecar = {"name": "helper", "image": "docker.io/library/busybox:1", "resources": {"cpu": 1, "memory": "2Gi"}}
    variable = {"name": "MINE", "value": "[not an expression]"}
    domain = {"name": "chat.example.com", "bindingType": "Disabled"}
    everybody = {"name": "office", "action": "Allow", "ipAddressRange": "127.0.0.0/8"}
    await edited.patch_resource(
        identity={"type": "SystemAssigned"},
        tags={**app["tags"], "owner": "ml-team"},
        properties={
            "configuration": {
                "registries": [{"server": "mine.azurecr.io", "identity": "system"}],
                "dapr": {"enabled": True, "appId": "mine"},
                "ingress": {
                    **ingress,
                    "customDomains": [domain],
                    "corsPolicy": {"allowedOrigins": ["https://example.com"]},
                    "ipSecurityRestrictions": [everybody],
                },
            },
            "template": {"containers": [{**container, "env": [*container["env"], variable]}, sidecar]},
        },
    )
    edited.ground.give(concurrentRequests=16)
    person = await provisioned(edited, Person("keep"))
    kept = await edited.read()
    quiet = await provisioned(edited)
    edited.ground.give(concurrentRequests=8)
    await provisioned(edited, remove_additions=True)
    removed = await edited.read()

    [question] = person.asked
    for named in (
        "identity", "tag owner", "registry mine.azurecr.io", "custom domain chat.example.com", "CORS policy",
        "IP restriction office", "Dapr settings", "container helper", "environment variable MINE of inference",
    ):  # fmt: skip
        assert named in question.placeholder
    configuration = kept["properties"]["configuration"]
    assert kept["identity"]["type"] == "SystemAssigned"
    assert kept["tags"]["owner"] == "ml-team"
    assert configuration["dapr"]["appId"] == "mine"
    assert configuration["registries"][0]["server"] == "mine.azurecr.io"
    assert configuration["ingress"]["customDomains"][0]["name"] == "chat.example.com"
    assert configuration["ingress"]["corsPolicy"]["allowedOrigins"] == ["https://example.com"]
    assert configuration["ingress"]["ipSecurityRestrictions"][0]["name"] == "office"
    assert [one["name"] for one in kept["properties"]["template"]["containers"]] == ["inference", "helper"]
    assert variable in kept["properties"]["template"]["containers"][0]["env"]
    assert kept["properties"]["template"]["scale"]["rules"][0]["http"]["metadata"]["concurrentRequests"] == "16"
    assert QUIET in quiet.text
    assert [one["name"] for one in removed["properties"]["template"]["containers"]] == ["inference"]
    assert "owner" not in removed["tags"]
    env = removed["properties"]["template"]["containers"][0]["env"]
    assert {"name": "HF_TOKEN", "secretRef": "hf-token"} in env, "what our own command added stays"


def edits_template(edited, edit):
    """What the person wrote into the template; returns what stood there."""
    path = edited.workspace.provision_folder / "inference.json"
    before = path.read_text()
    content = json.loads(before)
    edit(content)
    path.write_text(json.dumps(content))
    return path, before


async def test_deploy_asks_about_what_somebody_changed_and_remembers_the_answer(edited):
    """Nobody asked, or leave: it stays, and is not asked about again; put back is a new revision."""
    edited.ground.give(cooldownSeconds=3600)
    await edited.deploy()
    await edited.deploy()
    await edited.patch(wait=False, template={"scale": {"cooldownPeriod": 901}})

    async def edited_scale():
        return (await edited.read())["properties"]["template"]["scale"]["cooldownPeriod"]

    async with asyncio.timeout(60):
        while await edited_scale() != 901:  # noqa: ASYNC110  (the cloud is another process)
            await asyncio.sleep(0.05)
    foreseen = Person()
    await preview(edited.workspace, foreseen, Options())
    asked, left = await edited.deploy("leave")
    silent, _done = await edited.deploy()
    stays = await edited_scale()
    told, put_back = await edited.deploy(put_back=True)

    said = "~ template.scale.cooldownPeriod: 901 -> 3600"
    assert said in foreseen.text
    assert said in asked.text
    assert left.action in {Action.HAND_OVER, Action.NOTHING}
    assert "Somebody changed" not in silent.text
    assert stays == 901
    assert said in told.text
    assert put_back.action is Action.NEW_REVISION
    assert await edited_scale() == 3600


async def test_what_is_written_into_the_template_survives_deploy_and_provision(edited):
    """Variable, sidecar, init container and probe: Deploy brings them without Provision, and Provision keeps them."""

    def edit(content):
        template = content["resources"]["app"]["properties"]["template"]
        [container] = template["containers"]
        container["env"].append({"name": "WORD", "value": "[toUpper('written')]"})
        container["probes"][0]["failureThreshold"] = 9
        template["containers"].append({"name": "helper", "image": "docker.io/library/busybox:1"})
        template["initContainers"] = [{"name": "first", "image": "docker.io/library/busybox:1"}]

    path, before = edits_template(edited, edit)
    try:
        person, done = await edited.deploy()
        await edited.deploy()  # asks of the new revision, and remembers the answer
        with edited.ground.faults() as faults:
            asked = faults.add("status", status=500, method="POST", path="whatIf", count=9)
            _again, nothing = await edited.deploy()
            hits = faults.hits(asked)
        await provisioned(edited)
        quiet = await provisioned(edited)
        template = (await edited.read())["properties"]["template"]
        _last, still_nothing = await edited.deploy()
    finally:
        path.write_text(before)

    assert done.action is Action.NEW_REVISION
    assert "+ template.containers.helper: " in person.text
    assert "+ template.containers.inference.env.WORD: " in person.text
    assert (nothing.action, hits) == (Action.NOTHING, 0)
    assert still_nothing.action is Action.NOTHING
    assert QUIET in quiet.text
    assert [one["name"] for one in template["containers"]] == ["inference", "helper"]
    assert {"name": "WORD", "value": "WRITTEN"} in template["containers"][0]["env"]
    assert template["containers"][0]["probes"][0]["failureThreshold"] == 9
    assert [one["name"] for one in template["initContainers"]] == ["first"]


async def test_an_app_in_a_module_is_compared_and_keeps_what_others_added(edited):
    """Deploy brings what the module says; Provision keeps the secret and the variable that our command added."""

    def edit(content):
        adds_word(content["resources"]["app"], "MODULE")
        into_a_module(content)

    await edited.deploy()
    path, before = edits_template(edited, edit)
    try:
        person, done = await edited.deploy()
        edited.ground.give(tags={"team": "ml"})
        # The environment and the account get the tags too; what an earlier test left in the app is kept.
        sent = await provisioned(edited, Person("keep"), put_back=True)
        quiet = await provisioned(edited)
        _last, nothing = await edited.deploy()
        containers = (await edited.read())["properties"]["template"]["containers"]
    finally:
        path.write_text(before)
        edited.ground.give(tags={})

    assert "+ template.containers.inference.env.MODULE: " in person.text
    assert done.action is Action.NEW_REVISION
    assert "secret hf-token" in sent.text
    assert {"name": "HF_TOKEN", "secretRef": "hf-token"} in containers[0]["env"]
    assert QUIET in quiet.text
    assert nothing.action is Action.NOTHING


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
async def test_an_app_is_compared_wherever_it_stands(edited, shape):
    """In a loop, beside another, in a module of a module, in a loop of modules, without symbolic names."""

    def edit(content):
        adds_word(content["resources"]["app"], "SHAPED")
        shape(content)

    path, before = edits_template(edited, shape)
    try:
        as_it_is = Person()
        await preview(edited.workspace, as_it_is, Options())
        path.write_text(before)
        edits_template(edited, edit)
        changed = Person()
        await preview(edited.workspace, changed, Options())
    finally:
        path.write_text(before)

    assert "not compared" not in as_it_is.text + changed.text
    assert "SHAPED" not in as_it_is.text
    assert "+ template.containers.inference.env.SHAPED: " in changed.text


async def test_an_app_that_the_template_does_not_make_is_left_and_said(edited):
    """Deploy does not guess."""
    path, before = edits_template(edited, lambda content: content["resources"]["app"].update(name="another"))
    try:
        person, done = await edited.deploy()
    finally:
        path.write_text(before)

    assert f"The template is not compared with the app: it makes no app {edited.name} " in person.text
    assert done.action is Action.NOTHING


async def test_a_refusal_of_resource_manager_is_said_and_deploy_goes_on(edited):
    """Of somebody who may deploy files and not templates."""
    edited.ground.give(concurrentRequests=5)
    with edited.ground.faults() as faults:
        faults.add("status", status=403, method="POST", path="whatIf", count=9)
        person, done = await edited.deploy()
    _person, later = await edited.deploy()

    assert "The template is not compared with the app: " in person.text
    assert done.action is Action.NOTHING
    assert later.action is Action.NEW_REVISION
