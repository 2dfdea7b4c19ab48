"""A deploy through a service that is busy, or a network that is cut, at any one of its requests."""

import asyncio

import pytest
from azure.core.exceptions import AzureError
from tests.support.azure_files import AzureFiles, deploy, deploy_process, deploy_with_lock, put

from ai_toolkit.azure.file_share import Patience
from ai_toolkit.deploy.local_files import local_files


@pytest.fixture
def azure_files(tmp_path):
    return AzureFiles(tmp_path / "shares")


def change(workspace, generation):
    """A changed, an added and a removed file; returns what the workspace holds."""
    put(workspace, **{"inference/start.py": f"start {generation}", f"inference/new{generation}.py": "new"})
    (workspace / f"inference/new{generation - 1}.py").unlink(missing_ok=True)
    return {path: file.source.read_text() for path, file in local_files(workspace).items()}


@pytest.mark.parametrize("fault", ["cut after", 503, "cut"])
async def test_one_lost_request_is_sent_again_wherever_it_is(azure_files, workspace, fault):
    """For every n: the nth request of a deploy is refused for a moment or lost, and the deploy arrives all the same.

    Azure Files says 503 when it is busy. A request that was carried out although its answer was lost is sent twice,
    which must do no harm.
    """
    await deploy(azure_files, workspace)
    azure_files.fault = fault
    for number in range(100):
        wanted = change(workspace, number)
        azure_files.requests.clear()
        azure_files.fault_at = number
        await deploy_with_lock(azure_files, workspace)
        assert azure_files.as_a_replica_starts() == wanted
        if len(azure_files.requests) <= number:
            break

    assert number > 12


@pytest.mark.parametrize("fault", [503, 429, "cut"])
async def test_network_that_stays_away_loses_nothing(azure_files, workspace, fault):
    """For every n: from the nth request on nothing gets through. What runs is whole, and the next deploy arrives."""
    put(workspace, **{"inference/new-1.py": "new"})
    await deploy(azure_files, workspace)
    whole = [azure_files.as_a_replica_starts()]
    azure_files.fault, azure_files.fault_lasts = fault, 1000
    for number in range(100):
        whole.append(change(workspace, number))
        azure_files.requests.clear()
        azure_files.fault_at = number
        try:
            await deploy(azure_files, workspace, Patience(retries=0))
        except* AzureError:
            pass
        else:
            break
        assert azure_files.as_a_replica_starts() in whole[-2:]
        azure_files.fault_at = None
        await deploy(azure_files, workspace)
        assert azure_files.as_a_replica_starts() == whole[-1]
        assert azure_files.paths() == set(whole[-1])

    assert number > 12


async def test_two_machines_at_once_end_with_one_whole_deploy(azure_files, tmp_path):
    """Each with a workspace of its own, started together: one goes first, the other is told or goes next."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        put(folder, **{"inference/start.py": f"start {folder.name}", f"inference/{folder.name}.py": folder.name})
    whole = [{path: file.source.read_text() for path, file in local_files(folder).items()} for folder in folders]
    async with azure_files.opened():
        for _ in range(5):
            processes = [await deploy_process(azure_files, folder) for folder in folders]
            said = [(await asyncio.wait_for(process.communicate(), 60))[1].decode() for process in processes]
            codes = [process.returncode for process in processes]
            assert 0 in codes
            told = [text.strip().splitlines()[-1] for code, text in zip(codes, said, strict=True) if code]
            assert [text for text in told if "has been deploying to this share since" not in text] == []
            assert azure_files.as_a_replica_starts() in whole
            assert azure_files.paths() == set(azure_files.as_a_replica_starts())
