"""Provision from the editor: what its output says, and what becomes of the deployment when the editor closes."""

import asyncio
import contextlib

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from tests.support.language_client import LIMIT_SECONDS, editor

from ai_toolkit.local_cloud.faults import FaultInjection
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION


def provision(seen, folder, token):
    params = types.ExecuteCommandParams(
        command="aiToolkit.server.provisionInference",
        arguments=[{"workspaceFolder": folder.as_uri(), "answers": {"subscription": LOCAL_SUBSCRIPTION}}],
        work_done_token=token,
    )
    answer = seen.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params)
    return asyncio.ensure_future(asyncio.wait_for(answer, LIMIT_SECONDS))


async def said(seen, text):
    """Waits until the output has it."""
    async with asyncio.timeout(60):
        while not any(text in line for line in seen.log):  # noqa: ASYNC110  (the log is filled by a callback)
            await asyncio.sleep(0.05)


async def test_a_closed_editor_leaves_the_deployment_running(empty_road):
    """The next run, here on the command line, follows it or finds it done; there is one deployment only."""
    empty_road.run("init")
    empty_road.run("local-cloud", "start")
    with FaultInjection(empty_road.home) as faults:
        faults.add("replica-slow", seconds=4)
        async with editor(dict(empty_road.environment), {}, set()) as seen:
            running = provision(seen, empty_road.folder, "p1")
            await said(seen, "running  containerApps")
        with contextlib.suppress(JsonRpcException, asyncio.CancelledError):
            running.cancel()
            await running
        again = empty_road.run("provision", "--local", "--yes")

    assert "Canceled" not in again.stderr
    assert "Nothing changed since the last provisioning" in again.stderr


async def test_cancel_in_the_notification_says_what_there_is(empty_road):
    """The output and the answer name the state; the deployment is cancelled."""
    empty_road.run("init")
    empty_road.run("local-cloud", "start")
    with FaultInjection(empty_road.home) as faults:
        faults.add("resource-hangs", path="containerApps")
        async with editor(dict(empty_road.environment), {}, set()) as seen:
            running = provision(seen, empty_road.folder, "p1")
            await said(seen, "running  containerApps")
            seen.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token="p1"))
            with contextlib.suppress(JsonRpcException):
                await running
            await said(seen, "Cancelled. In ai-toolkit-local-workspace-")

    assert any("    queued   containerApps" in line for line in seen.log)
    assert any("(5 of 6 done)" in (value.get("message") or "") for token, value in seen.progress if token == "p1")
