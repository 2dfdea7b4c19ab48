"""What Azure's answers leave out: a container that crashes under a success, and replicas that are not listed."""

import pytest
from tests.support.edited_app import with_small_app
from tests.support.provisioning import Person

from ai_toolkit.deploy.action import Action
from ai_toolkit.errors import RevisionFailed
from ai_toolkit.local_cloud.container_apps.container import CRASH_WORDS


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

    assert before.live.replicas == ("not listed",)
    assert "asleep" not in before.in_words()
    assert done.action is Action.RESTART
    assert after.ready
    assert after.live.loaded.detail == "second"
