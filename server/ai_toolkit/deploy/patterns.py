"""`.aitkinclude` and `.aitkignore`: patterns as in a `.gitignore`, and those that would silently match nothing.

A pattern that does not count would send a private file, so it is an error, not a line that is passed over.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pathspec

from ai_toolkit.errors import ValueImpossible
from ai_toolkit.workspace.text_file import read_text

# Source: https://git-scm.com/docs/gitignore#_pattern_format: a backslash takes the next character as it is.
_ESCAPABLE: Final = r"\\(?![#! \\*?\[\]])"
_PROBLEMS: Final = (
    (
        re.compile(r"^!?[A-Za-z]:[\\/]"),
        "a drive's root is no folder of the workspace; begin below the workspace",
    ),
    (
        re.compile(r"^!?[a-z][a-z0-9+.-]*://", re.IGNORECASE),
        "a URL is no path of the workspace",
    ),
    (re.compile(r"^!?(~|\$\w+|\$\{\w+\}|%\w+%)/"), "nothing stands for a home folder here; begin below the workspace"),
    (
        re.compile(r"^!?[\s\ufeff]|[^\S ]$"),
        "space at its beginning or end is part of the name; write it without",
    ),
    (re.compile(_ESCAPABLE), "folders are divided by / here; a \\ takes the next character as it is"),
    (re.compile(r"^!?\.\.?/"), "a path that begins with ./ or ../ matches nothing; write it without that"),
    (re.compile(r"^!?(\"[^\"]*\"|'[^']*')\s*$"), "quotation marks are part of the name here; write it without them"),
    (re.compile(r"\s#"), "a comment stands on a line of its own; here it is part of the name"),
    (
        re.compile("[\x00-\x08\x0b-\x1f\x7f\u0085\u200b-\u200f\u2028-\u202e\u2060\ufeff]"),
        "it holds a character that cannot be seen",
    ),
)
_ABSOLUTE: Final = "a / at the beginning is the workspace itself; write the path below it"


def patterns(path: Path, before: Iterable[str] = (), after: Iterable[str] = ()) -> pathspec.GitIgnoreSpec:
    """The file's patterns, with those `before` and `after` them; only these where there is no such file.

    Raises ValueImpossible for the first pattern that can match nothing, FileMalformed for what is no text.
    """
    lost = path.with_name(f"{path.name}.txt")
    if not path.exists() and lost.is_file():  # as some editors save it
        raise ValueImpossible(lost, "file name", f"it is not read under this name; rename it to {path.name}")
    # Not splitlines: to it a form feed or a line separator is an end too, and halves of a name would count.
    lines = read_text(path).split("\n") if path.is_file() else []
    own = path.parent.resolve().as_posix().rstrip("/") + "/"
    for number, line in enumerate(lines, 1):
        problem = _problem(line) or (_ABSOLUTE if line.lstrip("!").startswith(own) else "")
        if problem:
            raise ValueImpossible(path, line.strip(), problem, (number, 1))
    try:
        return pathspec.GitIgnoreSpec.from_lines([*before, *lines, *after])
    except ValueError as error:
        raise ValueImpossible(path, "pattern", str(error)) from error


def _problem(line: str) -> str:
    if line.startswith("#") or not line.strip():
        return ""
    return next((words for form, words in _PROBLEMS if form.search(line)), "")
