"""Files go to the share so that a replica sees the old deploy or the new one, wherever the way is cut.

The share is the local cloud's Azure Files, in this process, asked over HTTP by the real SDK.
"""

import base64
import hashlib
import json
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.errors import ShareConflict, ValueImpossible
from ai_toolkit.local_cloud.files.service import FileService
from ai_toolkit.local_cloud.files.share_folder import Shares
from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.manifest import MANIFEST_PATH, Entry
from ai_toolkit.synchronise import local_files, make_plan, synchronise

# The SDK hands aiohttp 4 MiB at a time as bytes, of which aiohttp warns.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

KEY = b"a key of sixty-four bytes, which is as long as Azure's own keys "


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    put(folder, **{"inference/start.py": "start 1", "inference/settings.toml": ""})
    return folder


def put(folder, **files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


class AzureFiles:
    """One share on disk; `requests_until_refusal` cuts the way after that many changes."""

    def __init__(self, home):
        self.folder = home / "account" / "share"
        self.folder.mkdir(parents=True)
        self.requests_until_refusal = None
        self.changes = 0
        self._service = FileService(Shares(home, SideData(home / "facts")), lambda _account: [KEY], lambda *_: 100)

    async def answer(self, request):
        if request.method not in {"GET", "HEAD"}:
            if self.changes == self.requests_until_refusal:
                return web.Response(status=403, headers={"x-ms-error-code": "AuthorizationFailure"})
            self.changes += 1
        return await self._service.answer(request)

    @asynccontextmanager
    async def opened(self):
        """The share as a deploy opens it."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/account"
            async with FileShare.open(url, "account", base64.b64encode(KEY).decode(), "share") as share:
                yield share
        finally:
            await runner.cleanup()

    def content(self, path):
        return (self.folder / path).read_text()

    def paths(self):
        """What lies on the share, but for our own bookkeeping."""
        found = [path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()]
        return {path.as_posix() for path in found if path.parts[0] != ".aitk"}

    def as_a_replica_starts(self):
        """The deployed code: what the manifest names, at its place or among the replaced files."""
        files = json.loads(self.content(MANIFEST_PATH))["files"]
        return {path: self._by_hash(path, entry["sha256"]) for path, entry in files.items()}

    def _by_hash(self, path, sha256):
        for candidate in (self.folder / path, self.folder / ".aitk" / "replaced" / sha256):
            if candidate.is_file() and hashlib.sha256(candidate.read_bytes()).hexdigest() == sha256:
                return candidate.read_text()
        raise AssertionError(f"{path} is nowhere as the manifest names it")


@pytest.fixture
def azure_files(tmp_path):
    return AzureFiles(tmp_path / "shares")


async def deploy(azure_files, workspace):
    async with azure_files.opened() as share:
        plan = await make_plan(share, local_files(workspace))
        await synchronise(share, plan, "test", lambda _count: None)
    return plan


def paths_of(folder):
    return set(local_files(folder))


def test_code_adapters_and_base_models_belong_on_the_share(workspace):
    """Everything below inference/ and model-cache/, and of models/ the folders that hold an adapter."""
    put(
        workspace,
        **{
            "inference/engine/deep/model.py": "",
            "models/qlora/adapter/adapter_config.json": "{}",
            "models/qlora/adapter/adapter_model.safetensors": "weights",
            "models/qlora/training.log": "not part of an adapter",
            "model-cache/org/name/model.safetensors": "weights",
            "infra/inference.config.json": "{}",
            "notes.md": "",
        },
    )

    assert paths_of(workspace) == {
        "inference/start.py",
        "inference/settings.toml",
        "inference/engine/deep/model.py",
        "models/qlora/adapter/adapter_config.json",
        "models/qlora/adapter/adapter_model.safetensors",
        "model-cache/org/name/model.safetensors",
    }


@pytest.mark.parametrize(
    "path",
    [
        "inference/__pycache__/start.cpython-311.pyc",
        "inference/left.pyc",
        "inference/.git/config",
        "inference/.venv/bin/python",
        "inference/venv/bin/python",
        "inference/node_modules/x.js",
        "inference/.vscode/settings.json",
        "inference/.env",
        "inference/server.pem",
        "inference/server.key",
        "inference/identity.pfx",
        "model-cache/org/.env",
    ],
)
def test_leftovers_and_secrets_stay_here(workspace, path):
    """What other programs leave, and what looks like a secret, is never sent."""
    before = paths_of(workspace)
    put(workspace, **{path: "x"})

    assert paths_of(workspace) == before


def test_file_is_known_by_size_and_hash(workspace):
    """The content decides whether it is sent again, not its time."""
    [entry] = [file.entry for path, file in local_files(workspace).items() if path == "inference/start.py"]

    assert entry == Entry(7, hashlib.sha256(b"start 1").hexdigest())


def test_workspace_without_folders_has_no_files(tmp_path):
    """Nothing to send is no error here; the use-case says what is missing."""
    assert local_files(tmp_path) == {}


def test_link_within_the_workspace_is_followed(workspace):
    """A file or folder that is shared between projects of one workspace goes along."""
    put(workspace, **{"shared/prompts/one.txt": "1"})
    (workspace / "inference" / "prompts").symlink_to(workspace / "shared" / "prompts")
    (workspace / "inference" / "again.py").symlink_to("start.py")

    assert paths_of(workspace) >= {"inference/prompts/one.txt", "inference/again.py"}


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("inference/out", "secret"),
        ("model-cache/out", "secret"),
        ("models/a/out", "secret"),
        ("inference/out", ""),
        ("model-cache/out", ""),
        ("models/a/out", ""),
        ("inference", ""),
    ],
)
def test_link_out_of_the_workspace_is_refused_by_name(tmp_path, link, target):
    """Nothing outside the workspace is sent, and the link that would is named."""
    put(tmp_path, **{"outside/secret": "s", "workspace/models/a/adapter_config.json": "{}"})
    place = tmp_path / "workspace" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(tmp_path / "outside" / target)

    with pytest.raises(ValueImpossible, match="symbolic link: it leads out of the workspace") as raised:
        local_files(tmp_path / "workspace")
    assert str(place) in raised.value.message


def test_link_to_the_whole_disk_is_refused_before_it_is_walked(workspace):
    """The refusal costs no look at what lies behind the link."""
    (workspace / "inference" / "disk").symlink_to("/")

    with pytest.raises(ValueImpossible, match="inference/disk: symbolic link"):
        local_files(workspace)


@pytest.mark.parametrize("target", [".", "..", "../../inference"])
def test_link_back_to_a_folder_above_is_refused(workspace, target):
    """A circle has no end."""
    (workspace / "inference" / "engine").mkdir()
    (workspace / "inference" / "engine" / "circle").symlink_to(target)

    with pytest.raises(ValueImpossible, match=r"circle.*: symbolic link: it leads back"):
        local_files(workspace)


def test_dangling_link_is_left_out(workspace):
    """Editors lock files with links that lead nowhere."""
    (workspace / "inference" / ".#start.py").symlink_to("someone@somewhere.123")
    (workspace / "inference" / "self").symlink_to("self")

    assert paths_of(workspace) == {"inference/start.py", "inference/settings.toml"}


def test_workspace_reached_through_a_link_is_a_workspace(workspace, tmp_path):
    """The folder that the person opened may itself be a link."""
    (tmp_path / "link").symlink_to(workspace)

    assert paths_of(tmp_path / "link") == {"inference/start.py", "inference/settings.toml"}


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
    """What is heard grows to the announced size, over all files together."""
    put(workspace, **{"inference/large.bin": "x" * 9_000_000, "inference/small.bin": "y" * 1000})
    heard = []
    async with azure_files.opened() as share:
        plan = await make_plan(share, local_files(workspace))
        await synchronise(share, plan, "test", heard.append)

    assert heard == sorted(heard)
    assert heard[-1] == plan.bytes


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


async def test_base_model_that_fine_tuning_left_is_used(azure_files, workspace):
    """A file of that size that no deploy put there is theirs: neither sent nor in the manifest."""
    put(workspace, **{"model-cache/o/n/model.safetensors": "weights"})
    put(azure_files.folder, **{"model-cache/o/n/model.safetensors": "WEIGHTS"})
    plan = await deploy(azure_files, workspace)

    assert "model-cache/o/n/model.safetensors" not in plan.uploads
    assert "model-cache/o/n/model.safetensors" not in azure_files.as_a_replica_starts()
    assert azure_files.content("model-cache/o/n/model.safetensors") == "WEIGHTS"


async def test_other_model_under_the_same_name_is_a_conflict(azure_files, workspace):
    """A file of another size is not replaced; it is named, and nothing is changed."""
    put(workspace, **{"models/a/adapter_config.json": "{}", "models/a/adapter_model.safetensors": "mine"})
    put(azure_files.folder, **{"models/a/adapter_model.safetensors": "someone else's"})

    with pytest.raises(ShareConflict, match=r"models/a/adapter_model\.safetensors"):
        await deploy(azure_files, workspace)
    assert azure_files.changes == 0


async def test_code_that_was_put_there_by_hand_is_replaced(azure_files, workspace):
    """inference/ is the deploy's own folder: a first deploy takes it over."""
    put(azure_files.folder, **{"inference/start.py": "by hand"})
    await deploy(azure_files, workspace)

    assert azure_files.content("inference/start.py") == "start 1"


async def test_cut_deploy_leaves_the_old_one_or_the_new_and_is_mended_by_the_next(azure_files, workspace):
    """After each single change to the share the way is cut: a replica starts with one whole deploy, never a mixture."""
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
        assert await share.size(PurePosixPath("no/file")) is None
        await share.delete(PurePosixPath("no/file"))
        assert await share.exists()


async def test_share_that_is_not_there_is_told(azure_files):
    """A name in the config file may be wrong."""
    azure_files.folder.rmdir()
    async with azure_files.opened() as share:
        assert not await share.exists()


def test_hash_is_of_the_content_of_a_large_file(tmp_path):
    """Files are hashed in pieces; the result is that of the whole."""
    content = "0123456789" * 300_000
    put(tmp_path, **{"model-cache/o/n/model.safetensors": content})
    [file] = local_files(tmp_path).values()

    assert file.entry == Entry(len(content), hashlib.sha256(content.encode()).hexdigest())
    assert file.source == Path(tmp_path / "model-cache/o/n/model.safetensors")
