"""Use-case: AI Toolkit: Deploy for inference."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from ai_toolkit import __version__
from ai_toolkit.azure.container_app import Rest
from ai_toolkit.azure.container_apps import ContainerApps
from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.azure.share_lock import Holder, share_lock
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.action import (
    Action,
    LoadedAdapter,
    Options,
    cheapest_action,
    files_are,
    stale_adapters,
)
from ai_toolkit.deploy.current_app import Running, offer_key, offer_to_start, what_runs
from ai_toolkit.deploy.deployed import Deployed, Files, serving_of, what_serves
from ai_toolkit.deploy.failed_start import remembered
from ai_toolkit.deploy.git import head_commit
from ai_toolkit.deploy.known_wrong import check_files, check_plan
from ai_toolkit.deploy.local_files import LocalFile, local_files
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Manifest, Origin
from ai_toolkit.deploy.price_note import leave_price
from ai_toolkit.deploy.questions import agree_to, agree_to_replace_others, choose_base_models
from ai_toolkit.deploy.sync import bring_back_previous, synchronise
from ai_toolkit.deploy.sync_plan import Plan, in_words, plan_sync
from ai_toolkit.deploy.upload_progress import TransferRate
from ai_toolkit.deploy.wait_until_loaded import Start, follow_start
from ai_toolkit.deploy.wanted_template import changed_template, tell
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.endpoint.mount import raise_if_mounts_another, renew_mount_key_of
from ai_toolkit.endpoint.revisions import new_revision
from ai_toolkit.endpoint.switch_on import offer_to_switch_on
from ai_toolkit.endpoint.what_runs import advice, another, says
from ai_toolkit.endpoint.what_runs import start as start_app
from ai_toolkit.errors import FileMissing, Interrupted
from ai_toolkit.polling import poll
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import CLOSING, Tone, Ui
from ai_toolkit.workspace.workspace import ADAPTERS, CODE, Workspace

_LOAD_AGAIN: Final = timedelta(seconds=2)
_LOAD_LIMIT: Final = timedelta(minutes=5)
_ASLEEP: Final = "No replica runs, so no GPU is billed. The next request starts one, which loads these files."


async def deploy(workspace: Workspace, ui: Ui, options: Options) -> Deployed:
    """Synchronises the newest files with the share, takes the cheapest sufficient action, and proves what is loaded."""
    began = time.monotonic()
    with _what_a_cancel_leaves() as left:
        named = workspace.named_target()
        files, origin = await _read(workspace.folder, ui, local=named.local)
        if not options.previous:  # which brings other settings back
            await check_files(workspace, ui, force=options.force)

        async with open_app(workspace) as found:
            own = await offer_to_switch_on(workspace, found, ui, Title.DEPLOY, agreed=options.start)
            if own.target != named:
                workspace.write_target(own.target)  # which named no endpoint
            await raise_if_mounts_another(own)
            wanted = await changed_template(workspace, own, ui, put_back=options.put_back)
            running = await what_runs(own, wanted)
            await _tell_of_two(own.apps, running, ui)
            running = await offer_to_start(running, ui, agreed=options.start)
            running = await offer_key(own.apps, running, workspace.folder, ui, options.key)
            async with own.cloud.file_share(own.target) as share:
                left.append("replicas still load what they loaded before; files that were sent are not sent again.")
                if options.previous:
                    manifest, sent = await _bring_back(share, origin, options, ui), Files()
                    action = cheapest_action(None, running, options)
                else:
                    plan, manifest = await _synchronise(workspace, share, files, origin, options, ui)
                    sent = Files.of(plan)
                    action = cheapest_action(plan, running, options)
                await renew_mount_key_of(own, share, ui)  # before a replica is stopped that a new one could not replace
                left.append("the files are on the share, and a replica that starts loads them.")
                async with AsyncExitStack() as outcome:
                    if action is not Action.LATER:
                        noted = remembered(share, manifest, own.apps, running.app.name, running.revisions)
                        await outcome.enter_async_context(noted)
                    await _act(own.apps, running, action, manifest, ui)
                if not own.target.local:
                    app = await own.apps.app(running.app.name)
                    await leave_price(share, app, await own.apps.profile_type(app))
            serving = await what_serves(own.apps, running, action)
    ui.announce(f"Inference endpoint: {running.endpoint}", Tone.DETAIL)
    uploaded = len(sent.added) + len(sent.changed)
    return Deployed(running.endpoint, action, uploaded, sent, serving, time.monotonic() - began)


async def preview(workspace: Workspace, ui: Ui, options: Options) -> Deployed:
    """What `deploy` would send and do; changes nothing."""
    began = time.monotonic()
    await check_files(workspace, ui, force=options.force)
    files = await asyncio.to_thread(local_files, workspace.folder)
    async with open_app(workspace) as own, own.cloud.file_share(own.target) as share:
        wanted = await changed_template(workspace, own, ui, put_back=options.put_back, only_looks=True)
        running = await what_runs(own, wanted)
        tell(running.changed, ui)
        await _tell_of_two(own.apps, running, ui)
        running = await offer_to_start(running, ui, agreed=bool(options.start))
        plan = await plan_sync(share, files)
        await check_plan(workspace, plan, share, ui, force=options.force)
    if plan.left:
        ui.announce(in_words(plan))
    action, serves = cheapest_action(plan, running, options), ", ".join(running.revisions) or None
    serving, seconds = serving_of(serves, running.loaded), time.monotonic() - began
    return Deployed(running.endpoint, action, 0, Files.of(plan), serving, seconds, dry_run=True)


async def _read(folder: Path, ui: Ui, *, local: bool) -> tuple[Mapping[str, LocalFile], Origin]:
    """The files to send, and where they come from. Raises FileMissing for a folder without `inference/`."""
    if not (folder / CODE).is_dir():
        raise FileMissing(folder / CODE, f"Run {to(Do.CREATE_PROJECT)} to add it.")
    ui.report("reading the workspace", 0)
    files = await asyncio.to_thread(local_files, folder)
    here = str(await asyncio.to_thread(folder.resolve)) if local else None
    return files, Origin.now(f"ai-toolkit-server {__version__}", await head_commit(folder), here)


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


async def _synchronise(  # noqa: PLR0913, PLR0917  (what, where to, how)
    workspace: Workspace, share: FileShare, files: Mapping[str, LocalFile], origin: Origin, options: Options, ui: Ui
) -> tuple[Plan, Manifest]:
    async with share_lock(share, _lock_broken(ui)):
        ui.report("comparing with the share", 2)
        files = await choose_base_models(ui, share, files, options.base_models)
        plan = await plan_sync(share, files)
        ui.announce(in_words(plan))
        if plan.up_to_date and not plan.conflicting:
            return plan, plan.manifest
        await check_plan(workspace, plan, share, ui, force=options.force)
        await agree_to_replace_others(ui, plan, origin)
        plan = await agree_to(ui, plan, options.conflicts)
        return plan, await synchronise(share, plan, origin, TransferRate(plan.bytes, len(plan.uploads), ui).sent)


async def _bring_back(share: FileShare, origin: Origin, options: Options, ui: Ui) -> Manifest:
    async with share_lock(share, _lock_broken(ui)):
        now = Manifest.parse(await share.read(MANIFEST_PATH))
        manifest = await bring_back_previous(share, now, origin, models_too=options.models_too)
    when = now.origin.deployed if now.origin else "the last deploy"
    what = "What" if options.models_too else "The code that"
    ui.announce(f"{what} was deployed before {when} is on the share again; the files here are unchanged.")
    return manifest


def _lock_broken(ui: Ui) -> Callable[[Holder], None]:
    def told(holder: Holder) -> None:
        ui.announce(
            f"The deploy that {holder.owner} started at {holder.since} ended without finishing; its lock was removed."
        )

    return told


async def _act(apps: ContainerApps, running: Running, action: Action, manifest: Manifest, ui: Ui) -> None:
    app, name = running.app, running.app.name
    start = Start(app, running.revisions, (), manifest)
    if action is Action.LATER:
        ui.announce(f"{says(app)} {advice(app)}" if app.rest is not None else _ASLEEP)
        return
    async with Endpoint.open(running.endpoint, running.key) as endpoint:
        if running.starts and not (running.properties and app.rest is Rest.DEACTIVATED):
            start = replace(start, revisions=(await start_app(apps, app, ui),))
            app = await apps.app(name)
            running = replace(running, app=app)
            if action is Action.START and running.waits_to_serve:
                action = Action.HAND_OVER
        if action in {Action.NEW_REVISION, Action.HAND_OVER}:
            ui.announce(_why_another_revision(running))
            tell(running.changed, ui)
            async with new_revision(apps, app, running.properties, ui) as made:
                await follow_start(apps, endpoint, replace(start, app=app, revisions=(made,)), ui)
            return
        if action is Action.RESTART:
            ui.report("restarting the replica", 62)
            for revision in running.revisions:
                await apps.restart(name, revision)
            start = replace(start, replicas_before=running.replicas)
        if action is Action.LOAD_ADAPTERS:
            for adapter in stale_adapters(running.loaded or {}, manifest):
                ui.report(f"loading the adapter {adapter.id}", 62)
                await _load_adapter(endpoint, adapter, manifest, ui)
        if action is Action.WAKE:
            ui.report("waking the replica", 62)
            await endpoint.readiness()
        await follow_start(apps, endpoint, start, ui)


async def _tell_of_two(apps: ContainerApps, running: Running, ui: Ui) -> None:
    if told := await another(apps, running.app, runs=bool(running.replicas)):
        ui.announce(told)


def _why_another_revision(running: Running) -> str:
    app = running.app
    before = ", ".join(running.revisions) or "none"
    if not running.properties and app.coming is not None:
        return f"{app.coming.name} is to serve in place of {before}."
    why = "its template or parameters changed" if running.differs else "a key is added"
    return f"{app.name} gets a new revision in place of {before}, because {why}."


async def _load_adapter(endpoint: Endpoint, adapter: LoadedAdapter, manifest: Manifest, ui: Ui) -> None:
    """Loads it again until the replica's mount, which may remember the old file for a while, shows the new one."""

    async def load() -> bool | None:
        files = await endpoint.load_adapter(adapter.id, adapter.path.removeprefix(f"{ADAPTERS}/"))
        if files_are(files, adapter, manifest):
            return True
        ui.report(f"waiting until the replica sees the new {adapter.id}: its mount remembers files for half a minute")
        return None

    with suppress(TimeoutError):  # what is loaded then is looked at and said
        await poll(load, every=_LOAD_AGAIN, limit=_LOAD_LIMIT)
