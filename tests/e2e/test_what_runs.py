"""Two revisions at a time, which of them is meant, and silence that is no sleep: on a local cloud with one GPU."""

import asyncio
import json

import aiohttp
import pytest
from tests.support.edited_app import Nobody, with_small_app
from tests.support.provisioning import Person, make_ground

from ai_toolkit.deploy.action import Action, Options
from ai_toolkit.deploy.run import deploy
from ai_toolkit.deploy.status import State
from ai_toolkit.endpoint.logs import last_lines
from ai_toolkit.endpoint.open import ask, open_endpoint
from ai_toolkit.endpoint.stop_start import start as start_again
from ai_toolkit.errors import AppAtRest, ReplicaFailed, TrafficPinned

START = ["cd /mount/inference", "python3 start.py"]


@pytest.fixture(scope="module")
def edited(tmp_path_factory, cloud_home):
    """A deployed app, awake, which the tests of this module change one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_LOCAL_CLOUD_HOME", str(cloud_home))
        app = with_small_app(make_ground(tmp_path_factory.mktemp("edited"), cloud_home))
        app.ground.give(cooldownSeconds=3600)
        asyncio.run(app.ground.provision())
        asyncio.run(app.deploy(wake=True))
        yield app


async def answer(app):
    """What serves says of itself."""
    async with aiohttp.ClientSession() as session, session.get(f"{app.ground.config['ACA_APP_ENDPOINT']}/ready") as got:
        return await got.json(content_type=None)


async def test_the_one_that_serves_and_the_one_that_waits_are_both_named(edited):
    """An edit in the portal, a quota of one GPU: status and Deploy tell the two, and Deploy lets the new serve."""
    [serving] = await edited.active()
    waiting = await edited.edit_environment(WORD="portal")
    status = await edited.status()
    lines = await last_lines(edited.workspace)
    foreseen = await edited.foreseen()
    person, done = await edited.deploy()
    after = await edited.status()

    told = f"{serving} serves and its GPU is billed; {waiting} waits for it."
    assert told in status.in_words()
    assert (status.live.revision, status.live.another) == (serving, told)
    assert "asleep" not in status.in_words()
    assert lines
    assert foreseen.action is done.action is Action.HAND_OVER
    assert told in person.text
    assert f"{serving} is stopped before {waiting}, which waits for it, can start" in person.text
    assert (await answer(edited))["word"] == "portal"
    assert await edited.active() == [waiting]
    assert (after.live.revision, after.live.another) == (waiting, "")


async def test_a_waiting_revision_that_fails_gives_way_to_the_one_that_served(edited):
    """It is ended, and that the other serves again is said after looking; the next Deploy means that one."""
    [serving] = await edited.active()
    failing = await edited.edit_environment(PYTHONHOME="/nowhere")
    person = Person()
    with pytest.raises(ReplicaFailed):
        await deploy(edited.workspace, person, Options())
    _again, done = await edited.deploy()

    assert f"{failing} failed and was ended." in person.text
    assert f"{serving} serves again." in person.text
    assert (await answer(edited))["word"] == "portal"
    assert await edited.active() == [serving]
    assert done.action is Action.NOTHING


async def test_a_second_deploy_activates_the_revision_that_is_wanted_and_inactive(edited):
    """It failed for want of a file, was ended, and is there: the file deployed, it serves."""
    [before] = await edited.active()
    edited.ground.give(defaultCommands=["cd /mount/inference", "test -f flag.txt", "python3 start.py"])
    with pytest.raises(ReplicaFailed):
        await edited.deploy()
    served_meanwhile = await edited.active()
    edited.write(**{"flag.txt": "here"})
    _person, done = await edited.deploy()
    [now] = await edited.active()

    assert served_meanwhile == [before]
    assert done.action is Action.NEW_REVISION
    assert now != before
    assert (await answer(edited))["word"] == "portal"


async def test_a_revision_that_cannot_start_beside_the_one_that_serves_is_told(edited):
    """The latest has failed and is active: what serves is asked and proved, and the other one is named."""
    [serving] = await edited.active()
    failing = await edited.edit_environment(PYTHONHOME="/nowhere")
    await edited.post("deactivate", serving)  # the GPU is free, so that it starts, and fails

    async def failed():
        return (await edited.revisions())[failing]["runningState"] == "Failed"

    await _until(failed)
    await edited.post("activate", serving)
    status = await edited.status()
    await edited.post("deactivate", failing)  # which gives its GPU back
    await _until(lambda: _is(edited, serving, "Running"))

    assert f"{serving} serves" in status.in_words()
    assert f"{failing}, which is newer, has failed" in status.in_words()


async def test_traffic_by_name_is_not_taken_for_the_latest(edited):
    """In multiple mode who has the traffic serves; a revision that nobody would reach is not made."""
    [serving] = await edited.active()
    weights = [{"revisionName": serving, "weight": 100}]
    ingress = (await edited.read())["properties"]["configuration"]["ingress"]
    await edited.patch(configuration={"activeRevisionsMode": "Multiple", "ingress": {**ingress, "traffic": weights}})
    other = await edited.edit_environment(OTHER="x")
    try:
        status = await edited.status()
        edited.ground.give(cooldownSeconds=1200)
        with pytest.raises(TrafficPinned) as refused:
            await edited.deploy()
        assert (await answer(edited))["ready"]
    finally:
        edited.ground.give(cooldownSeconds=3600)
        await edited.post("deactivate", other)
        whole = [{"latestRevision": True, "weight": 100}]
        await edited.patch(configuration={"activeRevisionsMode": "Single", "ingress": {**ingress, "traffic": whole}})

    assert status.live.revision == serving
    assert serving in refused.value.message


@pytest.mark.parametrize("how", ["stopped", "deactivated"])
async def test_an_app_that_somebody_ended_is_told_as_that_and_started_where_that_is_wanted(edited, how):
    """Neither asleep nor woken in vain; nobody asked, it stays so; agreed, it starts and is proved."""
    [serving] = await edited.active()
    await (edited.post("stop") if how == "stopped" else edited.post("deactivate", serving))
    status = await edited.status()
    nobody = Nobody()
    left = await deploy(edited.workspace, nobody, Options())
    with pytest.raises(AppAtRest):
        await ask(edited.workspace, "Hello?", None, Nobody())
    _person, started = await edited.deploy("start")

    said = "is stopped" if how == "stopped" else "has no active revision"
    assert status.state is State.AT_REST
    assert said in status.in_words()
    assert "asleep" not in status.in_words()
    assert left.action is Action.LATER
    assert said in nobody.text
    assert "aitk deploy --start" in nobody.text
    assert started.action is Action.START
    assert (await answer(edited))["ready"]


async def test_go_to_endpoint_starts_what_was_stopped(edited):
    """Where the person agrees, instead of a quarter of an hour of waking."""
    await edited.post("stop")
    opened = await open_endpoint(edited.workspace, Person("start"))

    assert opened.endpoint == edited.ground.config["ACA_APP_ENDPOINT"]
    assert (await answer(edited))["ready"]


@pytest.mark.parametrize(
    ("ingress", "said"), [(None, "has no ingress"), ({"external": False}, "The ingress of {} is internal")]
)
async def test_an_app_that_nothing_reaches_is_told_before_anything_is_sent_and_switched_on(edited, ingress, said):
    """Switched off, or for its environment only: nobody asked, it stays; agreed, it is as the template has it."""
    before = (await edited.read())["properties"]["configuration"]["ingress"]
    config = edited.workspace.target_path.read_text()
    await edited.patch(configuration={"ingress": ingress})
    edited.write(**{"words.txt": f"for {ingress}"})
    status = await edited.status()
    for refused in (deploy(edited.workspace, Nobody(), Options()), open_endpoint(edited.workspace, Nobody())):
        with pytest.raises(AppAtRest) as raised:
            await refused
        assert said.format(edited.name) in raised.value.message
        assert "aitk deploy --start" in raised.value.advice
    left = edited.workspace.target_path.read_text()
    person, _done = await edited.deploy("start")
    after = (await edited.read())["properties"]["configuration"]["ingress"]

    assert status.state is State.AT_REST
    assert said.format(edited.name) in status.in_words()
    assert left == config
    assert f"The ingress of {edited.name} is switched on" in person.text
    assert {key: after[key] for key in ("external", "targetPort", "allowInsecure")} == {
        key: before[key] for key in ("external", "targetPort", "allowInsecure")
    }
    assert (await answer(edited))["ready"]


async def test_what_was_stopped_and_switched_off_besides_is_started_by_one_command(edited):
    """`aitk start` switches on what the template has otherwise, and starts the app."""
    await edited.patch(configuration={"ingress": None})
    await edited.post("stop")
    started = await start_again(edited.workspace, Nobody())
    opened = await open_endpoint(edited.workspace, Nobody())

    assert started.changed
    assert opened.endpoint == edited.ground.config["ACA_APP_ENDPOINT"]


async def test_a_scale_that_no_request_wakes_is_put_back_where_that_is_wanted(edited):
    """Only a rule of time: it is told as that, left where nobody is asked, and a new revision has the template's."""
    night = {"timezone": "UTC", "start": "0 3 * * *", "end": "0 4 * * *", "desiredReplicas": "1"}
    rules = [{"name": "night", "custom": {"type": "cron", "metadata": night}}]
    await edited.post("deactivate", (await edited.active())[-1])  # the GPU is free
    [container] = (await edited.read())["properties"]["template"]["containers"]
    able = [one for one in container["env"] if one["name"] != "PYTHONHOME"]  # of a revision that failed before
    await edited.patch(wait=False, template={"scale": {"rules": rules}, "containers": [{**container, "env": able}]})

    async def is_so():
        return (await edited.read())["properties"]["template"]["scale"]["rules"][0]["name"] == "night"

    await _until(is_so)
    status = await edited.status()
    left = await deploy(edited.workspace, Nobody(), Options())
    _person, done = await edited.deploy(put_back=True)
    scale = (await edited.read())["properties"]["template"]["scale"]

    assert "no request starts a replica. aitk deploy --put-back puts the template's scale back" in status.in_words()
    assert left.action is Action.LATER
    assert done.action is Action.NEW_REVISION
    assert [name for rule in scale["rules"] for name in rule if name == "http"]


async def test_an_ingress_that_the_template_wants_internal_is_not_switched_on(edited):
    """It is told with advice that helps: to change it in the template."""
    path = edited.workspace.provision_folder / "inference.json"
    before = path.read_text()
    content = json.loads(before)
    content["resources"]["app"]["properties"]["configuration"]["ingress"]["external"] = False
    path.write_text(json.dumps(content))
    await edited.patch(configuration={"ingress": {"external": False}})
    try:
        with pytest.raises(AppAtRest, match="is internal") as raised:
            await deploy(edited.workspace, Person(), Options(start=True))
    finally:
        path.write_text(before)
        await edited.patch(configuration={"ingress": {"external": True}})

    assert "The workspace's template has no other" in raised.value.advice


async def _is(edited, revision, state):
    return (await edited.revisions())[revision]["runningState"].startswith(state)


async def _until(condition, limit_seconds=60):
    async with asyncio.timeout(limit_seconds):
        while not await condition():  # noqa: ASYNC110  (the cloud is another process)
            await asyncio.sleep(0.05)
