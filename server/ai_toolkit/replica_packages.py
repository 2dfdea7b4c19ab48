"""Asks before the local cloud's replica downloads PyTorch, which is large."""

import sys
from typing import Final

from ai_toolkit.errors import Dismissed
from ai_toolkit.local_cloud import control
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace import Workspace

_SIZE: Final = "3 GB (PyTorch for NVIDIA GPUs)" if sys.platform.startswith("linux") else "600 MB"
"""An estimate from the sizes of torch 2.13's packages; another version or package index may differ.

It stays one, and is said as one: only pip knows which packages it would choose, and pip downloads them whole even for
`--dry-run --report` (Source: github.com/pypa/pip/issues/12603), so asking it would cost the very download.
"""


async def agree_to_download(workspace: Workspace, ui: Ui) -> None:
    """Returns when the replica's packages are there, or may be downloaded. Raises Dismissed."""
    target = workspace.target()
    requirements = workspace.folder / "inference" / "requirements.txt"
    if not target.local or not requirements.exists() or control.has_replica_packages(control.home(), requirements):
        return
    title = "The model needs PyTorch on this computer"
    detail = "once, into the local cloud's folder; none of your own environments is touched"
    items = (
        Choice("yes", f"Download about {_SIZE}", detail),
        Choice(
            "no", "Cancel", "or name a Python that has PyTorch in the setting aiToolkit.localCloud.replicaInterpreter"
        ),
    )
    if (
        await ui.pick(Pick(title, "Download the packages of inference/requirements.txt?", items, option="--yes"))
        != "yes"
    ):
        raise Dismissed
