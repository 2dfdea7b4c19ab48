"""Use-case: AI Toolkit: Deploy for inference."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ai_toolkit import __version__
from ai_toolkit.cloud import open_cloud
from ai_toolkit.endpoint import Endpoint
from ai_toolkit.errors import FileMissing, RevisionFailed
from ai_toolkit.follow_start import Start, follow_start
from ai_toolkit.synchronise import Plan, local_files, make_plan, synchronise
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

_UPLOAD_SHARE_PERCENT = 60
"""How much of the progress bar the upload takes; the rest is the replica's start."""


@dataclass(frozen=True)
class Deployed:
    """What a deploy did: files and bytes sent, and the action: `nothing`, `restart`, `wake` or `load at next start`."""

    endpoint: str
    uploaded: int
    bytes: int
    action: str


async def deploy(workspace: Workspace, ui: Ui, *, wake: bool = False) -> Deployed:
    """Synchronises the newest files with the share, restarts the replica, and waits until it has loaded them.

    An app that sleeps stays asleep and loads them at its next start, unless `wake` starts it now.
    """
    target = workspace.target()
    if not (workspace.folder / "inference").is_dir():
        raise FileMissing(workspace.folder / "inference", "Run aitk init (Create inference project) to add it.")
    ui.report("reading the workspace", 0)
    files = await asyncio.to_thread(local_files, workspace.folder)

    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        app = await apps.app(target.app)
        state, problem = await apps.revision(app.name, app.active_revision)
        if problem and not await apps.replicas(app.name, app.active_revision):
            raise RevisionFailed(app.active_revision, state, problem)
        key = await apps.key(target.app)
        if key is None:
            ui.announce(f"{target.app} has no key: its endpoint answers anyone who knows the address.")
        async with cloud.file_share(target) as share:
            plan = await make_plan(share, files)
            ui.announce(_in_words(plan))
            await synchronise(share, plan, f"ai-toolkit-server {__version__}", _upload_progress(plan, ui))

        replicas = await apps.replicas(app.name, app.active_revision)
        start = Start(app, [replica.name for replica in replicas] if not plan.empty else [], plan.manifest)
        if not replicas and not wake:
            action = "load at next start"
            ui.announce("No replica runs, so no GPU is billed. The next request starts one, which loads these files.")
        else:
            action = "wake" if not replicas else "nothing" if plan.empty else "restart"
            if action == "restart":
                ui.report("restarting the replica", _UPLOAD_SHARE_PERCENT)
                await apps.restart(app.name, app.active_revision)
            async with Endpoint.open(target.endpoint, key) as endpoint:
                if action == "wake":
                    ui.report("waking the replica", _UPLOAD_SHARE_PERCENT)
                    await endpoint.readiness()
                await follow_start(apps, endpoint, start, ui)
    ui.announce(f"Inference endpoint: {target.endpoint}")
    return Deployed(target.endpoint, len(plan.uploads), plan.bytes, action)


def _in_words(plan: Plan) -> str:
    if plan.empty:
        return f"Nothing changed in {plan.unchanged} files."
    parts = [f"{len(plan.added)} added", f"{len(plan.changed)} changed", f"{len(plan.removed)} removed"]
    return f"{', '.join(parts)}, {plan.unchanged} unchanged; {plan.bytes / 1e6:.1f} MB to send."


def _upload_progress(plan: Plan, ui: Ui) -> "Callable[[int], None]":
    shown = -1

    def sent(count: int) -> None:
        nonlocal shown
        percent = _UPLOAD_SHARE_PERCENT * count // max(plan.bytes, 1)
        if percent > shown:
            shown = percent
            ui.report(f"uploading {count / 1e6:.1f} of {plan.bytes / 1e6:.1f} MB", percent)

    return sent
