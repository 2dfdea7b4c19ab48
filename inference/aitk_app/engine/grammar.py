"""Answers that must follow a JSON schema or another grammar, enforced token by token by llguidance.

Source: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Schema = dict[str, Any] | bool

# Between the parts of a value: a space, or a new line and its indentation, as models write it.
_JSON_OPTIONS = {"whitespace_pattern": r"( |\n( {0,16}|\t{0,8}))?"}
# What llguidance enforces of `format`; any other is, as JSON Schema has it, a remark.
_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown"]
)
_PLACE_IN_GRAMMAR = re.compile(r"^at \d+\(\d+\): ")
_ABOUT_SCHEMA = "failed to compile JSON schema: "
# Where a schema holds further schemas: below these names directly, in a list, or under names of the caller's.
_ONE = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "additionalItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


class GrammarError(Exception):
    """No answer can be made to follow the grammar; the message says why, as the rest of a sentence."""


class Grammars:
    """What grammars are compiled for: a tokenizer, whose tokens the model of `vocabulary` logits answers with."""

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Iterable[int]) -> None:  # noqa: ANN401 - of transformers
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise GrammarError(
                "this model's tokenizer has no fast form, without which an answer's form is not enforced"
            )
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        try:
            size = max(vocabulary, max(tokenizer.get_vocab().values()) + 1)
            self._compiled_for: LLTokenizer = from_tokenizer(tokenizer, size, sorted(ends) or None)
        except Exception as error:  # whatever a tokenizer of somebody's brings
            what = "this model's tokenizer cannot be used for it"
            raise GrammarError(f"{what}. {log_says(error, what).removesuffix('.')}") from error

    def literal(self, text: str) -> str:
        """How a grammar says this text: by its special token where the tokenizer has one."""
        token = self._tokenizer.convert_tokens_to_ids(text) if text in self._tokenizer.get_vocab() else None
        if token is not None and self._compiled_for.is_special_token(token):
            return f"<[{token}]>"
        return json.dumps(text, ensure_ascii=False)

    def of_schema(self, schema: Schema) -> GrammarConstraint:
        """For one answer that follows a JSON schema. Raises `GrammarError`, naming the place in the schema."""
        try:
            return self.constraint(of_schema(schema))
        except GrammarError as error:
            place, why = self._place(schema, str(error))
            raise GrammarError(f"{place or 'its top'}: {why}") from error

    def _place(self, schema: Schema, why: str) -> tuple[str, str]:
        """The innermost part of the schema that cannot be followed by itself, and why."""
        if not isinstance(schema, dict):
            return "", why
        shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        for path, part in _parts(schema):
            alone = {**shared, **part} if isinstance(part, dict) else part
            try:
                self.constraint(of_schema(alone))
            except GrammarError as error:
                if part is False:
                    continue  # which is allowed, for what may not be there
                further, reason = self._place({**part} if isinstance(part, dict) else part, str(error))
                return path + further, reason
        return "", why

    def constraint(self, grammar: str) -> GrammarConstraint:
        """For one answer. Takes up to a second for a large grammar. Raises `GrammarError`."""
        matcher = LLMatcher(self._compiled_for, grammar, log_level=0)
        if matcher.is_error():
            raise GrammarError(_in_words(matcher.get_error()))
        found = GrammarConstraint(matcher, self._vocabulary)
        found.check()
        return found


def of_schema(schema: Schema) -> str:
    """The grammar of the JSON values that follow the schema; see `inline_schema` for a part of another grammar."""
    return f"%llguidance {{}}\nstart: {inline_schema(schema)}\n"


def inline_schema(schema: Schema) -> str:
    """The schema as a term of a grammar."""
    if schema is False:
        raise GrammarError("nothing can follow the schema false")
    given = _without_remarks(schema) if isinstance(schema, dict) else {}
    return "%json " + json.dumps({**given, "x-guidance": _JSON_OPTIONS})


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas within a schema, with their places as JSON pointers."""
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, dict):
            yield from ((f"/{name}/{key}", part) for key, part in value.items())
        elif name in _LISTS and isinstance(value, list):
            yield from ((f"/{name}/{place}", part) for place, part in enumerate(value))
        elif name in _ONE and isinstance(value, (dict, bool)):
            yield f"/{name}", value


def _without_remarks(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what only describes, where llguidance would refuse it."""
    changed = dict(schema)
    if changed.get("format") not in _FORMATS:
        changed.pop("format", None)
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, dict):
            changed[name] = {
                key: _without_remarks(part) if isinstance(part, dict) else part for key, part in value.items()
            }
        elif name in _LISTS and isinstance(value, list):
            changed[name] = [_part_without_remarks(part) for part in value]
        elif name in _ONE and isinstance(value, dict):
            changed[name] = _without_remarks(value)
    return changed


def _part_without_remarks(part: Any) -> Any:  # noqa: ANN401 - of JSON
    return _without_remarks(part) if isinstance(part, dict) else part


class GrammarConstraint:
    """One answer's place in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._mask = allocate_token_bitmask(1, vocabulary)
        self.complete = False

    def copy(self) -> GrammarConstraint:
        """For another answer to the same question."""
        return GrammarConstraint(self._matcher.deep_copy(), self._vocabulary)

    def check(self) -> None:
        """Raise `GrammarError` where no answer can even begin."""
        if not self._allowed().any():
            raise GrammarError("no answer can follow it")

    def restrict(self, logits: torch.Tensor) -> None:
        """Give what may not come next minus infinity, in place; `[vocabulary]`."""
        allowed = self._allowed()
        logits[~allowed.to(logits.device)] = -torch.inf

    def take(self, token: int) -> None:
        """The token came. Raises ValueError for one that may not."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"the answer cannot go on as its form asks: {_in_words(self._matcher.get_error())}")
        self.complete = self._matcher.is_stopped()

    def _allowed(self) -> torch.Tensor:
        fill_next_token_bitmask(self._matcher, self._mask)
        if self._matcher.is_error():
            raise ValueError(f"the answer's form cannot be followed: {_in_words(self._matcher.get_error())}")
        words = torch.from_numpy(self._mask[0])
        bits = (words[:, None] >> torch.arange(32, dtype=torch.int32)) & 1
        return bits.bool().flatten()[: self._vocabulary]


def _in_words(text: str) -> str:
    """The first line of what llguidance says, without places in grammars that nobody sees."""
    lines = text.strip().splitlines() or ["unknown"]
    line = lines[0] + (f" {lines[-1].removeprefix('error: ')}" if lines[0].endswith(":") else "")
    return _PLACE_IN_GRAMMAR.sub("", line).removeprefix(_ABOUT_SCHEMA)
