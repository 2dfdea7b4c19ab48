"""What the parameters of the template mean, where the editor shows them.

The bundled schema says the same, but editors leave it out for a file that names another one in `$schema`, as ARM's
parameters files do.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ai_toolkit.workspace.fine_tuning import FROM_FINE_TUNING, SHARED
from ai_toolkit.workspace.json_positions import Span, members
from ai_toolkit.workspace.template import templates_folder
from ai_toolkit.workspace.workspace import Workspace

_INFERENCE: Final = frozenset({"infra/provision/inference.parameters.json", "infra/inference.parameters.json"})
_FINE_TUNING: Final = frozenset({"infra/provision/finetuning.parameters.json", "infra/finetuning.parameters.json"})
_NAME: Final = re.compile(r'"?\w*\Z')
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:?|([{}])')


@dataclass(frozen=True)
class Description:
    """What is said about a part of the text."""

    span: Span
    text: str


def descriptions(workspace: Workspace, path: Path) -> Mapping[str, str]:
    """What each parameter of that file means; empty where the file holds no parameters."""
    relative = path.relative_to(workspace.folder).as_posix()
    if relative in _FINE_TUNING:
        return {name: f"{_template()[name]} {FROM_FINE_TUNING}" for name in SHARED}
    return _template() if relative in _INFERENCE else {}


def describe(text: str, index: int, said: Mapping[str, str]) -> Description | None:
    """What the parameter at that character means; None elsewhere, and in a text that is not JSON."""
    try:
        places = members(text)
    except ValueError:
        return None
    for path, member in places.items():
        if len(path) == 2 and path[0] == "parameters" and member.key.start <= index <= member.key.end:  # noqa: PLR2004  (a parameter)
            return Description(member.key, said[path[1]]) if path[1] in said else None
    return None


def missing(text: str, index: int, said: Mapping[str, str]) -> tuple[Span, Mapping[str, str]]:
    """The parameters that the text does not give, with what they mean, and what they would take the place of.

    Nothing where no parameter's name can stand.
    """
    begun = _NAME.search(text, 0, index)
    if begun is None or _open_objects(text[: begun.start()]) != ["parameters"]:
        return Span(index, index), {}
    end = index + 1 if text[index : index + 1] == '"' and begun[0].startswith('"') else index
    return Span(begun.start(), end), {name: words for name, words in said.items() if f'"{name}"' not in text}


def _open_objects(text: str) -> list[str]:
    """The keys of the objects that are open at the text's end, but for the outermost."""
    keys: list[str] = []
    last = ""
    for string, brace in _TOKEN.findall(text):
        if brace == "{":
            keys.append(last)
        elif brace == "}" and keys:
            keys.pop()
        last = string
    return keys[1:]


@cache
def _template() -> Mapping[str, str]:
    """By name, without the parameters that Provision fills in by itself."""
    template: Any = json.loads((templates_folder() / "infra" / "provision" / "inference.json").read_text("utf-8"))
    return {
        name: str(about.get("metadata", {}).get("description", ""))
        for name, about in template["parameters"].items()
        if not name.startswith("create") and not str(about["type"]).lower().startswith("secure")
    }
