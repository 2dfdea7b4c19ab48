"""A deploy that is killed after any request leaves one whole deploy, and the next run converges."""

import asyncio
import signal

from tests.support.azure_files import AzureFiles, deploy, deploy_process, deploy_with_lock, put

from ai_toolkit.deploy.local_files import local_files

AT_A_TIME = 6
"""Most of each is waiting: the next deploy makes sure for two seconds that the dead one is dead."""


async def test_killed_after_any_change_the_next_run_converges(tmp_path):
    """SIGKILL after the nth change to the share, for every n: never a mixture, and nothing is lost."""
    changes, killed = 0, True
    while killed:
        batch = range(changes + 1, changes + 1 + AT_A_TIME)
        killed = all(await asyncio.gather(*(_converges(tmp_path / str(number), number) for number in batch)))
        changes += AT_A_TIME
        assert changes < 40

    assert changes > 8


async def _converges(folder, changes):
    """Kills the second deploy of a workspace after so many changes to its share; returns whether there were so many."""
    azure_files, workspace = AzureFiles(folder / "shares"), folder / "workspace"
    put(workspace, **{"inference/start.py": "start 1", "inference/settings.toml": "", "inference/old.py": "old"})
    await deploy(azure_files, workspace)
    before = azure_files.as_a_replica_starts()
    put(workspace, **{"inference/start.py": "start 2", "inference/settings.toml": f"# {changes}"})
    (workspace / "inference/old.py").unlink()
    wanted = {path: file.source.read_text() for path, file in local_files(workspace).items()}

    killed = await _deploy_killed_after(changes, azure_files, workspace)
    assert azure_files.as_a_replica_starts() in (before, wanted)
    azure_files.clock_offset_seconds += 121  # the dead deploy's lock is two minutes old now
    await deploy_with_lock(azure_files, workspace)
    assert azure_files.as_a_replica_starts() == wanted
    assert azure_files.paths() == set(wanted)
    return killed


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
