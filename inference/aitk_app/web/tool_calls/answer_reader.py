"""An answer's text, as it grows, taken apart into what is said, what is reasoning, and calls of tools."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transformers.utils.chat_parsing import ResponseParser

from aitk_app.web.tool_calls.calls import json_calls, with_types
from aitk_app.web.tool_calls.families import response_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aitk_app.web.tool_bodies import Tool
    from aitk_app.web.tool_calls.calls import Written
    from aitk_app.web.tool_calls.families import Family, Reasoning


@dataclass(frozen=True)
class Call:
    """A call that a caller can carry out; `arguments` is JSON."""

    name: str
    arguments: str
    id: str


@dataclass
class Read:
    """What one piece of text adds."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.calls)


@dataclass(frozen=True)
class Manner:
    """How a model writes what is not plain text; `own` is a response template that it brought itself."""

    family: Family
    reasoning: Reasoning | None
    own: dict[str, Any] | None
    special: frozenset[str]  # texts of special tokens, which nobody is shown


class _Trimmed:
    """Text without the white space around it: what may be its end is held back."""

    def __init__(self) -> None:
        self._begun = False
        self._space = ""

    def push(self, text: str) -> str:
        """What is certainly within."""
        if not self._begun:
            text = text.lstrip()
        if not text:
            return ""
        self._begun = True
        whole = self._space + text
        kept = whole.rstrip()
        self._space = whole[len(kept) :]
        return kept

    def end(self) -> None:
        """Something else follows."""
        self._space = ""


class AnswerReader:
    """One answer: push its text, special tokens included, and take what it says."""

    def __init__(self, manner: Manner, tools: Sequence[Tool], opening: str, *, one_call: bool = False) -> None:
        self._manner = manner
        self._schemas = {each.function.name: each.function.schema_of_arguments for each in tools}
        self._one_call = one_call
        self.calls: list[Call] = []
        self._raw = ""  # of the region that may be a call
        self._said, self._thought = _Trimmed(), _Trimmed()
        self._parser = ResponseParser(*_template(manner, opening, with_calls=bool(tools)))

    def push(self, text: str) -> Read:
        """What is certain after this text."""
        return self._read(self._parser.feed(text))

    def finish(self) -> Read:
        """The rest, at the end of the answer; a call that was cut is text."""
        return self._read(self._parser.finalize()[1])

    @property
    def done(self) -> bool:
        """Whether no more than this may be said: one call was wanted, and it is there."""
        return self._one_call and bool(self.calls)

    def _read(self, events: list[dict[str, Any]]) -> Read:
        found = Read()
        for event in events:
            kind, name = event["type"], event["field"]
            if name == "tool_calls":
                if kind == "region_open":
                    self._raw = ""
                    self._said.end()
                elif kind == "region_chunk":
                    self._raw += event["text"]
                else:
                    self._end_of_call(event, found)
            elif kind == "region_chunk":
                text = self._shown(event["text"])
                if name == "content":
                    found.text += self._said.push(text)
                elif name in {"thinking", "reasoning", "reasoning_content"}:
                    found.reasoning += self._thought.push(text)
        return found

    def _end_of_call(self, event: Mapping[str, Any], found: Read) -> None:
        try:
            written = self._written(event["value"])
        except (ValueError, KeyError, TypeError, RecursionError):
            found.text += self._said.push(self._shown(self._raw))  # it was none: nothing that was said is lost
            return
        for each in written:
            if self.done:
                return
            arguments = with_types(each, self._schemas.get(each.name, {}))
            call = Call(each.name, json.dumps(arguments, ensure_ascii=False), f"call_{secrets.token_hex(12)}")
            self.calls.append(call)
            found.calls.append(call)

    def _written(self, value: Any) -> list[Written]:  # noqa: ANN401 - of the parser
        # What is no text, a response template of the model's own has read.
        written = self._manner.family.read(value) if isinstance(value, str) else json_calls(json.dumps(value))
        if any(each.name not in self._schemas for each in written):
            raise ValueError("a function that was not offered")
        return written

    def _shown(self, text: str) -> str:
        for each in self._manner.special:
            if each in text:
                text = text.replace(each, "")
        return text


def _template(manner: Manner, opening: str, *, with_calls: bool) -> tuple[dict[str, Any], str]:
    """By what an answer is read, and what of it the chat template has written already."""
    if manner.own is not None:
        return manner.own, opening
    reasoning = manner.reasoning
    begun = reasoning is not None and opening.rstrip().endswith(reasoning.begin)
    return (
        response_template(manner.family if with_calls else None, reasoning),
        reasoning.begin if begun and reasoning is not None else "",
    )
