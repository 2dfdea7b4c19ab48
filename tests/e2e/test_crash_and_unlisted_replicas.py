"""What Azure does without a word: crashes under a success, replicas that are not listed, starts that do not go on."""

import asyncio
import os
import re
from datetime import timedelta

import pytest
from tests.support.edited_app import Nobody, with_small_app
from tests.support.provisioning import Person
from tests.support.small_app import THAT_TELLS

from ai_toolkit.deploy.action import Action, Options
from ai_toolkit.deploy.run import deploy
from ai_toolkit.deploy.status import State
from ai_toolkit.endpoint.logs import last_lines
from ai_toolkit.errors import Interrupted, ReplicaFailed, RevisionFailed, StartStalled
from ai_toolkit.local_cloud.container_apps.container import CRASH_WORDS
from ai_toolkit.polling import poll


async def test_a_deployment_that_succeeded_over_a_crashing_container_fails_with_its_log(ground):
    """Recorded of Azure: the operation Succeeded, the app Running, the revision alone Failed. It is looked at once."""
    person = Person()
    with ground.faults() as faults:
        faults.add("crash-unnoticed")
        faults.add("replica-crash", count=None)
        with pytest.raises(RevisionFailed) as failed:
            await ground.provision(person)
    [deployment] = await ground.deployments()

    assert deployment.succeeded
    assert CRASH_WORDS in "\n".join(failed.value.details)
    assert "exit code 1" in failed.value.message
    assert "Provisioned." not in person.text
    assert ground.config["ACA_APP_NAME"] in failed.value.message  # written, so that logs and status find the app


async def test_an_app_whose_replicas_are_not_listed_is_asked_all_the_same(ground):
    """Seen on an A100: the list is empty while the app serves. Deploy and status go by the revision."""
    ground.give(cooldownSeconds=3600)
    app = with_small_app(ground)
    await ground.provision()
    await app.deploy(wake=True)
    app.write(**{"words.txt": "second"})
    with ground.faults() as faults:
        faults.add("no-replica-list")
        before = await app.status()
        _person, done = await app.deploy()
        after = await app.status()
        no_name = await last_lines(ground.workspace)
        app.write(**{"start.py": THAT_TELLS})
        await app.deploy()
        told = await app.status()
        lines = await last_lines(ground.workspace)

    assert before.live.replicas == ("not listed",)
    assert "asleep" not in before.in_words()
    assert done.action is Action.RESTART
    assert after.ready
    assert after.live.loaded.detail == "second"
    assert "a replica runs which the platform does not list" in no_name[0]
    assert told.live.replicas[0].startswith(told.live.revision)
    assert any(line.endswith(" asked for /ready") for line in lines)  # the log of the replica whose name the app told


@pytest.mark.parametrize("stops", [True, False])
async def test_a_start_for_which_azure_has_no_gpu_is_told_and_can_be_ended(ground, stops):
    """In the platform's own words, with the way to be billed nothing; where nobody can be asked it ends in an error."""
    app = with_small_app(ground)
    await ground.provision()
    await app.post("deactivate", (await app.active())[0])
    person = Person("stop") if stops else Nobody()
    with ground.faults() as faults:
        faults.add("start-stalls", code="AssigningReplica", message="WorkLoad Profile Full", count=None)
        with pytest.raises(StartStalled, match="no free GPU") as stalled:
            await deploy(ground.workspace, person, Options(start=True))
        status = await app.status()

    assert "WorkLoad Profile Full" in stalled.value.message
    assert any("looking for a free GPU for" in told for told in person.reports)
    assert ("nothing is billed" in stalled.value.message) is stops
    assert (status.state is State.AT_REST) is stops
    assert ("WorkLoad Profile Full" in status.in_words()) is not stops


STALLS = [
    ("PullingImage", "Pulling image", 8 * 60, "pulled for more than eight minutes"),
    ("ImagePulled", "Successfully pulled image", 5 * 60, "has not started for more than five minutes"),
    ("AssigningReplica", "A replica is started.", 8 * 60, "no free GPU"),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "share" : mount error(13): Permission denied',
        0,
        "cannot mount",
    ),
]
HARD = os.environ.get("AITK_HARD_AZURE") == "1"
ONLY_HARD = pytest.mark.skipif(not HARD, reason="scripts/judge hard-azure runs it")


async def test_each_start_that_does_not_go_on_ends_in_its_verdict(ground):
    """By the platform's own clock, never a minute before; stopped, so that nothing is billed, it can start anew."""
    app = with_small_app(ground)
    await ground.provision()
    await app.post("deactivate", (await app.active())[0])
    with ground.faults() as faults:
        for reason, message, seconds, says in STALLS if HARD else STALLS[:1]:
            stalls = faults.add("start-stalls", code=reason, message=message, seconds=seconds, count=None)
            person = Person("stop")
            with pytest.raises(StartStalled, match=says) as stalled:
                await deploy(ground.workspace, person, Options(start=True))
            faults.remove(stalls)
            assert "nothing is billed" in stalled.value.message
            assert (await app.status()).state is State.AT_REST


@ONLY_HARD
async def test_no_start_is_judged_before_its_time(ground):
    """Two minutes of pulling are told, and are no reason to give up."""
    app = with_small_app(ground)
    await ground.provision()
    await app.post("stop")
    with ground.faults() as faults:
        faults.add("start-stalls", code="PullingImage", message="Pulling", seconds=2 * 60, count=None)
        starting = asyncio.create_task(deploy(ground.workspace, person := Person(), Options(start=True)))
        await poll(lambda: pulling(app), every=timedelta(seconds=0.2), limit=timedelta(seconds=100))
        starting.cancel()
        with pytest.raises(Interrupted):
            await starting

    assert not person.asked


async def pulling(app):
    """Whether status tells that an image is being pulled, without a verdict; None until then."""
    told = (await app.status()).in_words()
    assert "eight minutes" not in told
    return re.search(r"pulling the image for [1-4]\d\d s", told)


@ONLY_HARD
async def test_a_container_that_ends_again_and_again_ends_in_its_log(ground):
    """The crash loop's verdict is the log of what crashes."""
    app = with_small_app(ground)
    await ground.provision()
    await app.post("stop")
    with ground.faults() as faults:
        faults.add("replica-crash", count=None)
        with pytest.raises((ReplicaFailed, RevisionFailed)) as crashed:
            await deploy(ground.workspace, Person(), Options(start=True))

    assert CRASH_WORDS in "\n".join(crashed.value.details)
