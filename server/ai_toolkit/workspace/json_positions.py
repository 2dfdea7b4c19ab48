"""Where in a JSON text each key and each value stands."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Span:
    """Characters from `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Member:
    """One member of an object: where its key stands, with the quotes, and where its value."""

    key: Span
    value: Span


def members(text: str) -> Mapping[tuple[str, ...], Member]:
    """Every member of the text's objects, nested ones too, by the keys that lead to it. Raises ValueError."""
    found: dict[tuple[str, ...], Member] = {}
    begin = _after_space(text, 0)
    if text[begin : begin + 1] != "{":
        raise ValueError("a JSON object is expected")
    _read_object(text, begin, (), found)
    return found


def _after_space(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found else index


def _read_object(text: str, index: int, path: tuple[str, ...], found: dict[tuple[str, ...], Member]) -> int:
    """Reads the object that begins at `index`; returns where it ends."""
    index = _after_space(text, index + 1)
    while text[index : index + 1] != "}":
        key, after_key = _DECODER.raw_decode(text, index)
        colon = _after_space(text, after_key)
        if text[colon : colon + 1] != ":" or not isinstance(key, str):
            raise ValueError("a key and a colon are expected")
        begin = _after_space(text, colon + 1)
        here = (*path, key)
        if text[begin : begin + 1] == "{":
            end = _read_object(text, begin, here, found)
        else:
            end = _DECODER.raw_decode(text, begin)[1]
        found[here] = Member(Span(index, after_key), Span(begin, end))
        index = _after_space(text, end)
        if text[index : index + 1] == ",":
            index = _after_space(text, index + 1)
        elif text[index : index + 1] != "}":
            raise ValueError("a comma or a closing brace is expected")
    return index + 1
