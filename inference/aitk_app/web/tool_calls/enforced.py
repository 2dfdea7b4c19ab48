"""Grammars of answers that must be, or may hold, calls of tools with valid arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitk_app.engine.grammar import inline_schema
from aitk_app.web.tool_calls.families import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.grammar import Schema
    from aitk_app.web.tool_bodies import FunctionTool
    from aitk_app.web.tool_calls.families import Family, Reasoning

_HEAD = "%llguidance {}"
_MOST_CALLS = 16
_TAIL = r"TAIL: /(.|\n)*/"
_NO_CALL = r"/\s*([^{\[`\s](.|\n)*)?/"  # in plain JSON a call is known by how an answer begins

Literal = Callable[[str], str]
"""A text as the tokenizer has it: by its special token, or in quotes."""


@dataclass(frozen=True)
class Thought:
    """The reasoning that stands before an answer; `begun` by the chat template, or left to the model."""

    marks: Reasoning
    begun: bool

    @classmethod
    def before(cls, marks: Reasoning | None, opening: str) -> Thought | None:
        """What the model may think before it answers; `opening` is what the template wrote of the answer."""
        if marks is None or "<|channel|>" in marks.begin:  # there an announcement stands between, too
            return None
        if opening.rstrip().endswith(marks.end):  # as templates write where no reasoning is wanted
            return None
        return cls(marks, opening.rstrip().endswith(marks.begin))


@dataclass(frozen=True)
class Writing:
    """How a model writes an answer."""

    family: Family
    literal: Literal
    thought: Thought | None = None


def formed(schema: Schema, writing: Writing) -> str:
    """The grammar of an answer that follows a schema."""
    return _whole(inline_schema(schema), [], writing)


def calls_only(writing: Writing, tools: Sequence[FunctionTool], *, several: bool) -> str:
    """The grammar of one call or more, and nothing else."""
    return _whole(*_only_calls(writing, tools, several=several), writing)


def formed_or_calls(schema: Schema, writing: Writing, tools: Sequence[FunctionTool], *, several: bool) -> str:
    """The grammar of an answer that follows a schema, or of calls in its place.

    A family whose calls no grammar of ours writes has them its own way, unless a tool is strict. Where a call has no
    mark it is JSON, as the other answer is: there it is one call, or a list of them.
    """
    family = writing.family
    mark, strict = family.begin.strip(), any(each.strict for each in tools)
    answer = inline_schema(schema)
    if mark and not family.enforced and not strict:
        return _whole(f"{answer} | {writing.literal(mark)} (TAIL | <[*]>)*", [_TAIL], writing)  # special tokens, too
    if mark and family.enforced:
        calls, rules = _only_calls(writing, tools, several=several)
        return _whole(f"{answer} | {calls}", rules, writing)
    each = [inline_schema(_call_as_json(family, tool)) for tool in tools]
    if several:
        listed = {"type": "array", "minItems": 1, "maxItems": _MOST_CALLS}
        each += [inline_schema(listed | {"items": _call_as_json(family, tool)}) for tool in tools]
    return _whole(" | ".join([answer, *each]), [], writing)


def text_or_calls(writing: Writing, tools: Sequence[FunctionTool], *, several: bool) -> str:
    """The grammar of any text, in which what begins as a call is one with valid arguments."""
    family, literal, thought = writing.family, writing.literal, writing.thought
    form = family if family.enforced and family.begin.strip() else PLAIN
    if form is PLAIN:
        calls = f'one | "[" {_many(form, "one", several=several)} "]"'
        opened = re.escape(thought.marks.begin).replace("/", r"\/") if thought else ""
        no_thought = rf" & ~/\s*{opened}(.|\n)*/" if opened else ""
        rules = [f"NO_CALL: {_NO_CALL}{no_thought}", *_calls(form, tools)]
        return _whole(f"{calls} | NO_CALL", rules, writing)
    mark = literal(form.begin.strip())
    lead = "lead" if mark.startswith("<[") else "lead[lazy]"
    after = _text(form.begin[form.begin.index(form.begin.strip()) + len(form.begin.strip()) :])
    inner = f'"[" {_many(form, "one", several=several)} "]"' if form.in_list else "one"
    again = "*" if several and not form.in_list else "?"
    rules = [f"{lead}: TAIL {mark}", _TAIL, f"whole: {after} {inner} {_marks(form.end, literal)}"]
    return _whole(f"(lead whole){again} TAIL", [*rules, *_calls(form, tools)], Writing(family, literal))


def _only_calls(writing: Writing, tools: Sequence[FunctionTool], *, several: bool) -> tuple[str, list[str]]:
    """One call or more in the family's form, and the rules for it."""
    form = writing.family if writing.family.enforced else PLAIN
    begin, end = (_marks(each, writing.literal) for each in (form.begin, form.end))
    many = _many(form, "one" if form.in_list else "marked", several=several)
    if form is PLAIN:
        start = f'one | "[" {many} "]"' if several else "one"
    elif form.in_list:
        start = f'{begin} "[" {many} "]" {end}'
    else:
        start = many
    return start, [f"marked: {begin} one {end}", *_calls(form, tools)]


def _whole(body: str, rules: list[str], writing: Writing) -> str:
    """The grammar, with the reasoning that may or must come first."""
    start, thought, literal = "start: body", writing.thought, writing.literal
    if thought is not None:
        mark = literal(thought.marks.end)
        before = [] if thought.begun else [f"opened: {literal(thought.marks.begin)}"]
        start = "start: thought SPACE body" if thought.begun else "start: (opened thought SPACE)? body"
        name = "thought" if mark.startswith("<[") else "thought[lazy]"
        rules = [*rules, *before, f"{name}: TAIL {mark}", r"SPACE: /[ \n]{0,4}/"]
        rules += [] if _TAIL in rules else [_TAIL]
    return "\n".join([_HEAD, start, f"body: {body}", *rules, ""])


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


def _call_as_json(family: Family, tool: FunctionTool) -> dict[str, object]:
    """The schema of a call that is all JSON."""
    arguments = family.arguments if family.enforced else PLAIN.arguments
    schema = _closed(tool)
    shared: dict[str, object] = {}
    for name in ("$defs", "definitions"):  # references to them begin at the top
        if name in schema:
            shared[name] = schema.pop(name)
    call = {"name": {"const": tool.name}, arguments: schema}
    closed = {"required": list(call), "additionalProperties": False}
    return {**shared, "type": "object", "properties": call, **closed}


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
