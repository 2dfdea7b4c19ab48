"""How each family of models writes a call: found by what its chat template says, read by transformers' own parser.

A model that brings a `response_template` of its own is read by that. For all others the templates here are written in
the same notation. Source: https://huggingface.co/docs/transformers/chat_response_parsing and the families' own cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aitk_app.web.tool_calls.calls import (
    channel_call,
    json_calls,
    marked_arguments,
    named_json,
    pythonic_calls,
    xml_parameters,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitk_app.web.tool_calls.calls import Written

# An answer that begins as JSON may be a call in any family: small models forget their marks.
_JSON = r"\s*(?:```(?:json)?\s*)?(?=\{|\[\s*\{)"


@dataclass(frozen=True)
class Reasoning:
    """What stands around a model's reasoning."""

    begin: str
    end: str


@dataclass(frozen=True)
class Family:
    """How a call is written; `begin` and `end` are literal texts, `begin` empty for calls without a mark."""

    name: str
    mark: str  # what a chat template of this family says
    begin: str
    end: str
    read: Callable[[str], list[Written]]  # a call's text between the marks; ValueError where it is none
    arguments: str = "arguments"
    in_list: bool = False  # all calls in one JSON list between one pair of marks
    enforced: bool = True  # whether a grammar of ours writes it; plain JSON is enforced otherwise
    between: str = "\n"
    name_first: str | None = None  # between a call's name and its arguments, where it is not all JSON
    more_begins: tuple[str, ...] = ()

    def field(self, reasoning: Reasoning | None) -> dict[str, Any]:
        """In transformers' notation: what begins a call, and what ends it."""
        begins = [re.escape(each) for each in (self.begin.strip(), *self.more_begins) if each]
        at_once = rf"(?:\A|(?<={re.escape(reasoning.end)})){_JSON}" if reasoning else rf"\A{_JSON}"
        opened = {**_TEXT, "open_pattern": "|".join([*begins, at_once])}
        return {**opened, "close": self.end.strip()} if self.end.strip() else opened


_TEXT = {"content": "text", "content_args": {"strip": False}, "repeats": True}
PLAIN = Family("plain JSON", "", "", "", json_calls)
_FAMILIES = (
    Family(
        "DeepSeek", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", named_json,
        enforced=False,
    ),
    Family("Mistral", "[ARGS]", "[TOOL_CALLS]", "", named_json, name_first="[ARGS]", between=""),
    Family("Mistral", "[TOOL_CALLS]", "[TOOL_CALLS]", "", named_json, in_list=True, between=", "),
    Family("Qwen coder", "<function=", "<tool_call>", "</tool_call>", xml_parameters, enforced=False),
    Family("GLM", "<arg_key>", "<tool_call>", "</tool_call>", marked_arguments, enforced=False),
    Family("Hermes", "<tool_call>", "<tool_call>\n", "\n</tool_call>", json_calls),
    Family("Phi-4-mini", "<|/tool_call|>", "<|tool_call|>", "<|/tool_call|>", json_calls, in_list=True, between=", "),
    Family("Granite", "<|tool_call|>", "<|tool_call|>", "", json_calls, in_list=True, between=", "),
    Family("Phi-4", "functools", "functools", "", json_calls, in_list=True, between=", "),
    Family(
        "LFM2", "<|tool_call_start|>", "<|tool_call_start|>", "<|tool_call_end|>", pythonic_calls, enforced=False
    ),
    Family("Llama 4", "<|python_start|>", "<|python_start|>", "<|python_end|>", pythonic_calls, enforced=False),
    Family("gpt-oss", "<|channel|>commentary", "<|channel|>commentary", "<|call|>", channel_call, enforced=False),
    Family(
        "Llama 3", '"parameters":', "", "", json_calls, arguments="parameters", between="; ",
        more_begins=("<|python_tag|>",),
    ),
    Family("Llama 3", "<|python_tag|>", "<|python_tag|>", "", json_calls, arguments="parameters", between="; "),
)  # fmt: skip


_REASONINGS = (
    Reasoning("<think>", "</think>"),
    Reasoning("[THINK]", "[/THINK]"),
    Reasoning("<seed:think>", "</seed:think>"),
    Reasoning("<|channel|>analysis<|message|>", "<|end|>"),
)


def family_of(source: str, *, knows_tools: bool) -> Family:
    """How the model with this chat template writes calls; plain JSON where we tell it in words."""
    if not knows_tools:
        return PLAIN
    return next((each for each in _FAMILIES if each.mark in source), PLAIN)


def reasoning_of(source: str) -> Reasoning | None:
    """How the model with this chat template marks its reasoning; None where it does not."""
    # What ends some families' reasoning ends every turn of others.
    return next(
        (each for each in _REASONINGS if each.begin in source or ("/" in each.end and each.end in source)), None
    )


def response_template(family: Family | None, reasoning: Reasoning | None) -> dict[str, Any]:
    """What transformers' parser reads an answer by; without a family nothing is taken for a call."""
    fields: dict[str, Any] = {"content": _TEXT}
    if family is not None:
        fields["tool_calls"] = family.field(reasoning)
    if reasoning is not None:
        fields["thinking"] = {**_TEXT, "open": reasoning.begin, "close": reasoning.end}
        if "<|channel|>" in reasoning.begin:  # what announces the answer itself
            announced = {"open": ["<|start|>assistant", "<|channel|>final"]}
            fields["announced"] = {**_TEXT, **announced, "close_pattern": r"(?=<\|channel\|>)|<\|message\|>"}
    return {"version": 1, "start_anchor_pattern": r"\A", "fields": fields}
