"""The deployment itself: told resource by resource, repeated, cancelled, left running, failing, on a bad network."""

import asyncio

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from tests.support.provisioning import Person

from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.azure.deployments import Operation
from ai_toolkit.errors import CloudUnreachable, DeploymentFailed, Interrupted
from ai_toolkit.provision.progress import ResourceProgress
from ai_toolkit.ui import CLOSING

LIMIT_SECONDS = 30


async def until(condition):
    """Waits until it holds; other processes send no event."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (found := await condition()):  # noqa: ASYNC110  (the cloud is another process)
            await asyncio.sleep(0.05)
    return found


async def running(ground):
    return await until(lambda: _active(ground))


async def _active(ground):
    return [one for one in await ground.deployments() if one.active]


async def waits_for_the_app(ground, person):
    """The deployment hangs at its last resource."""

    async def seen():
        return any("running  containerApps" in line for line in person.said)

    await until(seen)


async def test_every_resource_is_told_from_queued_to_done(ground):
    """In the output each change, in the notification what runs and how much is done."""
    person = Person()
    await ground.provision(person)
    resources = ("storageAccounts", "shares", "workspaces", "managedEnvironments", "storages", "containerApps")

    assert [kind for kind in resources if f"queued   {kind}" not in person.text] == []
    assert [kind for kind in resources if f"done     {kind}" not in person.text] == []
    assert "(6 of 6 done)" in "\n".join(person.reports)


def test_progress_counts_seconds_and_names_failures():
    """Seconds since it began, and after ten what is usual on Azure; a failed resource is told as such."""
    person, now = Person(), 100.0
    identifier = "/s/providers/Microsoft.App/containerApps/app"
    progress = ResourceProgress(person, [identifier, "/s/providers/Microsoft.App/managedEnvironments/env"], lambda: now)
    progress.observe([Operation(identifier, "Microsoft.App/containerApps", "app", "Running")])
    now = 109.0
    progress.observe([Operation(identifier, "Microsoft.App/containerApps", "app", "Running")])
    now = 142.0
    progress.observe([Operation(identifier, "Microsoft.App/containerApps", "app", "Running")])
    progress.observe([Operation(identifier, "Microsoft.App/containerApps", "app", "Failed")])

    usual = "usually a quarter of a minute without a GPU; with one it is not known here"
    assert person.reports[1] == "containerApps app: running 9 s (0 of 2 done)"
    assert person.reports[2] == f"containerApps app: running 42 s, {usual} (0 of 2 done)"
    assert person.said[-1] == "    failed   containerApps app after 42 s"


async def test_what_is_created_is_tagged(ground):
    """By the tag, a person finds in the portal what is ours."""
    await ground.provision()
    async with ground.client(ResourceManagementClient) as client:
        group = await client.resource_groups.get(ground.group)
        resources = [one async for one in client.resources.list_by_resource_group(ground.group)]

    assert group.tags["ai-toolkit"] == "inference"
    assert [one.name for one in resources if "ai-toolkit" not in (one.tags or {})] == []


async def test_run_twice_deploys_nothing_and_says_so(ground):
    """Decided by the last success, the content and what is there."""
    first = await ground.provision()
    person = Person()
    second = await ground.provision(person)

    assert "Nothing changed since the last provisioning" in person.text
    assert (second.endpoint, second.created, second.updated) == (first.endpoint, (), ())
    assert len(await ground.deployments()) == 1


async def test_parameters_taken_back_are_deployed_again(ground):
    """A, B, A: the third run is no repetition of the last. The one GPU goes from revision to revision."""
    names, person = [], Person()
    for most in (1, 2, 1):
        ground.give(maximumInstanceCount=most)
        await ground.provision(person)
        names.append((await ground.deployments())[0].name)
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        app = await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])

    assert names[0] == names[2] != names[1]
    assert "is stopped before the new revision starts" in person.text
    assert app.template.scale.max_replicas == 1


async def test_what_was_deleted_since_is_made_again(ground):
    """The last success counts only while what it made is there."""
    await ground.provision()
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        await (await client.container_apps.begin_delete(ground.group, ground.config["ACA_APP_NAME"])).result()
    done = await ground.provision()

    assert [one.split("/")[-2] for one in done.created] == ["containerApps"]


async def test_cancelled_before_anything_was_sent(ground):
    """The first of the three states."""

    class Waiting(Person):
        def report(self, message, percentage=None):
            super().report(message, percentage)
            if message.startswith("checking"):
                asyncio.current_task().cancel()

    with pytest.raises(Interrupted, match="nothing had been sent"):
        await asyncio.create_task(ground.provision(Waiting()))
    async with ground.manager() as manager:
        assert await manager.resource_group(ground.group) is None


async def test_cancelled_on_the_way_says_what_exists(ground):
    """The second: Azure was asked, the deployment is Canceled, and what it made is listed."""
    person = Person()
    with ground.faults() as faults:
        faults.add("resource-hangs", path=f"{ground.group}/.*containerApps")
        task = asyncio.create_task(ground.provision(person))
        await waits_for_the_app(ground, person)
        task.cancel()
        with pytest.raises(Interrupted) as raised:
            await task

    assert [one.state for one in await ground.deployments()] == ["Canceled"]
    assert "Cancelled. In " in raised.value.message
    assert "managedenvironments" in raised.value.message


async def test_cancelled_too_late_says_that_it_had_finished(ground):
    """The third: everything is provisioned, and the config file is written."""
    person = Person()
    with ground.faults() as faults:
        slow = faults.add(
            "latency", method="GET", path=f"{ground.group}/.*ai-toolkit-inference-", seconds=4, count=None
        )
        task = asyncio.create_task(ground.provision(person))

        async def finished():
            return [one for one in await ground.deployments() if one.succeeded]

        await until(finished)
        task.cancel()
        faults.remove(slow)
        with pytest.raises(Interrupted, match="had already finished: everything is provisioned"):
            await task

    assert ground.config["RESOURCE_GROUP_NAME"] == ground.group


async def test_a_closing_editor_leaves_the_deployment_running_and_the_next_run_follows_it(ground):
    """Nothing is cancelled, and nothing is started a second time."""
    with ground.faults() as faults:
        faults.add("replica-slow", seconds=3)
        task = asyncio.create_task(ground.provision())
        await running(ground)
        task.cancel(CLOSING)
        with pytest.raises(asyncio.CancelledError):
            await task
        person = Person()
        assert await _active(ground)
        done = await ground.provision(person)

    assert "is followed, not started again" in person.text
    assert len(await ground.deployments()) == 1
    assert ground.config["ACA_APP_ENDPOINT"] == done.endpoint


async def test_a_lost_network_leaves_the_deployment_running(ground):
    """The message says that it goes on, and the next run takes it up."""
    person = Person()
    with ground.faults() as faults:
        faults.add("resource-hangs", path=f"{ground.group}/.*containerApps")
        task = asyncio.create_task(ground.provision(person))
        await waits_for_the_app(ground, person)
        faults.add("cut", method="GET", path=f"{ground.group}/.*ai-toolkit-inference-", count=None)
        with pytest.raises(CloudUnreachable, match="goes on without it"):
            await task

    assert await _active(ground)
    other = Person()
    task = asyncio.create_task(ground.provision(other))

    async def followed():
        return "is followed, not started again" in other.text

    await until(followed)
    task.cancel()
    with pytest.raises(Interrupted, match="Cancelled"):
        await task


async def test_a_failing_resource_is_told_with_code_cause_and_link(ground):
    """The innermost error in words, what it usually means, what to do, and where to read more."""
    with ground.faults() as faults:
        code = "ManagedEnvironmentCountExceededForSubscription"
        faults.add(
            "resource-fails", path=f"{ground.group}/.*managedEnvironments/[^/]*$", code=code, message="Too many."
        )
        with pytest.raises(DeploymentFailed) as raised:
            await ground.provision()
    told = str(raised.value)

    assert f"Too many ({code})." in told
    assert "as many Container Apps environments as it may have" in told
    assert "Name an existing one in acaEnvironmentName" in told
    assert "https://aka.ms/" in told


@pytest.mark.parametrize("status", [429, 503])
async def test_throttling_and_server_errors_are_retried_with_the_servers_delay(ground, status):
    """Each kind of request meets one on its way, the PUT too; the person sees nothing of it."""
    with ground.faults() as faults:
        put = faults.add("status", status=status, retryAfterSeconds=1, method="PUT", path="ai-toolkit-inference-")
        check = faults.add("status", status=status, retryAfterSeconds=1, method="POST", path="checkNameAvailability")
        await ground.provision()

        assert [faults.hits(one) for one in (put, check)] == [1, 1]
    assert len(await ground.deployments()) == 1


async def test_a_deployment_that_azure_does_not_know_yet_is_asked_for_again(ground):
    """404 right after submission is not an end."""
    with ground.faults() as faults:
        early = faults.add("not-found", method="GET", path=r"ai-toolkit-inference-\w+\?", count=2)
        await ground.provision()

        assert faults.hits(early) == 2


async def test_a_lost_answer_to_the_put_starts_no_second_deployment(ground):
    """The connection is cut after Azure took it: the SDK's repetition is refused as active, and it is followed."""
    with ground.faults() as faults:
        faults.add("replica-slow", seconds=2)
        faults.add("cut", method="PUT", path="ai-toolkit-inference-")
        await ground.provision()

    assert len(await ground.deployments()) == 1


async def test_a_change_that_fails_leaves_the_old_revision_serving(ground):
    """Its GPU had been given back for the new one: it runs again, and that is said."""
    await ground.provision()
    ground.give(maximumInstanceCount=2)
    person = Person()
    with ground.faults() as faults:
        faults.add("resource-fails", path=f"{ground.group}/.*containerApps")
        with pytest.raises(DeploymentFailed):
            await ground.provision(person)
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        revisions = client.container_apps_revisions.list_revisions(ground.group, ground.config["ACA_APP_NAME"])
        active = [one.name async for one in revisions if one.active]

    assert f"{active[0]} serves again." in person.text
    assert f"{active[0]} is stopped before the new revision starts." in person.text


async def test_a_repeated_deployment_that_never_arrived_is_not_taken_for_its_forerunner(ground):
    """A, B, and A cancelled before its PUT arrived: nothing had been sent, whatever A was before."""
    for most in (1, 2):
        ground.give(maximumInstanceCount=most)
        await ground.provision()
    ground.give(maximumInstanceCount=1)
    with ground.faults() as faults:
        put = faults.add("status", method="PUT", path="ai-toolkit-inference-", status=503, retryAfterSeconds=20)
        task = asyncio.create_task(ground.provision())

        async def tried():
            return faults.hits(put)

        await until(tried)
        task.cancel()
        with pytest.raises(Interrupted, match="nothing had been sent"):
            await task
