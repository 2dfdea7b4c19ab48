"""Use-case: AI Toolkit: Deploy for inference."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit import __version__
from ai_toolkit.cloud import open_cloud
from ai_toolkit.deploy_questions import agree_to, choose_base_models
from ai_toolkit.endpoint import Endpoint
from ai_toolkit.errors import FileMissing, RevisionFailed
from ai_toolkit.follow_start import Start, follow_start
from ai_toolkit.git import head_commit
from ai_toolkit.loaded import loaded_is, only_adapters_changed, stale_adapters
from ai_toolkit.local_files import ADAPTERS, LocalFile, local_files
from ai_toolkit.manifest import MANIFEST_PATH, Manifest, Origin
from ai_toolkit.own_endpoint import check_own
from ai_toolkit.plan_sync import Plan, plan_sync
from ai_toolkit.synchronise import bring_back_previous, synchronise
from ai_toolkit.transfer_rate import TransferRate
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApp, ContainerApps
    from ai_toolkit.azure.file_share import FileShare
    from ai_toolkit.azure.share_lock import Holder

NOTHING: Final = "nothing"
LOAD_ADAPTERS: Final = "load adapters"
RESTART: Final = "restart"
WAKE: Final = "wake"
LATER: Final = "load at next start"


@dataclass(frozen=True)
class Options:
    """How to deploy. `conflicts` is `keep` or `replace`, `base_models` is `upload` or `download`; None asks."""

    previous: bool = False
    restart: bool = False
    wake: bool = False
    conflicts: str | None = None
    base_models: str | None = None


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

    That is `nothing`, `load adapters`, `restart`, `wake` or `load at next start`.
    """

    endpoint: str
    uploaded: int
    bytes: int
    action: str


@dataclass(frozen=True)
class Running:
    """What runs before the deploy: the replicas' names, and the hashes that one of them says it loaded."""

    app: "ContainerApp"
    endpoint: str
    key: str | None
    replicas: tuple[str, ...]
    loaded: Mapping[str, Any] | None


async def deploy(workspace: Workspace, ui: Ui, options: Options = Options()) -> Deployed:
    """Synchronises the newest files with the share, takes the cheapest sufficient action, and proves what is loaded."""
    target = workspace.target()
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
        running = await _what_runs(apps, workspace, cloud.endpoint_scheme, ui)
        async with cloud.file_share(target) as share:
            if options.previous:
                manifest, sent, size = await _bring_back(share, origin, ui), 0, 0
                action = _action(None, running, options)
            else:
                plan, manifest = await _synchronise(share, files, origin, options, ui)
                sent, size = len(plan.uploads), plan.bytes
                action = _action(plan, running, options)
        await _act(apps, running, action, Start(running.app, running.replicas, manifest), ui)
    ui.announce(f"Inference endpoint: {target.endpoint}")
    return Deployed(target.endpoint, sent, size, action)


async def preview(workspace: Workspace, ui: Ui, options: Options) -> Planned:
    """What `deploy` would send and do; changes nothing."""
    target = workspace.target()
    files = await asyncio.to_thread(local_files, workspace.folder)
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
        cloud.file_share(target) as share,
    ):
        running = await _what_runs(apps, workspace, cloud.endpoint_scheme, ui)
        plan = await plan_sync(share, files)
    return _planned(plan, _action(plan, running, options), ui)


async def _what_runs(apps: "ContainerApps", workspace: Workspace, scheme: str, ui: Ui) -> Running:
    """The app as it is now. A sleeping one is not asked, so that looking wakes nothing."""
    target = workspace.target()
    app = await apps.app(target.app)
    check_own(workspace, f"{scheme}://{app.host}")  # the key is for this host alone
    names = tuple(replica.name for replica in await apps.replicas(app.name, app.active_revision))
    state, problem = await apps.revision(app.name, app.active_revision)
    if problem and not names:
        raise RevisionFailed(app.active_revision, state, problem)
    key = await apps.key(target.app)
    if key is None:
        ui.announce(f"{target.app} has no key: its endpoint answers anyone who knows the address.")
    if not names:
        return Running(app, target.endpoint, key, names, None)
    async with Endpoint.open(target.endpoint, key) as endpoint:
        return Running(app, target.endpoint, key, names, await endpoint.version())


async def _synchronise(
    share: "FileShare", files: Mapping[str, LocalFile], origin: Origin, options: Options, ui: Ui
) -> tuple[Plan, Manifest]:
    from ai_toolkit.azure.share_lock import share_lock  # noqa: PLC0415  (loads the Azure SDK)

    async with share_lock(share, _lock_broken(ui)) as lock:
        ui.report("comparing with the share", 2)
        files = await choose_base_models(ui, share, files, options.base_models)
        plan = await plan_sync(share, files)
        ui.announce(in_words(plan))
        if plan.up_to_date and not plan.conflicting:
            return plan, plan.manifest
        await lock.claim()
        plan = await agree_to(ui, plan, options.conflicts)
        return plan, await synchronise(share, plan, origin, TransferRate(plan.bytes, len(plan.uploads), ui).sent)


async def _bring_back(share: "FileShare", origin: Origin, ui: Ui) -> Manifest:
    from ai_toolkit.azure.share_lock import share_lock  # noqa: PLC0415  (loads the Azure SDK)

    async with share_lock(share, _lock_broken(ui)) as lock:
        now = Manifest.parse(await share.read(MANIFEST_PATH))
        await lock.claim()
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
    if not running.replicas:
        return WAKE if options.wake else LATER
    if plan is None or options.restart:
        return RESTART
    if plan.empty and loaded_is(running.loaded, plan.manifest):
        return NOTHING
    if len(running.replicas) == 1 and only_adapters_changed(running.loaded, plan):
        return LOAD_ADAPTERS
    return RESTART


async def _act(apps: "ContainerApps", running: Running, action: str, start: Start, ui: Ui) -> None:
    if action == LATER:
        ui.announce("No replica runs, so no GPU is billed. The next request starts one, which loads these files.")
        return
    if action == RESTART:
        ui.report("restarting the replica", 62)
        await apps.restart(running.app.name, running.app.active_revision)
    else:
        start = replace(start, replicas_before=())
    async with Endpoint.open(running.endpoint, running.key) as endpoint:
        if action == LOAD_ADAPTERS:
            for adapter in stale_adapters(running.loaded or {}, start.manifest):
                ui.report(f"loading the adapter {adapter.id}", 62)
                await endpoint.load_adapter(adapter.id, adapter.path.removeprefix(f"{ADAPTERS}/"))
        if action == WAKE:
            ui.report("waking the replica", 62)
            await endpoint.readiness()
        await follow_start(apps, endpoint, start, ui)


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
