"""What a deploy asks before it changes something that cannot be undone, or that takes long."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ai_toolkit.azure.connect import raise_if_impossible
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.local_files import LocalFile
from ai_toolkit.deploy.manifest import Origin
from ai_toolkit.deploy.sync_plan import Plan
from ai_toolkit.errors import AiToolkitError, Dismissed
from ai_toolkit.local_cloud import control
from ai_toolkit.ui import Choice, Pick, Ui, confirm
from ai_toolkit.workspace.workspace import BASE_MODELS, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

PACKAGES_SIZE: Final = "3 GB (PyTorch for NVIDIA GPUs)" if sys.platform.startswith("linux") else "600 MB"
"""An estimate from the sizes of torch 2.13's packages; another version or package index may differ.

It stays one, and is said as one: only pip knows which packages it would choose, and pip downloads them whole even for
`--dry-run --report` (Source: github.com/pypa/pip/issues/12603), so asking it would cost the very download.
"""
_PACKAGES_BYTES: Final = 9_000_000_000 if sys.platform.startswith("linux") else 2_000_000_000
"""Downloaded and unpacked; an estimate as well."""
_OTHER_PYTHON: Final = "or name a Python that has it: aiToolkit.localCloud.replicaInterpreter, AITK_REPLICA_PYTHON"
_LARGE_BYTES: Final = 1 << 30
_SHOWN: Final = 10


async def choose_base_models(
    ui: Ui, share: "FileShare", files: Mapping[str, LocalFile], answer: str | None
) -> Mapping[str, LocalFile]:
    """The files without the base models above 1 GiB that the replica is to download itself; asked once per model."""
    sizes: dict[PurePosixPath, int] = {}
    for path, file in files.items():
        if path.startswith(f"{BASE_MODELS}/"):
            folder = PurePosixPath(path).parent
            sizes[folder] = sizes.get(folder, 0) + file.entry.size
    left_out = []
    for folder, size in sizes.items():
        if size <= _LARGE_BYTES or await share.list_directory(folder):
            continue
        items = (
            Choice("upload", "Upload it", f"{size / 1e9:.1f} GB from here"),
            Choice("download", "Let the replica download it", "at its first start, from the model's hub"),
        )
        question = f"The base model {folder} has {size / 1e9:.1f} GB and is not on the share yet."
        chosen = answer or await ui.pick(Pick(Title.DEPLOY, question, items, option="--base-models upload|download"))
        if chosen == "download":
            left_out.append(f"{folder}/")
    return {path: file for path, file in files.items() if not path.startswith(tuple(left_out))}


async def agree_to(ui: Ui, plan: Plan, conflicts: str | None) -> Plan:
    """The plan that the person agrees to. Raises Dismissed; without a terminal, UsageError.

    A conflict, a file that somebody else put on the share, is never overwritten without being shown and asked for.
    """
    if plan.removes_most:
        shown = "\n".join(plan.removed[:_SHOWN])
        question = f"{len(plan.removed)} of {len(plan.before.files)} deployed files would be removed:\n{shown}"
        await confirm(ui, question, "Remove them", detail="they are kept under .aitk/replaced on the share")
    if not plan.conflicting:
        return plan
    items = (
        Choice("keep", "Keep the share's files", "they are used as they are"),
        Choice(
            "replace", "Replace them", "the share's are kept under .aitk/replaced where their content could be read"
        ),
        Choice("cancel", "Cancel"),
    )
    shown = "\n".join(plan.conflicting[:_SHOWN])
    question = (
        f"{len(plan.conflicting)} files on the share differ from yours and were not put there by a deploy:\n{shown}"
    )
    chosen = conflicts or await ui.pick(Pick(Title.DEPLOY, question, items, option="--conflicts keep|replace"))
    if chosen == "cancel":
        raise Dismissed
    if chosen == "keep":
        return replace(plan, conflicting=())
    return plan.replacing_conflicts()


async def agree_to_replace_others(ui: Ui, plan: Plan, origin: Origin) -> None:
    """Returns unless another workspace of this computer deployed to the endpoint and is not to be replaced.

    Raises Dismissed; without a terminal, UsageError. A workspace that was moved here is the same one.
    """
    before = plan.before.origin.folder if plan.before.origin else None
    if before is None or before == origin.folder or not await asyncio.to_thread(Path(before).is_dir):
        return
    question = f"The workspace {before} deployed to this endpoint. Replace what it deployed?"
    detail = "a workspace gets an endpoint of its own by Provision, in another resource group"
    await confirm(ui, question, "Replace it", detail=detail)


async def agree_to_download(workspace: Workspace, ui: Ui) -> None:
    """Returns when the replica's packages are there, or may be downloaded. Raises Dismissed."""
    target = workspace.named_target()
    if target.local:
        raise_if_impossible()
    requirements = workspace.folder / "inference" / "requirements.txt"
    if not target.local or not requirements.exists() or control.has_replica_packages(control.home(), requirements):
        return
    home = control.home()
    free = shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.is_dir())).free
    if free < _PACKAGES_BYTES:
        raise AiToolkitError(
            f"The replica's packages take about {_PACKAGES_BYTES / 1e9:.0f} GB in {home}, where {free / 1e9:.1f} GB "
            "are free. Nothing was downloaded.",
            "Make room, or name another folder in AITK_LOCAL_CLOUD_HOME.",
        )
    title = "The model needs PyTorch on this computer"
    detail = "once, into the local cloud's folder; none of your own environments is touched"
    items = (
        Choice("yes", f"Download about {PACKAGES_SIZE}", detail),
        Choice("no", "Cancel", _OTHER_PYTHON),
    )
    if (
        await ui.pick(Pick(title, "Download the packages of inference/requirements.txt?", items, option="--yes"))
        != "yes"
    ):
        raise Dismissed
