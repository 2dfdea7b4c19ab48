"""A deploy that is killed after any request leaves one whole deploy, and the next run converges."""

import asyncio
import signal

import pytest
from tests.support.azure_files import AzureFiles, deploy, deploy_process, put

from ai_toolkit.deploy.local_files import local_files


@pytest.fixture
def azure_files(tmp_path):
    return AzureFiles(tmp_path / "shares")


async def test_killed_after_any_change_the_next_run_converges(azure_files, workspace):
    """SIGKILL after the nth change to the share, for every n: never a mixture, and nothing is lost."""
    put(workspace, **{"inference/old.py": "old"})
    await deploy(azure_files, workspace)
    whole = [azure_files.as_a_replica_starts()]
    for generation in range(1, 40):
        put(workspace, **{"inference/start.py": f"start {generation + 1}", "inference/settings.toml": f"{generation}"})
        (workspace / "inference/old.py").unlink(missing_ok=True)
        whole.append({path: file.source.read_text() for path, file in local_files(workspace).items()})
        killed = await _deploy_killed_after(generation, azure_files, workspace)
        assert azure_files.as_a_replica_starts() in whole[-2:]
        azure_files.clock_offset_seconds += 121  # the dead deploy's lock is two minutes old now
        await deploy(azure_files, workspace)
        assert azure_files.as_a_replica_starts() == whole[-1]
        assert azure_files.paths() == set(whole[-1])
        if not killed:
            break

    assert generation > 8


async def _deploy_killed_after(changes, azure_files, workspace):
    """Whether the deploy, a process of its own, was killed before it ended."""
    async with azure_files.opened():
        process = await deploy_process(azure_files, workspace)
        azure_files.changes = 0

        def kill():
            if azure_files.changes >= changes and process.returncode is None:
                process.send_signal(signal.SIGKILL)

        azure_files.after_change = kill
        try:
            code = await asyncio.wait_for(process.wait(), 60)
            return code == -signal.SIGKILL
        finally:
            azure_files.after_change = lambda: None
