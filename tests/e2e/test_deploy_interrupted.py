"""A deploy that a person cancels, or whose management plane is busy or cut off at any one request."""

import asyncio

import pytest
from tests.support.provisioning import Person

from ai_toolkit.deploy.run import Options, deploy
from ai_toolkit.errors import Interrupted
from ai_toolkit.local_cloud.faults import FaultInjection
from ai_toolkit.workspace.workspace import Workspace


@pytest.fixture
def workspace(small, monkeypatch):
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", small.environment["AITK_LOCAL_CLOUD_HOME"])
    small.run("deploy", "--yes")
    return Workspace(small.folder)


class Cancelling(Person):
    """Presses Cancel at the first report that begins with a word."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def report(self, message, percentage=None):
        super().report(message, percentage)
        if message.startswith(self.word):
            self.work.cancel()


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        ("reading the workspace", "nothing was changed"),
        ("uploading", "replicas still load what they loaded before"),
        ("restarting", "the files are on the share"),
    ],
)
async def test_cancel_says_what_there_is(small, workspace, stage, left):
    """Before anything, while files go, and while the replica restarts; the next deploy ends it well."""
    (small.folder / "inference/words.txt").write_text(f"cancelled at {stage}")
    with pytest.raises(Interrupted, match=f"Cancelled: {left}"):  # noqa: PT012  (the task must know itself)
        person = Cancelling(stage)
        person.work = asyncio.create_task(deploy(workspace, person, Options()))
        await person.work
    await deploy(workspace, Person(), Options())

    share = next(small.home.glob("shares/*/*"))
    assert (share / "inference/words.txt").read_text() == f"cancelled at {stage}"
    assert small.json("status")["live"]["detail"] == f"cancelled at {stage}"


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 503}, {"kind": "status", "status": 429}, {"kind": "cut"}]
)
async def test_busy_management_plane_is_asked_again_wherever_it_is(small, workspace, fault):
    """For every n: the nth request to the Resource Manager is refused or lost, and the deploy ends well."""
    more = {"retryAfterSeconds": 1} if fault["kind"] == "status" else {"of": "answer", "bytes": 0}
    for number in range(60):
        (small.folder / "inference/words.txt").write_text(f"{fault} at {number}")
        with FaultInjection(small.home) as faults:
            met = faults.add(**fault, **more, port="management", path="/subscriptions/", skip=number, count=1)
            done = await deploy(workspace, Person(), Options())
            assert done.action == "restart"
            if not faults.hits(met):
                break

    assert number >= 8


async def test_second_look_is_at_the_replica_that_runs(workspace):
    """After all that nothing is left to do."""
    assert (await deploy(workspace, Person(), Options())).action == "nothing"
