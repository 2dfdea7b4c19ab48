"""Files go to the share so that a replica sees the old deploy or the new one, wherever the way is cut."""

import asyncio
from pathlib import PurePosixPath

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from tests.support.azure_files import ORIGIN, AzureFiles, deploy, put

import start
from ai_toolkit.azure.file_share import RANGE_BYTES
from ai_toolkit.azure.share_lock import share_lock
from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.deploy.sync import bring_back_previous, synchronise
from ai_toolkit.deploy.sync_plan import plan_sync
from ai_toolkit.errors import FileChanged, PreviousMissing, ResourceMissing

# The SDK hands aiohttp 4 MiB at a time as bytes, of which aiohttp warns.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
def azure_files(tmp_path):
    return AzureFiles(tmp_path / "shares")


async def test_first_deploy_sends_everything(azure_files, workspace):
    """Files arrive at the same paths, and the manifest names them; the way there leaves nothing behind."""
    put(workspace, **{"inference/engine/model.py": "x" * 5_000_000})
    plan = await deploy(azure_files, workspace)

    assert plan.uploads == ("inference/engine/model.py", "inference/settings.toml", "inference/start.py")
    assert plan.bytes == 5_000_007
    assert azure_files.paths() == set(plan.uploads)
    assert azure_files.as_a_replica_starts() == {
        "inference/engine/model.py": "x" * 5_000_000,
        "inference/settings.toml": "",
        "inference/start.py": "start 1",
    }
    assert list((azure_files.folder / ".aitk" / "incoming").iterdir()) == []


async def test_second_deploy_of_the_same_files_sends_nothing(azure_files, workspace):
    """Nothing changed, so nothing is written, not even the manifest."""
    await deploy(azure_files, workspace)
    before = azure_files.changes
    plan = await deploy(azure_files, workspace)

    assert plan.empty
    assert plan.unchanged == 2
    assert azure_files.changes == before


async def test_only_differences_are_sent(azure_files, workspace):
    """Added, changed and removed files, each counted as what it is; the old content is kept by its hash."""
    put(workspace, **{"inference/old.py": "old"})
    await deploy(azure_files, workspace)
    (workspace / "inference" / "old.py").unlink()
    put(workspace, **{"inference/start.py": "start 2", "inference/new.py": "new"})
    plan = await deploy(azure_files, workspace)

    assert (plan.added, plan.changed, plan.removed) == (
        ("inference/new.py",),
        ("inference/start.py",),
        ("inference/old.py",),
    )
    assert (plan.unchanged, plan.bytes) == (1, 10)
    assert azure_files.paths() == {"inference/new.py", "inference/start.py", "inference/settings.toml"}
    replaced = {path.read_text() for path in (azure_files.folder / ".aitk" / "replaced").iterdir()}
    assert replaced == {"start 1", "old"}


async def test_progress_ends_at_the_bytes_of_the_plan(azure_files, workspace):
    """What is heard grows to the announced size and number, over all files together."""
    put(workspace, **{"inference/large.bin": "x" * 9_000_000, "inference/small.bin": "y" * 1000})
    heard = []
    async with azure_files.opened() as share:
        plan = await plan_sync(share, local_files(workspace))
        await synchronise(share, plan, ORIGIN, lambda *told: heard.append(told))

    assert sum(count for count, _files in heard) == plan.bytes
    assert max(count for count, _files in heard) <= 4 * 1024 * 1024
    assert sum(files for _count, files in heard) == len(plan.uploads)


async def test_two_files_of_the_same_content_both_arrive(azure_files, workspace):
    """They wait side by side under names of their own."""
    put(workspace, **{"inference/a/__init__.py": "same", "inference/b/__init__.py": "same"})
    await deploy(azure_files, workspace)

    assert azure_files.content("inference/a/__init__.py") == azure_files.content("inference/b/__init__.py") == "same"


async def test_models_are_never_removed(azure_files, workspace):
    """A model that is gone here stays on the share: it may have been made there."""
    put(workspace, **{"models/a/adapter_config.json": "{}", "model-cache/o/n/config.json": "{}"})
    await deploy(azure_files, workspace)
    for path in ("models/a/adapter_config.json", "model-cache/o/n/config.json"):
        (workspace / path).unlink()
    plan = await deploy(azure_files, workspace)

    assert plan.removed == ()
    assert azure_files.paths() >= {"models/a/adapter_config.json", "model-cache/o/n/config.json"}


async def test_model_that_was_trained_anew_on_the_share_is_not_ours_any_more(azure_files, workspace):
    """It stays, and the manifest names the old content no longer."""
    weights = "models/a/adapter_model.safetensors"
    put(workspace, **{"models/a/adapter_config.json": "{}", weights: "old"})
    await deploy(azure_files, workspace)
    for path in ("models/a/adapter_config.json", weights):
        (workspace / path).unlink()
    put(azure_files.folder, **{weights: "trained anew"})
    plan = await deploy(azure_files, workspace)

    assert weights not in plan.manifest.files
    assert "models/a/adapter_config.json" in plan.manifest.files
    assert azure_files.content(weights) == "trained anew"


async def test_requests_are_few(azure_files, workspace):
    """As promised: five when nothing changed, twelve when one file did, the lock's included."""

    async def requests_of_a_deploy():
        azure_files.requests.clear()
        async with azure_files.opened() as share, share_lock(share, print):
            plan = await plan_sync(share, local_files(workspace))
            if not plan.up_to_date:
                await synchronise(share, plan, ORIGIN, lambda _bytes, _files: None)
        return len(azure_files.requests)

    await requests_of_a_deploy()
    nothing = await requests_of_a_deploy()
    put(workspace, **{"inference/start.py": "start 2"})
    one = await requests_of_a_deploy()

    assert nothing <= 5
    assert one <= 12


async def test_base_model_that_fine_tuning_left_is_used(azure_files, workspace):
    """The same file that no deploy put there is theirs: neither sent nor in the manifest."""
    put(workspace, **{"model-cache/o/n/model.safetensors": "weights"})
    put(azure_files.folder, **{"model-cache/o/n/model.safetensors": "weights"})
    plan = await deploy(azure_files, workspace)

    assert "model-cache/o/n/model.safetensors" not in plan.uploads
    assert "model-cache/o/n/model.safetensors" not in azure_files.as_a_replica_starts()


async def test_other_model_under_the_same_name_is_a_conflict(azure_files, workspace):
    """Another file is not replaced, also when it is as long; it is named, and the rest goes."""
    put(workspace, **{"models/a/adapter_config.json": "{}", "models/a/adapter_model.safetensors": "mine"})
    put(azure_files.folder, **{"models/a/adapter_model.safetensors": "HERS"})
    plan = await deploy(azure_files, workspace)

    assert plan.conflicting == ("models/a/adapter_model.safetensors",)
    assert azure_files.content("models/a/adapter_model.safetensors") == "HERS"
    assert "models/a/adapter_model.safetensors" not in azure_files.as_a_replica_starts()


async def test_conflict_that_is_agreed_to_is_replaced_and_kept(azure_files, workspace):
    """What stood there is still on the share, under its hash."""
    put(workspace, **{"models/a/adapter_config.json": "{}", "models/a/adapter_model.safetensors": "mine"})
    put(azure_files.folder, **{"models/a/adapter_model.safetensors": "HERS"})
    async with azure_files.opened() as share:
        plan = (await plan_sync(share, local_files(workspace))).replacing_conflicts()
        await synchronise(share, plan, ORIGIN, lambda _bytes, _files: None)

    assert azure_files.content("models/a/adapter_model.safetensors") == "mine"
    assert [path.read_text() for path in (azure_files.folder / ".aitk/replaced").iterdir()] == ["HERS"]


async def test_code_that_was_put_there_by_hand_is_replaced(azure_files, workspace):
    """inference/ is the deploy's own folder: a first deploy takes it over."""
    put(azure_files.folder, **{"inference/start.py": "by hand"})
    await deploy(azure_files, workspace)

    assert azure_files.content("inference/start.py") == "start 1"


@pytest.mark.parametrize(
    "refusal",
    [(403, "AuthenticationFailed"), (403, "AuthorizationFailure"), (409, "ShareSizeLimitReached"), (400, "InvalidMd5")],
    ids=["expired key", "no longer allowed", "full share", "content damaged on its way"],
)
async def test_cut_deploy_leaves_the_old_one_or_the_new_and_is_mended_by_the_next(azure_files, workspace, refusal):
    """After each single change to the share the way is cut: a replica starts with one whole deploy, never a mixture."""
    azure_files.refusal = refusal
    put(workspace, **{"inference/old.py": "old"})
    await deploy(azure_files, workspace)
    whole = [azure_files.as_a_replica_starts()]
    length = 0
    for generation in range(1, 40):
        put(workspace, **{"inference/start.py": f"start {generation + 1}", f"inference/new{generation}.py": "new"})
        for gone in ("old.py", f"new{generation - 1}.py"):
            (workspace / "inference" / gone).unlink(missing_ok=True)
        whole.append({path: file.source.read_text() for path, file in local_files(workspace).items()})
        azure_files.changes, azure_files.requests_until_refusal = 0, length
        try:
            await deploy(azure_files, workspace)
        except* HttpResponseError:
            pass
        else:
            break
        length += 1
        assert azure_files.as_a_replica_starts() in whole[-2:]
        azure_files.requests_until_refusal = None
        await deploy(azure_files, workspace)
        assert azure_files.as_a_replica_starts() == whole[-1]

    assert length > 5
    assert azure_files.paths() == set(whole[-1])


async def test_cut_deploy_followed_by_another_one_ends_with_that(azure_files, workspace):
    """The files change again after the cut: what stands there from the cut deploy counts for nothing."""
    await deploy(azure_files, workspace)
    for length in range(12):
        put(workspace, **{"inference/start.py": f"cut {length}", "inference/settings.toml": f"cut {length}"})
        azure_files.changes, azure_files.requests_until_refusal = 0, length
        try:
            await deploy(azure_files, workspace)
        except* HttpResponseError:
            pass
        put(workspace, **{"inference/start.py": f"last {length}", "inference/settings.toml": f"cut {length}"})
        azure_files.requests_until_refusal = None
        await deploy(azure_files, workspace)

        last = {"inference/start.py": f"last {length}", "inference/settings.toml": f"cut {length}"}
        assert azure_files.as_a_replica_starts() == last
        assert {path: azure_files.content(path) for path in last} == last


async def test_missing_file_and_directory_are_no_errors(azure_files):
    """What a first deploy asks for and does not find."""
    async with azure_files.opened() as share:
        assert await share.read(PurePosixPath("no/file")) is None
        assert await share.list_directory(PurePosixPath("no")) == {}
        await share.delete(PurePosixPath("no/file"))


async def test_share_that_is_not_there_is_told(azure_files):
    """A name in the config file may be wrong."""
    azure_files.folder.rmdir()
    async with azure_files.opened() as share:
        with pytest.raises(ResourceMissing, match="file share share"):
            await plan_sync(share, {})


async def test_code_that_somebody_edited_on_the_share_is_replaced_and_kept(azure_files, workspace):
    """In inference/ the workspace wins, and what it replaces can be had back."""
    await deploy(azure_files, workspace)
    put(azure_files.folder, **{"inference/start.py": "edited there"})
    plan = await deploy(azure_files, workspace)

    assert plan.changed == ("inference/start.py",)
    assert azure_files.content("inference/start.py") == "start 1"
    assert "edited there" in {path.read_text() for path in (azure_files.folder / ".aitk/replaced").iterdir()}


async def test_file_that_vanished_from_the_share_is_sent_again(azure_files, workspace):
    """The manifest alone is not believed."""
    await deploy(azure_files, workspace)
    (azure_files.folder / "inference/start.py").unlink()
    plan = await deploy(azure_files, workspace)

    assert plan.added == ("inference/start.py",)
    assert azure_files.content("inference/start.py") == "start 1"


async def test_removed_file_that_somebody_edited_there_is_left(azure_files, workspace):
    """What we did not put there is not deleted."""
    put(workspace, **{"inference/old.py": "old"})
    await deploy(azure_files, workspace)
    (workspace / "inference/old.py").unlink()
    put(azure_files.folder, **{"inference/old.py": "edited there"})
    plan = await deploy(azure_files, workspace)

    assert (plan.removed, plan.left) == ((), ("inference/old.py",))
    assert azure_files.content("inference/old.py") == "edited there"


async def test_previous_deploy_comes_back_and_forth(azure_files, workspace):
    """The code of the deploy before is on the share again, and once more brings the newer one back."""
    put(workspace, **{"inference/same1.py": "twice", "inference/same2.py": "twice"})
    await deploy(azure_files, workspace)
    first = azure_files.as_a_replica_starts()
    put(workspace, **{"inference/start.py": "start 2", "inference/new.py": "new", "inference/same1.py": "other"})
    (workspace / "inference/settings.toml").unlink()
    (workspace / "inference/same2.py").unlink()
    await deploy(azure_files, workspace)
    second = azure_files.as_a_replica_starts()
    seen = []
    for _ in range(2):
        async with azure_files.opened() as share:
            now = Manifest.parse(await share.read(MANIFEST_PATH))
            await bring_back_previous(share, now, ORIGIN)
        seen.append((azure_files.as_a_replica_starts(), azure_files.paths()))

    assert seen == [(first, set(first)), (second, set(second))]


async def test_without_a_previous_deploy_nothing_is_touched(azure_files, workspace):
    """There is nothing to go back to after the first one."""
    await deploy(azure_files, workspace)
    before = azure_files.changes
    async with azure_files.opened() as share:
        with pytest.raises(PreviousMissing):
            await bring_back_previous(share, Manifest.parse(await share.read(MANIFEST_PATH)), ORIGIN)

    assert azure_files.changes == before


async def test_replica_that_starts_after_any_request_gets_one_whole_deploy(azure_files, workspace):
    """After every single change of a deploy a replica's own start copies the old deploy or the new."""
    await deploy(azure_files, workspace)
    old = azure_files.as_a_replica_starts()
    put(workspace, **{"inference/start.py": "start 2", "inference/engine/new.py": "new"})
    (workspace / "inference/settings.toml").unlink()
    new = {path: file.source.read_text() for path, file in local_files(workspace).items()}
    copies = []

    def start_a_replica():
        target = workspace.parent / f"replica{len(copies)}"
        start.copy_code(azure_files.folder, target)
        copies.append({p.relative_to(target).as_posix(): p.read_text() for p in target.rglob("*") if p.is_file()})

    azure_files.after_change = start_a_replica
    await deploy(azure_files, workspace)

    assert len(copies) > 8
    assert [copy for copy in copies if copy not in (old, new)] == []
    assert (copies[0], copies[-1]) == (old, new)


async def test_file_that_changes_while_it_is_sent_ends_the_deploy_before_anything_is_in_place(azure_files, workspace):
    """What runs stays whole; the sentence names the file."""
    await deploy(azure_files, workspace)
    put(workspace, **{"inference/start.py": "start 2"})
    async with azure_files.opened() as share:
        plan = await plan_sync(share, local_files(workspace))
        put(workspace, **{"inference/start.py": "start 3"})
        with pytest.raises(ExceptionGroup) as caught:
            await synchronise(share, plan, ORIGIN, lambda _bytes, _files: None)

    assert caught.group_contains(FileChanged, match=r"start\.py changed while it was being sent")
    assert azure_files.content("inference/start.py") == "start 1"


class CutUpload(AzureFiles):
    """Stores the first `whole` ranges of 4 MiB, and then refuses all others that have come."""

    def __init__(self, home):
        super().__init__(home)
        self.whole = None
        self.stored = []
        self._begun = 0
        self._all_stored = asyncio.Event()

    async def answer(self, request):
        if int(request.headers.get("Content-Length", 0)) < RANGE_BYTES:
            return await super().answer(request)
        self._begun += 1
        if self.whole is not None and self._begun > self.whole:
            await request.read()
            await self._all_stored.wait()
            return web.Response(status=403, headers={"x-ms-error-code": "AuthorizationFailure"})
        answer = await super().answer(request)
        self.stored.append(request.headers["x-ms-range"])
        if len(self.stored) == self.whole:
            self._all_stored.set()
        return answer


async def test_interrupted_large_upload_goes_on_from_its_last_good_range(tmp_path, workspace):
    """Ranges that arrived are not sent again."""
    azure_files = CutUpload(tmp_path / "shares")
    put(workspace, **{"model-cache/o/n/model.safetensors": "x" * (10 * RANGE_BYTES + 5)})
    azure_files.whole = 3
    with pytest.raises(ExceptionGroup):
        await deploy(azure_files, workspace)
    first, azure_files.whole, azure_files.stored = azure_files.stored, None, []
    await deploy(azure_files, workspace)

    assert (len(first), len(azure_files.stored)) == (3, 7)
    assert not set(first) & set(azure_files.stored)
    assert (azure_files.folder / "model-cache/o/n/model.safetensors").stat().st_size == 10 * RANGE_BYTES + 5
    assert set(azure_files.content("model-cache/o/n/model.safetensors")) == {"x"}
