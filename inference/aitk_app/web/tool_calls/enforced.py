"""Grammars of answers that must be, or may hold, calls of tools with valid arguments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aitk_app.engine.grammar import inline_schema
from aitk_app.web.tool_calls.families import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitk_app.web.tool_bodies import FunctionTool
    from aitk_app.web.tool_calls.families import Family

_HEAD = "%llguidance {}"
_MOST_CALLS = 16
_TAIL = r"TAIL: /(.|\n)*/"
_NO_CALL = r"/\s*([^{\[`\s](.|\n)*)?/"  # in plain JSON a call is known by how an answer begins


def calls_only(family: Family, tools: Sequence[FunctionTool], literal: Callable[[str], str], *, several: bool) -> str:
    """The grammar of one call or more, and nothing else. `literal` says a text as the tokenizer has it."""
    form = family if family.enforced else PLAIN
    begin, end = (_marks(each, literal) for each in (form.begin, form.end))
    many = _many(form, "one" if form.in_list else "marked", several=several)
    if form is PLAIN:
        start = f'one | "[" {many} "]"' if several else "one"
    elif form.in_list:
        start = f'{begin} "[" {many} "]" {end}'
    else:
        start = many
    return "\n".join([_HEAD, f"start: {start}", f"marked: {begin} one {end}", *_calls(form, tools), ""])


def text_or_calls(
    family: Family, tools: Sequence[FunctionTool], literal: Callable[[str], str], *, several: bool
) -> str:
    """The grammar of any text, in which what begins as a call is one with valid arguments."""
    form = family if family.enforced and family.begin.strip() else PLAIN
    if form is PLAIN:
        calls = f'one | "[" {_many(form, "one", several=several)} "]"'
        return "\n".join([_HEAD, f"start: {calls} | {_NO_CALL}", *_calls(form, tools), ""])
    mark = literal(form.begin.strip())
    lead = "lead" if mark.startswith("<[") else "lead[lazy]"
    after = _text(form.begin[form.begin.index(form.begin.strip()) + len(form.begin.strip()) :])
    inner = f'"[" {_many(form, "one", several=several)} "]"' if form.in_list else "one"
    again = "*" if several and not form.in_list else "?"
    rules = [f"start: (lead whole){again} TAIL", f"{lead}: TAIL {mark}", _TAIL]
    return "\n".join([_HEAD, *rules, f"whole: {after} {inner} {_marks(form.end, literal)}", *_calls(form, tools), ""])


def _many(form: Family, one: str, *, several: bool) -> str:
    """One call, or as many as make sense."""
    between = _text(", " if form is PLAIN else form.between)
    return f"{one} ({between} {one}){{0,{_MOST_CALLS - 1}}}" if several else one


def _calls(form: Family, tools: Sequence[FunctionTool]) -> list[str]:
    """The rule `one`: a call of one of the tools."""
    names = " | ".join(f"call_{place}" for place in range(len(tools)))
    return [f"one: {names}", *(f"call_{place}: {_call(form, tool)}" for place, tool in enumerate(tools))]


def _call(form: Family, tool: FunctionTool) -> str:
    arguments = inline_schema(_closed(tool))
    if form.name_first is not None:
        return f"{json.dumps(tool.name)} {json.dumps(form.name_first)} {arguments}"
    head = f'{{"name": {json.dumps(tool.name)}, "{form.arguments}": '
    return f'{json.dumps(head)} {arguments} "}}"'


def _closed(tool: FunctionTool) -> dict[str, object]:
    """The arguments' schema; what it does not name is not made up."""
    schema: dict[str, object] = dict(tool.schema_of_arguments)
    schema.setdefault("type", "object")
    if "properties" in schema or schema == {"type": "object"}:
        schema.setdefault("additionalProperties", False)
    return schema


def _marks(text: str, literal: Callable[[str], str]) -> str:
    """A mark with what surrounds it, such as a line's end."""
    stripped = text.strip()
    if not stripped:
        return _text(text)
    before, after = text[: text.index(stripped)], text[text.index(stripped) + len(stripped) :]
    return " ".join(filter(None, (_text(before), literal(stripped), _text(after))))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""
