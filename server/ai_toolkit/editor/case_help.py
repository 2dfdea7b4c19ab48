"""What is wrong in a file of cases while it is edited, what can stand where the cursor is, and what a key means."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ai_toolkit.editor.parameter_help import Description
from ai_toolkit.evaluation.case_schema import CASE
from ai_toolkit.evaluation.cases import FOLDER, SUFFIX, lines_of
from ai_toolkit.workspace.diagnostics import Finding, Fix
from ai_toolkit.workspace.json_positions import Span, members
from ai_toolkit.workspace.workspace import Workspace

_BEGUN: Final = re.compile(r'"?\w*\Z')
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}\[\],:])')
_NEW_CASE: Final = '{"messages": [{"role": "user", "content": "$1"}], "expected": {"contains": "$2"}}$0'
_VALUES: Final[Mapping[str, str]] = {
    "messages": '[{"role": "user", "content": "$1"}]$0',
    "expected": "{$0}",
    "max_tokens": "${1:256}$0",
    "json_schema": '{"type": "object", "required": [$1]}$0',
}
"""What a key is completed with; others get an empty text."""


@dataclass(frozen=True)
class Completion:
    """What can stand in place of `span`: a snippet as LSP has it."""

    label: str
    span: Span
    snippet: str
    about: str


def is_case_file(workspace: Workspace, path: Path) -> bool:
    """Whether the file is one of the workspace's files of cases."""
    return path.suffix == SUFFIX and path.parent == workspace.folder / FOLDER


def findings(text: str) -> Iterator[Finding]:
    """What the reader of cases refuses, with the key that was probably meant."""
    for line in lines_of(text, ""):
        for problem in line.problems:
            span = Span(line.start + problem.span.start, line.start + problem.span.end)
            meant = problem.meant
            yield Finding(
                span, problem.message, fix=Fix(f"Change to {meant}", span, json.dumps(meant)) if meant else None
            )


def complete(text: str, index: int) -> list[Completion]:
    """The keys that the object at that character lacks, a whole case on an empty line, or the roles."""
    start = text.rfind("\n", 0, index) + 1
    before = text[start:index]
    if not before.strip():
        return [Completion("case", Span(index, index), _NEW_CASE, str(CASE["title"]))]
    begun = _BEGUN.search(before)
    assert begun is not None  # it matches nothing, too
    outer = before[: begun.start()]
    path, is_key = _where(outer)
    span = Span(start + begun.start(), index + (text[index : index + 1] == '"' and begun[0].startswith('"')))
    schema = _schema_at(path)
    if schema is None:
        return []
    if not is_key:
        values = schema.get("enum") or ()
        return [Completion(str(value), span, json.dumps(value), str(schema.get("description", ""))) for value in values]
    end = text.find("\n", index)
    line = text[start : end if end >= 0 else len(text)]
    return [
        Completion(name, span, f'"{name}": {_VALUES.get(name) or _text_of(about)}', str(about.get("description", "")))
        for name, about in (schema.get("properties") or {}).items()
        if f'"{name}"' not in line or name in {"role", "content"}
    ]


def describe(text: str, index: int) -> Description | None:
    """What the key at that character means."""
    start = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    line = text[start : end if end >= 0 else len(text)]
    try:
        places = members(line)
    except ValueError:
        return None
    for path, member in places.items():
        if member.key.start <= index - start <= member.key.end:
            about = str((_schema_at(path) or {}).get("description", ""))
            return Description(Span(start + member.key.start, start + member.key.end), about) if about else None
    return None


def _text_of(about: Mapping[str, Any]) -> str:
    """A first value of a key's, to be filled in."""
    values = about.get("enum")
    return f'"${{1:{values[1]}}}"$0' if values else '"$1"$0'


def _where(text: str) -> tuple[Sequence[str], bool]:
    """The keys that lead to what is open at the text's end (`[]` for an item), and whether a key comes next there."""
    path: list[str] = []
    objects: list[str] = []
    key = last = ""
    expects_key = False
    for string, mark in _TOKEN.findall(text):
        if mark == "{":
            objects.append("{")
            path.append(key)
            key, expects_key = "", True
        elif mark == "[":
            objects.append("[")
            path.append(key)
            key, expects_key = "[]", False
        elif mark in {"}", "]"} and objects:
            objects.pop()
            path.pop()
            key, expects_key = "", False
        elif mark == ",":
            expects_key = bool(objects) and objects[-1] == "{"
            key = "" if expects_key else "[]"
        elif mark == ":":
            key, expects_key = last, False
        last = string
    here = [each for each in path[1:] if each]
    return (here, True) if expects_key else ([*here, key] if key else here, False)


def _schema_at(path: Sequence[str]) -> Mapping[str, Any] | None:
    found: Any = CASE
    for part in path:
        found = found.get("items") if part == "[]" else (found.get("properties") or {}).get(part)
        if not isinstance(found, dict):
            return None
    return found if isinstance(found, Mapping) else None
