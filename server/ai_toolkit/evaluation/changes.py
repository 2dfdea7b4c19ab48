"""What a deploy would change, as the gate sees it: adapters that can be judged beside, and what needs a restart."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.local_files import LocalFile, local_files
from ai_toolkit.deploy.questions import agree_to
from ai_toolkit.deploy.sync_plan import Plan, plan_sync
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.errors import FileChanged
from ai_toolkit.evaluation.judged import ADAPTER_CONFIG, Unjudged, unjudged_adapters
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.workspace import ADAPTERS, Workspace


@dataclass(frozen=True)
class Candidate:
    """An adapter that a deploy would bring: its folder on the share, and its files here by name."""

    folder: str
    files: Mapping[str, LocalFile]


@dataclass(frozen=True)
class Changes:
    """What a deploy would change: `others` are code, settings and whatever else needs a restart.

    `unjudged` are adapters that a replica would load when it starts, and `deployed` the files here that are, by their
    path, what the last deploy put on the share; both are told of a sleeping app only.
    """

    is_first: bool
    is_asleep: bool
    candidates: tuple[Candidate, ...]
    others: bool
    unjudged: tuple[Unjudged, ...] = ()
    deployed: Mapping[str, LocalFile] | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to judge."""
        return not (self.candidates or self.others or self.unjudged)

    def deployed_in(self, folder: str) -> dict[str, LocalFile]:
        """The adapter that the last deploy put there, by file name, where it is here whole; else nothing."""
        return {PurePosixPath(path).name: file for path, file in (self.deployed or {}).items() if _in(path, folder)}


async def find_changes(workspace: Workspace, options: Options, ui: Ui) -> tuple[Changes, Options]:
    """What a deploy with the options would change, and the options with what was answered about conflicts.

    Asked before anything is judged: what is to be deployed must be known for that. Raises Dismissed.
    """
    ui.report("comparing with the share", 1)
    files = await asyncio.to_thread(local_files, workspace.folder)
    async with open_app(workspace) as own, own.cloud.file_share(own.target) as share:
        plan = await plan_sync(share, files)
        if plan.conflicting:
            agreed = await agree_to(ui, replace(plan, removed=()), options.conflicts)
            options = replace(options, conflicts="keep" if agreed.changed == plan.changed else "replace")
            plan = replace(agreed, removed=plan.removed)
        is_asleep = not any([await own.apps.has_replica(own.app.name, one) for one in own.app.serving])
        changes = replace(changes_of(plan), is_asleep=is_asleep)
        if is_asleep and not changes.is_first:
            brought = {one.folder for one in changes.candidates}
            found = await unjudged_adapters(share, plan.before)
            unjudged = tuple(one for one in found if one.folder not in brought)
            changes = replace(changes, unjudged=unjudged, deployed=_as_deployed(plan))
    return changes, options


def changes_of(plan: Plan) -> Changes:
    """Of a plan without conflicts, of an app that runs."""
    touched = {*plan.uploads, *plan.removed}
    folders = {str(PurePosixPath(path).parent) for path in plan.files if path.endswith(f"/{ADAPTER_CONFIG}")}
    adapters = {folder for folder in folders if folder.startswith(f"{ADAPTERS}/")}
    changed = sorted({str(PurePosixPath(path).parent) for path in touched} & adapters)
    candidates = tuple(
        Candidate(folder, {PurePosixPath(path).name: file for path, file in plan.files.items() if _in(path, folder)})
        for folder in changed
    )
    others = any(str(PurePosixPath(path).parent) not in adapters for path in touched)
    return Changes(plan.before.origin is None, False, candidates, others)


def check_unchanged(workspace: Workspace, changes: Changes) -> None:
    """Raises FileChanged where an adapter is not any more what was judged."""
    now = local_files(workspace.folder)
    for candidate in changes.candidates:
        for name, file in candidate.files.items():
            found = now.get(f"{candidate.folder}/{name}")
            if found is None or found.entry != file.entry:
                raise FileChanged(file.source)


def _as_deployed(plan: Plan) -> dict[str, LocalFile]:
    """The files here of those folders that are, by their hashes, what the last deploy left on the share.

    A file that fine-tuning put there is in no manifest; where the share still holds what is here, it is the same.
    """
    before, sent = plan.before.files, {*plan.uploads, *plan.theirs}
    others = {
        str(PurePosixPath(path).parent)
        for path in {*plan.files, *before}
        if path not in plan.files or (plan.files[path].entry != before[path] if path in before else path in sent)
    }
    ours = {str(PurePosixPath(path).parent) for path in before} - others
    return {path: file for path, file in plan.files.items() if str(PurePosixPath(path).parent) in ours}


def _in(path: str, folder: str) -> bool:
    return str(PurePosixPath(path).parent) == folder
