"""Cases: a conversation and what is expected of the answer, one a line in `evaluation/*.jsonl`."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.evaluation.case_schema import CASE, EXPECTED, USUAL_MAX_TOKENS
from ai_toolkit.evaluation.errors import CasesBroken, CasesMissing
from ai_toolkit.workspace.json_positions import Span, members
from ai_toolkit.workspace.text_file import read_text

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

FOLDER: Final = "evaluation"
SUFFIX: Final = ".jsonl"
_SHOWN: Final = 60
_LIKE_ENOUGH: Final = 0.6


@dataclass(frozen=True)
class Expected:
    """What must be true of an answer; `reference` is measured and not judged."""

    exact: str | None = None
    contains: tuple[str, ...] = ()
    regex: str | None = None
    json_schema: Mapping[str, Any] | bool | None = None
    reference: str | None = None

    @property
    def judges(self) -> bool:
        """Whether an answer can pass or fail."""
        return self.exact is not None or bool(self.contains) or self.regex is not None or self.json_schema is not None


@dataclass(frozen=True)
class Case:
    """One case; `id` is its file and line, below the workspace or as it was given."""

    id: str
    name: str
    messages: tuple[Mapping[str, Any], ...]
    expected: Expected
    max_tokens: int = USUAL_MAX_TOKENS

    @property
    def question(self) -> str:
        """The last turn, for people."""
        content = self.messages[-1].get("content")
        if isinstance(content, list):
            return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
        return str(content or "")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line: a sentence that names the key, and the characters of the line that it is about."""

    key: str
    message: str
    span: Span
    meant: str | None = None
    """The one key that was probably meant."""


@dataclass(frozen=True)
class Line:
    """A line that holds something: its number from 1, where it begins in the text, and the case or its problems."""

    number: int
    start: int
    text: str
    case: Case | None
    problems: tuple[Problem, ...]


def lines_of(text: str, name: str) -> Iterator[Line]:
    """The lines of a file of cases, empty ones left out; `name` is the file's, for the cases' ids."""
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            found = _read(line, f"{name}:{number}")
            case, problems = (found, ()) if isinstance(found, Case) else (None, tuple(found))
            yield Line(number, start, line, case, problems)
        start += len(line) + 1


def case_files(folder: Path) -> list[Path]:
    """The files of cases in a workspace's folder."""
    return sorted(path for path in (folder / FOLDER).glob(f"*{SUFFIX}") if path.is_file())


def read_cases(folder: Path) -> tuple[Case, ...]:
    """Every case of a workspace. Raises CasesBroken with file, line and key; CasesMissing; FileMalformed."""
    files = case_files(folder)
    cases = tuple(case for path in files for case in cases_in(path, path.relative_to(folder).as_posix()))
    if not cases:
        raise CasesMissing(folder / FOLDER)
    return cases


def cases_in(path: Path, name: str) -> tuple[Case, ...]:
    """The cases of one file. Raises as `read_cases` does."""
    found = list(lines_of(read_text(path), name))
    problems = [f"{name}, line {line.number}: {each.message}" for line in found for each in line.problems]
    if problems:
        raise CasesBroken(problems[0], problems[1:])
    return tuple(line.case for line in found if line.case is not None)


def _read(line: str, identity: str) -> Case | list[Problem]:
    try:
        document = json.loads(line)
    except json.JSONDecodeError as error:
        at = min(error.pos, len(line) - 1)
        return [Problem("", f"this is not JSON: {error.msg} (column {error.colno}).", Span(at, at + 1))]
    if not isinstance(document, dict):
        return [Problem("", "a JSON object is expected.", _whole(line))]
    problems = [_problem(line, each) for each in _errors(document)] or list(_beyond_the_schema(line, document))
    return problems or _case(document, identity)


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415  (the editor's server starts without it)

    return Draft202012Validator(CASE)


def _errors(document: Mapping[str, Any]) -> "list[ValidationError]":
    return sorted(_validator().iter_errors(document), key=lambda each: [str(part) for part in each.absolute_path])


def _case(document: Mapping[str, Any], identity: str) -> Case:
    expected = document["expected"]
    contains = expected.get("contains") or ()
    messages = tuple(document["messages"])
    unnamed = Case(
        identity,
        "",
        messages,
        Expected(
            expected.get("exact"),
            (contains,) if isinstance(contains, str) else tuple(contains),
            expected.get("regex"),
            expected.get("json_schema"),
            expected.get("reference"),
        ),
        document.get("max_tokens", USUAL_MAX_TOKENS),
    )
    return Case(
        identity, document.get("name") or shortened(unnamed.question), messages, unnamed.expected, unnamed.max_tokens
    )


def shortened(text: str) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _problem(line: str, error: "ValidationError") -> Problem:
    path: Sequence[str | int] = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list((error.schema.get("properties") or {}) if isinstance(error.schema, Mapping) else {})
        unknown = next(key for key in error.instance if key not in known)
        like = difflib.get_close_matches(str(unknown), known, n=1, cutoff=_LIKE_ENOUGH)
        meant = like[0] if like else None
        key = _named([*path, unknown])
        hint = f": is {meant} meant?" if meant else f"; known are {', '.join(known)}."
        return Problem(key, f"{key} is not known here{hint}", _span(line, [*path, unknown], key=True), meant)
    key = _named(path) or "the case"
    if error.validator == "required":
        missing = next(each for each in error.validator_value if each not in error.instance)
        key = _named([*path, missing])
        return Problem(key, f"{key} is missing.", _span(line, path))
    return Problem(key, f"{key}: {_in_words(error)}", _span(line, path))


def _in_words(error: "ValidationError") -> str:
    wanted: Any = error.validator_value
    kinds = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    said = {
        "type": f"{' or '.join(_KINDS.get(str(kind), str(kind)) for kind in kinds)} is expected.",
        "enum": f"one of {', '.join(map(str, kinds))} is expected.",
        "minItems": "it is empty.",
        "minLength": "it is empty.",
        "minProperties": f"it is empty; it holds one of {', '.join(EXPECTED)} at least.",
        "minimum": f"{wanted} is the least.",
        "maximum": f"{wanted} is the most.",
        "anyOf": "a text, or a list of texts, is expected; none of them empty.",
    }
    return said.get(str(error.validator), f"{error.message}.")


_KINDS: Final = {
    "string": "a text",
    "array": "a list",
    "object": "an object",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _beyond_the_schema(line: str, document: Mapping[str, Any]) -> Iterator[Problem]:
    """What a schema cannot say."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  (as above)

    if document["messages"][-1]["role"] == "assistant":
        yield Problem(
            "messages",
            "messages: the last turn is the model's own; what it should say belongs into expected.",
            _span(line, ["messages"]),
        )
    expected = document["expected"]
    try:
        re.compile(expected.get("regex", ""))
    except re.error as error:
        yield Problem(
            "expected.regex",
            f"expected.regex: this is no regular expression: {error}.",
            _span(line, ["expected", "regex"]),
        )
    try:
        _validator().check_schema(expected.get("json_schema", True))
    except SchemaError as error:
        at = ".".join(str(part) for part in error.absolute_path)
        yield Problem(
            "expected.json_schema",
            f"expected.json_schema: this is no JSON schema: {f'{at}: ' if at else ''}{shortened(error.message)}.",
            _span(line, ["expected", "json_schema"]),
        )


def _named(path: Sequence[str | int]) -> str:
    """The path as people write it: messages[0].role."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _span(line: str, path: Sequence[str | int], *, key: bool = False) -> Span:
    """Where the value (or the key) stands; of what is inside a list, where the list does."""
    keys = tuple(str(part) for part in path)
    depth = next((place for place, part in enumerate(path) if isinstance(part, int)), len(path))
    member = members(line).get(keys[:depth]) if depth else None
    if member is None:
        return _whole(line)
    return member.key if key and depth == len(path) else member.value


def _whole(line: str) -> Span:
    return Span(len(line) - len(line.lstrip()), len(line.rstrip()))
