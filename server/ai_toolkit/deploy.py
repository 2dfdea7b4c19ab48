"""Use-case: AI Toolkit: Deploy for inference."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ai_toolkit import __version__
from ai_toolkit.cloud import open_cloud
from ai_toolkit.deploy_questions import agree_to, choose_base_models
from ai_toolkit.endpoint import Endpoint
from ai_toolkit.errors import FileMissing, Interrupted
from ai_toolkit.follow_start import Start, follow_start
from ai_toolkit.git import head_commit
from ai_toolkit.loaded import LoadedAdapter, files_are, loaded_is, only_adapters_changed, stale_adapters
from ai_toolkit.local_files import ADAPTERS, LocalFile, local_files
from ai_toolkit.manifest import MANIFEST_PATH, Manifest, Origin
from ai_toolkit.new_revision import new_revision
from ai_toolkit.own_endpoint import whole_target
from ai_toolkit.plan_sync import Plan, plan_sync
from ai_toolkit.running_app import Running, offer_key, what_runs
from ai_toolkit.synchronise import bring_back_previous, synchronise
from ai_toolkit.transfer_rate import TransferRate
from ai_toolkit.ui import CLOSING, Ui
from ai_toolkit.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.azure.file_share import FileShare
    from ai_toolkit.azure.share_lock import Holder

NOTHING: Final = "nothing"
LOAD_ADAPTERS: Final = "load adapters"
RESTART: Final = "restart"
NEW_REVISION: Final = "new revision"
WAKE: Final = "wake"
LATER: Final = "load at next start"
_LOADS: Final = 30
_LOAD_AGAIN_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Options:
    """How to deploy; None asks.

    `conflicts` is `keep` or `replace`, `base_models` is `upload` or `download`, `key` is `add` or `none`.
    """

    previous: bool = False
    restart: bool = False
    wake: bool = False
    conflicts: str | None = None
    base_models: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Planned:
    """What a deploy would do (`--dry-run`)."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    conflicting: tuple[str, ...]
    unchanged: int
    bytes: int
    action: str


@dataclass(frozen=True)
class Deployed:
    """What a deploy did: files and bytes sent, and the action.

    That is `nothing`, `load adapters`, `restart`, `new revision`, `wake` or `load at next start`.
    """

    endpoint: str
    uploaded: int
    bytes: int
    action: str


async def deploy(workspace: Workspace, ui: Ui, options: Options = Options()) -> Deployed:
    """Synchronises the newest files with the share, takes the cheapest sufficient action, and proves what is loaded."""
    with _what_a_cancel_leaves() as left:
        target = await whole_target(workspace)
        if workspace.target_without_endpoint() is not None:
            workspace.write_target(target)
        if not (workspace.folder / "inference").is_dir():
            raise FileMissing(workspace.folder / "inference", "Run aitk init (Create inference project) to add it.")
        ui.report("reading the workspace", 0)
        files = await asyncio.to_thread(local_files, workspace.folder)
        commit = await head_commit(workspace.folder)
        origin = Origin.now(f"ai-toolkit-server {__version__}", commit)

        async with (
            open_cloud(target.subscription) as cloud,
            cloud.container_apps(target.subscription, target.resource_group) as apps,
        ):
            running = await what_runs(apps, workspace, target, cloud.endpoint_scheme)
            running = await offer_key(apps, running, workspace.folder, ui, options.key)
            async with cloud.file_share(target) as share:
                left.append("what a replica loads is as it was; what was sent already is not sent again.")
                if options.previous:
                    manifest, sent, size = await _bring_back(share, origin, ui), 0, 0
                    action = _action(None, running, options)
                else:
                    plan, manifest = await _synchronise(share, files, origin, options, ui)
                    sent, size = len(plan.uploads), plan.bytes
                    action = _action(plan, running, options)
            left.append("the files are on the share, and a replica that starts loads them.")
            await _act(apps, running, action, manifest, ui)
    ui.announce(f"Inference endpoint: {target.endpoint}")
    return Deployed(target.endpoint, sent, size, action)


async def preview(workspace: Workspace, ui: Ui, options: Options) -> Planned:
    """What `deploy` would send and do; changes nothing."""
    target = await whole_target(workspace)
    files = await asyncio.to_thread(local_files, workspace.folder)
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
        cloud.file_share(target) as share,
    ):
        running = await what_runs(apps, workspace, target, cloud.endpoint_scheme)
        plan = await plan_sync(share, files)
    return _planned(plan, _action(plan, running, options), ui)


@contextmanager
def _what_a_cancel_leaves() -> Iterator[list[str]]:
    """Turns a cancellation into Interrupted with the last sentence of the list, which says what there is now."""
    left = ["nothing was changed."]
    try:
        yield left
    except asyncio.CancelledError as reason:
        if CLOSING in reason.args:
            raise
        raise Interrupted(f"Cancelled: {left[-1]}") from reason


async def _synchronise(
    share: "FileShare", files: Mapping[str, LocalFile], origin: Origin, options: Options, ui: Ui
) -> tuple[Plan, Manifest]:
    from ai_toolkit.azure.share_lock import share_lock  # noqa: PLC0415  (loads the Azure SDK)

    async with share_lock(share, _lock_broken(ui)):
        ui.report("comparing with the share", 2)
        files = await choose_base_models(ui, share, files, options.base_models)
        plan = await plan_sync(share, files)
        ui.announce(in_words(plan))
        if plan.up_to_date and not plan.conflicting:
            return plan, plan.manifest
        plan = await agree_to(ui, plan, options.conflicts)
        return plan, await synchronise(share, plan, origin, TransferRate(plan.bytes, len(plan.uploads), ui).sent)


async def _bring_back(share: "FileShare", origin: Origin, ui: Ui) -> Manifest:
    from ai_toolkit.azure.share_lock import share_lock  # noqa: PLC0415  (loads the Azure SDK)

    async with share_lock(share, _lock_broken(ui)):
        now = Manifest.parse(await share.read(MANIFEST_PATH))
        manifest = await bring_back_previous(share, now, origin)
    when = now.origin.deployed if now.origin else "the last deploy"
    ui.announce(f"The code of before {when} is back on the share; the workspace here is as it was.")
    return manifest


def _lock_broken(ui: Ui) -> "Callable[[Holder], None]":
    def told(holder: "Holder") -> None:
        ui.announce(f"The deploy of {holder.owner} since {holder.since} has died; its lock was broken.")

    return told


def _action(plan: Plan | None, running: Running, options: Options) -> str:
    """The cheapest that is enough, by what runs and what is on the share afterwards."""
    if running.properties:
        return NEW_REVISION
    if not running.replicas:
        return WAKE if options.wake else LATER
    if plan is None or options.restart:
        return RESTART
    if plan.empty and _has_loaded(running, plan.manifest):
        return NOTHING
    if len(running.replicas) == 1 and only_adapters_changed(running.loaded, plan):
        return LOAD_ADAPTERS
    return RESTART


def _has_loaded(running: Running, manifest: Manifest) -> bool:
    """By its hashes; of an app that has none to tell, by whether its replicas are younger than what is on the share."""
    if running.loaded is not None:
        return loaded_is(running.loaded, manifest)
    newest = manifest.newest_code
    return newest is None or running.created is None or running.created > newest


async def _act(apps: "ContainerApps", running: Running, action: str, manifest: Manifest, ui: Ui) -> None:
    app, name = running.app, running.app.name
    start = Start(app, (), manifest)
    if action == LATER:
        ui.announce("No replica runs, so no GPU is billed. The next request starts one, which loads these files.")
        return
    async with Endpoint.open(running.endpoint, running.key) as endpoint:
        if action == NEW_REVISION:
            why = "its parameters ask for" if running.differs else "a key needs"
            ui.announce(f"{name} gets a new revision: {app.active_revision} has not what {why}.")
            async with new_revision(apps, app, running.properties, ui) as changed:
                await follow_start(apps, endpoint, replace(start, app=changed), ui)
            return
        if action == RESTART:
            ui.report("restarting the replica", 62)
            await apps.restart(name, app.active_revision)
            start = replace(start, replicas_before=running.replicas)
        if action == LOAD_ADAPTERS:
            for adapter in stale_adapters(running.loaded or {}, manifest):
                ui.report(f"loading the adapter {adapter.id}", 62)
                await _load_adapter(endpoint, adapter, manifest)
        if action == WAKE:
            ui.report("waking the replica", 62)
            await endpoint.readiness()
        await follow_start(apps, endpoint, start, ui)


async def _load_adapter(endpoint: Endpoint, adapter: LoadedAdapter, manifest: Manifest) -> None:
    """Loads it again until the replica's mount, which may remember the old file for a while, shows the new one."""
    for _ in range(_LOADS):
        files = await endpoint.load_adapter(adapter.id, adapter.path.removeprefix(f"{ADAPTERS}/"))
        if files_are(files, adapter, manifest):
            return
        await asyncio.sleep(_LOAD_AGAIN_SECONDS)


def in_words(plan: Plan) -> str:
    """The plan in one line."""
    if plan.empty and not plan.conflicting:
        return f"Nothing changed in {plan.unchanged} files."
    parts = [
        f"{len(plan.added)} added",
        f"{len(plan.changed)} changed",
        f"{len(plan.removed)} removed",
        *([f"{len(plan.conflicting)} in conflict"] if plan.conflicting else []),
        f"{plan.unchanged} unchanged",
    ]
    left = "".join(f"\nNot ours any more, because it was changed on the share: {path}" for path in plan.left)
    return f"{', '.join(parts)}; {plan.bytes / 1e6:.1f} MB to send.{left}"


def _planned(plan: Plan, action: str, ui: Ui) -> Planned:
    marks = (("+", plan.added), ("~", plan.changed), ("-", plan.removed), ("!", plan.conflicting))
    for mark, paths in marks:
        for path in paths:
            ui.announce(f"{mark} {path}")
    ui.announce(f"{in_words(plan)} Then: {action}. This was a dry run: nothing was done.")
    return Planned(plan.added, plan.changed, plan.removed, plan.conflicting, plan.unchanged, plan.bytes, action)
