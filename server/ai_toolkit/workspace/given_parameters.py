"""The parameters that a workspace gives: from `inference.bicepparam` where there is one, else from the JSON file."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import FileMalformed, WorkspaceError
from ai_toolkit.workspace.bicep import compile_parameters
from ai_toolkit.workspace.template import templates_folder
from ai_toolkit.workspace.workspace import KeyVaultReference, Parameters, Workspace, read_parameters

_DECLARED: Final = re.compile(r"^[ \t]*param[ \t]+(\w+)", re.MULTILINE)


async def given_parameters(workspace: Workspace) -> Parameters:
    """The given parameters. A `.bicepparam` file is read by the Bicep CLI and counts alone.

    Raises FileMissing, FileMalformed, ValueImpossible with line and column, ToolMissing (no Bicep CLI).
    """
    path = workspace.bicep_parameters
    if path is None:
        return workspace.parameters()
    answer = _object(path, await compile_parameters(path))
    entries = _object(path, str(answer.get("parametersJson")).encode()).get("parameters")
    if not isinstance(entries, dict):
        raise _not_understood(path)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    given = Parameters(path, warnings=_unread(workspace, path), places=_places(text))
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise _not_understood(path)
        if isinstance(entry.get("reference"), dict):
            values[name] = KeyVaultReference(entry["reference"])
        elif entry.get("value") is not None:
            values[name] = entry["value"]
    return replace(given, values=values)


def _unread(workspace: Workspace, path: Path) -> tuple[str, ...]:
    """A warning where somebody wrote values into the JSON file too."""
    shipped = read_parameters(templates_folder() / "infra" / "provision" / "inference.parameters.json")
    try:
        other = workspace.parameters()
    except WorkspaceError:  # there is none, or one that is wrong: it is not read
        return ()
    return () if other.values == shipped.values else (f"{other.path} is not read, because {path} exists too.",)


def _places(text: str) -> Mapping[str, tuple[int, int]]:
    """Line and column, from 1, of each parameter's name."""
    return {
        found[1]: (
            text.count("\n", 0, found.start(1)) + 1,
            found.start(1) - (text.rfind("\n", 0, found.start(1)) + 1) + 1,
        )
        for found in _DECLARED.finditer(text)
    }


def _object(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _not_understood(path) from error
    if not isinstance(found, dict):
        raise _not_understood(path)
    return found


def _not_understood(path: Path) -> FileMalformed:
    return FileMalformed(path, "what the Bicep CLI makes of it (bicep build-params) is not in the form that is known.")
