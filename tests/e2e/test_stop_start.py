"""The app stopped and started again, and what is said of a replica that runs, against a local cloud."""

from datetime import UTC, datetime, timedelta

from tests.support.provisioning import Person

from ai_toolkit.deploy.status import State, look
from ai_toolkit.endpoint.stop_start import start, stop


async def test_a_stopped_app_runs_nothing_until_it_is_started(ground):
    """Both say what they did, and a second time that there was nothing to do."""
    await ground.provision()
    stopped = await stop(ground.workspace, Person("yes"))
    at_rest = await look(ground.workspace, ask_app=False)
    again = await stop(ground.workspace, Person())
    started = await start(ground.workspace, Person())

    assert (stopped.changed, again.changed, started.changed) == (True, False, True)
    assert (stopped.stopped, started.stopped) == (True, False)
    assert at_rest.state is State.AT_REST
    assert at_rest.money() == ()
    assert (await look(ground.workspace, ask_app=False)).state is State.PROVISIONED
    assert not (await start(ground.workspace, Person())).changed


async def test_a_replica_that_runs_is_told_with_its_beginning(ground):
    """And one that always runs with a warning, which `aitk stop` answers."""
    ground.give(minimumInstanceCount=1)
    await ground.provision()
    found = await look(ground.workspace, ask_app=False)
    since = found.live.running.since()

    assert abs(datetime.now(UTC) - since) < timedelta(minutes=5)
    assert found.as_json()["live"]["cost"]["since"] == since.isoformat()
    assert found.is_billed_for_nothing
    assert "minimumInstanceCount is 1" in found.in_words()
    assert "aitk stop" in found.in_words()
