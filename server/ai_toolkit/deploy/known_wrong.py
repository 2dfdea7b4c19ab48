"""What is known to be wrong before anything is sent: a live endpoint is not taken down by it."""

import asyncio
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ai_toolkit.deploy.app_settings import check_settings
from ai_toolkit.deploy.models_on_share import models_on_share
from ai_toolkit.deploy.sync_plan import Plan
from ai_toolkit.errors import FileMalformed, WorkspaceError
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.diagnostics import Finding, Weight, diagnose
from ai_toolkit.workspace.text_file import read_text
from ai_toolkit.workspace.workspace import CODE, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_FILES: Final = (
    "infra/provision/inference.parameters.json",
    "infra/inference.parameters.json",
    "infra/inference.config.json",
)
_SETTINGS: Final = f"{CODE}/settings.toml"


async def check_files(workspace: Workspace, ui: Ui, *, force: bool) -> None:
    """Raises WorkspaceError for what the editor underlines in red, and for settings that the app would refuse.

    With `force` it is said, and nothing is raised.
    """
    try:
        await check_settings(workspace.folder)
        for name in _FILES:
            path = workspace.folder / name
            if path.is_file():
                text = await asyncio.to_thread(read_text, path)
                _raise_first(path, text, _of_weight(diagnose(workspace, path, text), Weight.ERROR))
    except WorkspaceError as error:
        _tell(error, ui, force=force)


async def check_plan(workspace: Workspace, plan: Plan, share: "FileShare", ui: Ui, *, force: bool) -> None:
    """Raises WorkspaceError where Python cannot compile what would be sent, or a model that is named is nowhere.

    With `force` it is said, and nothing is raised.
    """
    try:
        sources = [plan.files[path].source for path in plan.uploads if path.startswith(f"{CODE}/")]
        await asyncio.to_thread(_compile, [source for source in sources if source.suffix == ".py"])
        await _check_named_models(workspace, plan, share)
    except WorkspaceError as error:
        _tell(error, ui, force=force)


def _compile(sources: Iterable[Path]) -> None:
    for source in sources:
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        except SyntaxError as error:
            problem = f"Python cannot compile it: {error.msg}."
            raise FileMalformed(source, problem, line=error.lineno or 1, column=error.offset or 1) from error
        except ValueError as error:  # a NUL character
            raise FileMalformed(source, f"Python cannot compile it: {error}.", line=1, column=1) from error


async def _check_named_models(workspace: Workspace, plan: Plan, share: "FileShare") -> None:
    path = workspace.folder / _SETTINGS
    if not path.is_file() or not (workspace.folder / CODE / "aitk_app").is_dir():
        return  # settings of another make are its own
    text = await asyncio.to_thread(read_text, path)
    unsure = _of_weight(diagnose(workspace, path, text, None), Weight.INFORMATION)
    if unsure:  # a listing of the share's models takes a request for each folder
        on_share = await models_on_share(share) | plan.files.keys() | plan.before.files.keys()
        _raise_first(path, text, _of_weight(diagnose(workspace, path, text, on_share), Weight.WARNING))


def _of_weight(findings: Iterable[Finding], weight: Weight) -> list[Finding]:
    return [finding for finding in findings if finding.weight is weight]


def _raise_first(path: Path, text: str, findings: list[Finding]) -> None:
    if findings:
        start = findings[0].span.start
        column = start - (text.rfind("\n", 0, start) + 1) + 1
        raise FileMalformed(path, findings[0].message, line=text.count("\n", 0, start) + 1, column=column)


def _tell(error: WorkspaceError, ui: Ui, *, force: bool) -> None:
    if not force:
        error.may_be_sent = True
        error.advice = f"{error.advice} Or send it all the same: {to(Do.DEPLOY_ALL_THE_SAME)}.".strip()
        raise error
    ui.announce(f"Sent all the same: {error.message}")
