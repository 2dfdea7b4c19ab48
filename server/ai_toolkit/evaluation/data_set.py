"""A fine-tuning data set's lines as cases: the last answer of each becomes the reference text."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import FileMissing
from ai_toolkit.evaluation.case_schema import ROLES
from ai_toolkit.evaluation.cases import Case, Expected, shortened
from ai_toolkit.evaluation.errors import CasesBroken
from ai_toolkit.workspace.text_file import read_text

_PAIRS: Final = (
    ("instruction", "output"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("phrase", "tone"),
    ("query", "response"),
)
"""Question and answer, as data sets of fine-tuning call them; the first pair that an entry has."""
_ROLES: Final = {
    **{role: role for role in ROLES},
    "human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
    "observation": "tool", "function_call": "assistant",
}  # fmt: skip
"""The roles of a chat request, by the names that data sets give them."""
FORMS: Final = "messages, conversations, " + ", ".join(f"{one}/{other}" for one, other in _PAIRS)


def cases_of_data(path: Path, first: int) -> tuple[Case, ...]:
    """The first entries of a JSON or JSON Lines file as cases.

    Raises FileMissing, FileMalformed, or CasesBroken for an entry of no known form, with its line or place.
    """
    if not path.is_file():
        raise FileMissing(path, "Name the file that fine-tuning used.")
    found: list[Case] = []
    for place, entry in _entries(path, read_text(path)):
        if len(found) == first:
            break
        found.append(_case(f"{path.name}, {place}", f"{path.name}:{place.rpartition(' ')[2]}", entry))
    if not found:
        raise CasesBroken(f"{path} holds no entries.")
    return tuple(found)


def _entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise CasesBroken(f"{path.name}, line {error.lineno}: this is not JSON: {error.msg}.") from error
        yield from ((f"entry {number}", entry) for number, entry in enumerate(entries, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise CasesBroken(f"{path.name}, line {number}: this is not JSON: {error.msg}.") from error


def _case(where: str, identity: str, entry: object) -> Case:
    turns = list(_turns(entry, where)) if isinstance(entry, Mapping) else []
    if not turns:
        raise CasesBroken(f"{where}: it has none of the forms that are known: {FORMS}.")
    if len(turns) < 2 or turns[-1]["role"] != "assistant" or not turns[-1]["content"].strip():  # noqa: PLR2004  (a question, an answer)
        raise CasesBroken(f"{where}: its last turn is not an answer of the role assistant.")
    *asked, answer = turns
    return Case(identity, shortened(asked[-1]["content"]), tuple(asked), Expected(reference=answer["content"]))


def _turns(entry: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    given = entry.get("messages") or entry.get("conversations")
    prompt, completion = entry.get("prompt"), entry.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        given = [*prompt, *completion]
    system = entry.get("system")
    if isinstance(given, list):
        turns = [_turn(turn, where) for turn in given if isinstance(turn, Mapping)]
        if isinstance(system, str) and system and turns and turns[0]["role"] != "system":
            yield {"role": "system", "content": system}
        yield from turns
        return
    for question, answer in _PAIRS:
        if isinstance(entry.get(question), str) and isinstance(entry.get(answer), str):
            more = entry.get("input") if question == "instruction" else None
            asked = f"{entry[question]}\n\n{more}" if isinstance(more, str) and more else entry[question]
            if isinstance(system, str) and system:
                yield {"role": "system", "content": system}
            for one, other in _history(entry.get("history")):
                yield {"role": "user", "content": one}
                yield {"role": "assistant", "content": other}
            yield {"role": "user", "content": asked}
            yield {"role": "assistant", "content": entry[answer]}
            return


def _turn(turn: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A turn as a chat request has it, with its calls of tools. Raises CasesBroken for a role that none has."""
    name = str(turn.get("role") or turn.get("from") or "")
    role = _ROLES.get(name)
    if role is None:
        raise CasesBroken(f"{where}: a turn has the role “{shortened(name)}”; known are {', '.join(_ROLES)}.")
    content = turn.get("content") if "content" in turn else turn.get("value")
    calls = {key: turn[key] for key in ("tool_calls", "tool_call_id", "name") if turn.get(key)}
    return {"role": role, "content": _text(content), **calls}


def _text(content: object) -> str:
    """What is said, also where it is given in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _history(given: object) -> Iterator[tuple[str, str]]:
    """The turns before, as pairs of question and answer."""
    for pair in given if isinstance(given, list) else ():
        if isinstance(pair, list) and [type(each) for each in pair] == [str, str]:
            yield pair[0], pair[1]
