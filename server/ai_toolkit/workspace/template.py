"""The `infra/` and `inference/` folders that come with the package, and the template of a workspace as ARM JSON."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import FileMalformed, FileMissing, ValueImpossible, WorkspaceError
from ai_toolkit.two_faces import worded
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.bicep import compile_bicep
from ai_toolkit.workspace.text_file import text_of
from ai_toolkit.workspace.workspace import INIT_FIRST, TARGET_KEYS, Workspace

_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".ruff_cache", ".mypy_cache")


def templates_folder() -> Path:
    """The folder that holds `infra/` and `inference/`: in the wheel, or the checkout of an editable install."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "templates", package.parent.parent):
        if (folder / "infra" / "provision" / "inference.bicep").is_file():
            return folder
    raise FileMissing(package / "templates", "Install ai-toolkit-server again.")


def add_to_workspace(folder: Path) -> list[str]:
    """Copies what is missing of `infra/` and `inference/` into the folder; returns the added paths.

    A file that exists is left as it is. Raises WorkspaceError.
    """
    source = templates_folder()
    added: list[str] = []

    def copy_missing(origin: str, target: str) -> str:
        if not os.path.lexists(target):  # a link that leads nowhere is the user's too
            shutil.copyfile(origin, target)
            added.append(Path(target).relative_to(folder).as_posix())
        return target

    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in ("infra", "inference"):
            shutil.copytree(
                source / name, folder / name, ignore=_LEFT_OUT, copy_function=copy_missing, dirs_exist_ok=True
            )
    except shutil.Error as error:  # one (from, to, reason) for each file
        _origin, target, reason = error.args[0][0]
        advice = "Files that exist were left as they are."
        raise WorkspaceError(f"{target} cannot be added: {reason}.", advice) from error
    return sorted(added)


@dataclass(frozen=True)
class Template:
    """An ARM template in JSON, and the SHA-256 of its content."""

    content: Mapping[str, Any]
    sha256: str

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Of each its declaration, that of a type of the template's own included."""
        types = self.content.get("definitions") or {}
        declared: Mapping[str, Mapping[str, Any]] = self.content.get("parameters") or {}
        return {name: {**_type(types, one), **one} for name, one in declared.items()}

    @property
    def ours(self) -> bool:
        """Whether it takes the parameters that Provision decides; a template of another make is sent as it is."""
        return "createEnvironment" in self.parameters

    @property
    def secure(self) -> frozenset[str]:
        """The parameters whose values are never shown."""
        return frozenset(name for name, one in self.parameters.items() if parameter_rules.is_secure(one))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The resource providers of its resources."""
        return tuple(sorted({kind.partition("/")[0] for kind in self.types}))

    @property
    def types(self) -> tuple[str, ...]:
        """The type of each of its resources."""
        resources = self.content.get("resources") or ()
        listed = resources.values() if isinstance(resources, Mapping) else resources
        return tuple(str(one.get("type")) for one in listed)


async def workspace_template(workspace: Workspace) -> Template:
    """The workspace's template: its compiled JSON while that fits the Bicep file, else compiled anew.

    Raises FileMissing, FileMalformed, ToolMissing (no Bicep CLI), ValueImpossible (it does not compile).
    """
    bicep = workspace.provision_folder / "inference.bicep"
    compiled = bicep.with_suffix(".json")
    if not bicep.is_file():
        raise FileMissing(bicep, worded(INIT_FIRST))
    source_sha256 = hashlib.sha256(bicep.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    for candidate in (compiled, templates_folder() / "infra" / "provision" / "inference.json"):
        if candidate.is_file():
            content = _parse(candidate, candidate.read_bytes())
            if (content.get("metadata") or {}).get("sourceSha256") == source_sha256:
                return _template(content)
    return _template(_parse(bicep, await compile_bicep(bicep)))


def check_outputs(workspace: Workspace, template: Template) -> None:
    """Raises ValueImpossible for a template that does not tell the six names that the config file gets."""
    told = {str(name).upper() for name in template.content.get("outputs") or {}}
    missing = [key for key in TARGET_KEYS.values() if key not in told]
    if missing:
        path = workspace.provision_folder / "inference.bicep"
        raise ValueImpossible(path, "output", f"the template must have the outputs {', '.join(missing)}")


def _type(types: Mapping[str, Any], declaration: Mapping[str, Any], deepest: int = 8) -> Mapping[str, Any]:
    """What a type that the declaration refers to says, wherever it is declared in turn."""
    name = str(declaration.get("$ref") or "").removeprefix("#/definitions/")
    found = types.get(name) or {} if name else {}
    return {**_type(types, found, deepest - 1), **found} if found and deepest else found


def _template(content: Mapping[str, Any]) -> Template:
    return Template(content, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())


def _parse(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text_of(path, text))
    except ValueError as error:
        raise FileMalformed(path, f"its JSON form cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise FileMalformed(path, "a JSON object is expected.")
    return content
