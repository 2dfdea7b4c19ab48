"""JSON as Azure reads it: with comments, unquoted names, trailing commas, single quotes and strings over several lines.

The Azure CLI sends a template as its file has it, behind a name without quotes; templates read such text by `json()`.
Source: the notation that https://www.newtonsoft.com/json accepts, which Azure is built on.
"""

import json
import math
import re
from typing import Any, Final, Never

Value = Any  # a JSON value
DEEPEST_JSON: Final = 64
_SPACE: Final = re.compile(r"(?:\s|//[^\r\n]*|/\*.*?\*/|\ufeff)*", re.DOTALL)
_NAME: Final = re.compile(r"[\w$]+")
_NUMBER: Final = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])")
_PLAIN: Final = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "\\": "\\", "/": "/", '"': '"', "'": "'"}
_WORDS: Final = {"true": True, "false": False, "null": None, "undefined": None}
_OCTAL: Final = re.compile(r"-?0[0-7]+")
_SURROGATE_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def read_json(content: bytes) -> Value:
    """The value of a request's body; ValueError where even a relaxed reader finds no sense."""
    try:
        return json.loads(content)
    except ValueError:
        reader = _Reader(content.decode(), may_end_early=False)
        value = reader.value(0)
        reader.expect_end()
        return value


def read_first(text: str) -> Value:
    """The first value in a text, which may end before it is closed; ValueError where there is none."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError:
        return _Reader(text, may_end_early=True).value(0)


def _refuse_constant(word: str) -> Never:
    """NaN and the like are no values that JSON could say again."""
    raise ValueError(word)


class _Reader:
    """A recursive descent over one text."""

    def __init__(self, text: str, *, may_end_early: bool) -> None:
        self._text = text
        self._at = 0
        self._may_end_early = may_end_early

    def value(self, depth: int) -> Value:
        """The value that stands next."""
        if depth > DEEPEST_JSON:
            self._fail("nested too deeply")
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"' | "'" as quote:
                return self._string(quote)
            case "":
                self._fail("a value is expected")
        if (number := _NUMBER.match(self._text, self._at)) is not None:
            self._at = number.end()
            return _number(number[0])
        word = _NAME.match(self._text, self._at)
        if word is None or word[0] not in _WORDS:
            self._fail("a value is expected")
        self._at = word.end()
        return _WORDS[word[0]]

    def expect_end(self) -> None:
        """Raise ValueError if something follows."""
        if self._next():
            self._fail("the end is expected")

    def _object(self, depth: int) -> Value:
        self._at += 1
        found: dict[str, Value] = {}
        while not self._closes("}"):
            quote = self._next()
            if quote in _PLAIN:
                name = self._string(quote)
            else:
                match = _NAME.match(self._text, self._at)
                if match is None:
                    self._fail("a name is expected")
                name = match[0]
                self._at = match.end()
            if self._next() != ":":
                self._fail("':' is expected")
            self._at += 1
            found[name] = None if not self._next() and self._may_end_early else self.value(depth + 1)
            self._separate("}")
        return found

    def _array(self, depth: int) -> Value:
        self._at += 1
        found: list[Value] = []
        while not self._closes("]"):
            if self._next() == ",":
                found.append(None)  # nothing between two commas
            else:
                found.append(self.value(depth + 1))
            self._separate("]")
        return found

    def _closes(self, bracket: str) -> bool:
        """Whether the object or array ends here; steps over the bracket."""
        character = self._next()
        if character == bracket:
            self._at += 1
            return True
        return not character and self._may_end_early

    def _separate(self, bracket: str) -> None:
        """Step over a comma; nothing else but the end may follow an item."""
        character = self._next()
        if character == ",":
            self._at += 1
        elif character != bracket and not (not character and self._may_end_early):
            self._fail(f"',' or '{bracket}' is expected")

    def _string(self, quote: str) -> str:
        self._at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN[quote].match(self._text, self._at)
            if plain is not None:
                parts.append(plain[0])
                self._at = plain.end()
            if self._at >= len(self._text):
                self._fail("a string does not end")
            if self._text[self._at] == quote:
                self._at += 1
                return _SURROGATE_PAIR.sub(_joined, "".join(parts))
            parts.append(self._escape())

    def _escape(self) -> str:
        code = self._text[self._at + 1 : self._at + 2]
        if code == "u":
            digits = self._text[self._at + 2 : self._at + 6]
            if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                self._fail("four hexadecimal digits are expected")
            self._at += 6
            return chr(int(digits, 16))
        if code not in _ESCAPES:
            self._fail("an unknown escape")
        self._at += 2
        return _ESCAPES[code]

    def _next(self) -> str:
        """The next character that means something, stepping up to it; empty at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _fail(self, message: str) -> Never:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        raise ValueError(f"{message} (line {line}, column {column})")


def _number(text: str) -> int | float:
    if text.lower().lstrip("-").startswith("0x"):
        return int(text, 16)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    return int(text) if text.lstrip("-").isdigit() else _finite(text)


def _finite(text: str) -> float:
    """The number; ValueError for one that is too large to be one, which no JSON could say again."""
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"the number {text} is too large")
    return found


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")
