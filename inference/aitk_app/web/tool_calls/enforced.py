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

_MOST_CALLS = 16
_NO_CALL = r"/\s*([^{\[`\s](.|\n)*)?/"  # in plain JSON a call is known by how an answer begins


def calls_only(
    family: Family, tools: Sequence[FunctionTool], literal: Callable[[str], str], *, several: bool
) -> str:
    """The grammar of one call or more, and nothing else. `literal` says a text as the tokenizer has it."""
    form = family if family.enforced else PLAIN
    rules = [f"call_{place}: {_call(form, tool)}" for place, tool in enumerate(tools)]
    one = " | ".join(f"call_{place}" for place in range(len(tools)))
    more = f"({_text(form.between)} one){{0,{_MOST_CALLS - 1}}}" if several else ""
    begin, end = (_marks(each, literal) for each in (form.begin, form.end))
    if form.in_list:
        start = f'{begin} "[" one {more} "]" {end}'
    elif form is PLAIN and several:
        more = f'(", " one){{0,{_MOST_CALLS - 1}}}'
        start = f'one | "[" one {more} "]"'
    else:
        more = f"({_text(form.between)} marked){{0,{_MOST_CALLS - 1}}}" if several else ""
        rules.append(f"marked: {begin} one {end}")
        start = f"marked {more}"
    return "\n".join(["%llguidance {}", f"start: {start}", f"one: {one}", *rules, ""])


def text_or_calls(family: Family, tools: Sequence[FunctionTool], literal: Callable[[str], str], *, several: bool) -> str:
    """The grammar of any text, in which what begins as a call is one with valid arguments."""
    begin = family.begin.strip() if family.enforced else ""
    inner = calls_only(family, tools, literal, several=several).splitlines()
    start, rules = inner[1].removeprefix("start: "), inner[2:]
    if not begin:
        return "\n".join([inner[0], f"start: whole | {_NO_CALL}", f"whole: {start}", *rules, ""])
    lead, mark = ("lead", literal(begin)) if literal(begin).startswith("<[") else ("lead[lazy]", json.dumps(begin))
    rest = start.replace(_marks(family.begin, literal), "", 1)  # the mark is the lead's
    again = "*" if several and not family.in_list else "?"
    return "\n".join([inner[0], f"start: (lead whole){again} TAIL", f"{lead}: TAIL {mark}", f"whole: {rest}", *rules, ""])


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
