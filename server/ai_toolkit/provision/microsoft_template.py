"""Recognises the template that Microsoft's AI Toolkit left in a workspace, and offers ours in its place."""

import hashlib
import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ai_toolkit.command_titles import Title
from ai_toolkit.errors import Dismissed
from ai_toolkit.provision.installs_at_start import WHY
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.template import templates_folder
from ai_toolkit.workspace.workspace import Workspace, read_parameters, write_atomically

# Source: github.com/microsoft/windows-ai-studio-templates, configs/*/infra/provision/inference.bicep, as published.
PUBLISHED: Final = frozenset(
    {
        "f66d39513efb94440aa5020dcddc46a7abf345786c2c3f6aaf5e43a3042b3918",
        "c795e10ade44ab2c9238275aab4f7357eda8538a99a6961294d3704b8213cfba",
        "8eebf07de295c59f110f4b0252c574b2b8b7052530c098066ce4bdd9578d3e79",
        "c1a6996963cb9aad274e249d682de570d706eba078dd3ef0a0625b1bad83bf96",
        "9087e0b593932df7ff4ad7c80e004da65041228f35ce9e79afc46316fae3ab1d",
    }
)
"""SHA-256 of its Bicep file, with LF line ends."""
_ITS_PARAMETERS: Final = frozenset(
    {
        "defaultCommands",
        "location",
        "resourceSuffix",
        "storageAccountName",
        "fileShareName",
        "acaEnvironmentName",
        "acaEnvironmentStorageName",
        "acaAppName",
        "acaLogAnalyticsName",
    }
)
_PARAMETER: Final = re.compile(r"^param\s+(\w+)\s", re.MULTILINE)
_ASIDE: Final = "microsoft"
_INSTALLS: Final = f"Its commands install packages when a replica starts. {WHY}"


def is_microsofts(bicep: bytes, published: Collection[str] = PUBLISHED) -> bool:
    """Whether it is Microsoft's template, as published or lightly edited: then its parameters tell."""
    plain = bicep.replace(b"\r\n", b"\n")
    if hashlib.sha256(plain).hexdigest() in published:
        return True
    declared = set(_PARAMETER.findall(plain.decode(errors="replace")))
    return declared >= _ITS_PARAMETERS and "createEnvironment" not in declared


async def offer_ours(workspace: Workspace, ui: Ui, *, ask: bool) -> None:
    """Puts our template and app in place of Microsoft's where the person agrees; the old files are kept beside.

    Declined, or with `ask` False, everything stays as it is. Raises Dismissed.
    """
    bicep = workspace.provision_folder / "inference.bicep"
    if not bicep.is_file() or not is_microsofts(bicep.read_bytes()):
        return
    if not ask:
        ui.announce(f"{bicep} is Microsoft's template; the preview uses it unchanged. {_INSTALLS}")
        return
    told = "This workspace has the template of Microsoft's AI Toolkit, whose GPU is billed while idle."
    ui.announce(f"Warning: {told} {_INSTALLS}")
    items = (
        Choice("ours", "Use our template and app", f"a key, no GPU while idle; the old files stay as *.{_ASIDE}.*"),
        Choice("theirs", "Deploy Microsoft's as it is", "needs the Bicep CLI; its start may fail, see the output"),
        Choice("cancel", "Cancel"),
    )
    answer = await ui.pick(Pick(Title.PROVISION, told, items, option="--yes"))
    if answer == "cancel":
        raise Dismissed
    if answer == "ours":
        _replace(workspace, ui)


def _replace(workspace: Workspace, ui: Ui) -> None:
    source = templates_folder()
    given = workspace.parameters()
    kept = []
    for name in ("infra", "inference"):
        for origin in sorted(path for path in (source / name).rglob("*") if path.is_file()):
            if "__pycache__" in origin.parts or origin.name.startswith("."):
                continue
            target = workspace.folder / origin.relative_to(source)
            if target.name == "inference.parameters.json":
                continue
            if target.exists() and target.read_bytes() != origin.read_bytes():
                kept.append(_keep(target))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, target)
    commands = given.values.get("defaultCommands")
    declared = read_parameters(source / "infra" / "provision" / "inference.parameters.json").places
    foreign = set(given.values) - set(declared)
    if foreign or (commands and not any("start.py" in str(line) for line in commands)):
        kept.append(_keep(given.path))
        _write_parameters(given.path, source, {name: given.values.get(name) for name in declared})
    ui.announce(f"Our template is in place; kept beside it: {', '.join(path.name for path in kept)}.")


def _write_parameters(path: Path, source: Path, values: dict[str, object]) -> None:
    """Ours, with the person's values, but for the commands, which start our app."""
    document = json.loads((source / "infra" / "provision" / "inference.parameters.json").read_text(encoding="utf-8"))
    for name, value in values.items():
        if value is not None and name != "defaultCommands":
            document["parameters"][name] = {"value": value}
    write_atomically(path, json.dumps(document, indent=2) + "\n")


def _keep(path: Path) -> Path:
    """Moves a file aside under a name that says whose it was; an earlier one stays too."""
    aside = path.with_name(f"{path.stem}.{_ASIDE}{path.suffix}")
    number = 2
    while aside.exists():
        aside, number = path.with_name(f"{path.stem}.{_ASIDE}{number}{path.suffix}"), number + 1
    path.rename(aside)
    return aside
