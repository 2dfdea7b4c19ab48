"""Deploy gives the app a new revision where the parameters ask for one, and only then."""

import asyncio
import json
import urllib.request

import pytest
from tests.support.provisioning import Person
from tests.support.resource_manager import arm, config, set_parameters
from tests.support.small_app import APP, OF_ANOTHER_MAKE
from tests.support.waiting import wait_for

from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.run import deploy
from ai_toolkit.errors import Interrupted
from ai_toolkit.workspace.workspace import Workspace

ENDPOINT = "ACA_APP_ENDPOINT"


@pytest.fixture(scope="module")
def deployed(small):
    small.run("deploy")
    return small


def test_changed_parameters_make_a_new_revision(deployed):
    """Commands and scale: shown, said, done with a GPU quota of one; afterwards there is nothing to do."""
    before = deployed.json("status")["live"]["revision"]
    set_parameters(
        deployed, defaultCommands=["export WORD=new", "cd /mount/inference", "python3 start.py"], cooldownSeconds=600
    )
    planned = deployed.json("deploy", "--dry-run")
    done = deployed.run("deploy")
    status = deployed.json("status")
    template = app_of(deployed)["properties"]["template"]

    assert planned["action"] == "new revision"
    assert f"{before} is stopped before the new revision starts" in done.stdout + done.stderr
    assert status["live"]["revision"] != before
    assert ready(deployed)["word"] == "new"
    assert template["scale"]["cooldownPeriod"] == 600
    assert deployed.json("deploy")["action"] == "nothing"


def test_app_without_a_key_is_offered_one(deployed):
    """It answers anyone, which is said; --key add makes a key, which the app has and Provision keeps."""
    app = app_of(deployed)
    template = app["properties"]["template"]
    for container in template["containers"]:
        container["env"] = [one for one in container["env"] if one["name"] != "AITK_API_KEY"]
    body = {"location": app["location"], "properties": {"configuration": {"secrets": []}, "template": template}}
    arm(deployed, "POST", {}, f"/revisions/{app['properties']['latestRevisionName']}/deactivate")  # its GPU is needed
    arm(deployed, "PATCH", body)
    wait_for(lambda: ready(deployed)["key"] is None)
    told = deployed.run("deploy")
    left = deployed.json("deploy", "--key", "none")
    added = deployed.run("deploy", "--key", "add")
    key = deployed.json("key")["key"]

    assert "answers anyone who knows the address" in told.stdout + told.stderr
    assert left["action"] == "nothing"
    assert ready(deployed)["key"] == key
    assert "never reads" not in added.stdout + added.stderr
    assert key not in added.stdout + added.stderr


def test_endpoint_that_the_config_lacks_is_looked_up(deployed):
    """Of a hand-written file five names are enough; the sixth is written there."""
    path = deployed.folder / "infra/inference.config.json"
    own = json.loads(path.read_text())
    path.write_text(json.dumps({**own, ENDPOINT: None, "mine": 1}))
    foreseen = deployed.json("deploy", "--dry-run")
    assert json.loads(path.read_text())[ENDPOINT] is None, "a dry run wrote"
    done = deployed.json("deploy")
    assert done["action"] == foreseen["action"]

    assert json.loads(path.read_text()) == {**own, "mine": 1}


def test_revision_that_fails_gives_way_to_the_one_before(deployed):
    """The reason and the log are told, the old revision serves again, and corrected parameters go on from there."""
    before = deployed.json("status")["live"]["revision"]
    good = set_parameters(deployed, defaultCommands=["echo a word before the end", "exit 3"])
    failed = deployed.run("deploy", check=False)
    after = deployed.json("status")["live"]["revision"]
    set_parameters(deployed, **good)

    assert failed.returncode == 1
    assert "a word before the end" in failed.stderr
    assert f"{before} serves again" in failed.stdout + failed.stderr
    assert after == before
    assert ready(deployed)["word"] == "new"
    assert deployed.json("deploy")["action"] == "nothing"


async def test_cancel_before_there_is_a_new_revision_brings_the_old_one_back(deployed, monkeypatch):
    """The old one had been stopped for its GPU: it serves again, and the next deploy makes the new one."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", deployed.environment["AITK_LOCAL_CLOUD_HOME"])
    before = deployed.json("status")["live"]["revision"]
    set_parameters(deployed, cooldownSeconds=700)

    class Cancelling(Person):
        def report(self, message, percentage=None):
            super().report(message, percentage)
            if message == "making a new revision":
                self.work.cancel()

    person = Cancelling()
    person.work = asyncio.create_task(deploy(Workspace(deployed.folder), person, Options()))
    with pytest.raises(Interrupted):
        await person.work
    after = deployed.json("status")["live"]

    assert f"{before} serves again" in person.text
    assert after["revision"] == before
    assert ready(deployed)["word"] == "new"
    assert deployed.json("deploy")["action"] == "new revision"


def test_app_of_another_make_is_deployed_without_proof(deployed):
    """Neither /ready nor /version, no tag of ours: it is restarted, and what it loaded is said to be unproved."""
    app = app_of(deployed)
    arm(deployed, "PATCH", {"location": app["location"], "tags": {"ai-toolkit": None}})
    wait_for(lambda: "ai-toolkit" not in (app_of(deployed).get("tags") or {}))
    set_parameters(deployed, cooldownSeconds=900)
    (deployed.folder / "inference/start.py").write_text(OF_ANOTHER_MAKE)
    try:
        planned = deployed.json("deploy", "--dry-run")
        done = deployed.run("deploy")
        again = deployed.json("deploy")
    finally:
        (deployed.folder / "inference/start.py").write_text(APP)

    assert planned["action"] == "restart"
    assert "has no page /version, so what it loaded could not be proved" in done.stdout + done.stderr
    assert again["action"] == "nothing"


def ready(road):
    with urllib.request.urlopen(f"{json.loads(config(road))[ENDPOINT]}/ready", timeout=60) as answer:
        return json.load(answer)


def app_of(road):
    return arm(road, "GET", None)
