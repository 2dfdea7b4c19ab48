"""The expression language of ARM templates: text to tree, and back.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Never

from ai_toolkit.local_cloud.template.functions.values import GREATEST_INTEGER, LEAST_INTEGER

MOST_DIGITS: Final = 100  # of a number: leading zeros say nothing
DEEPEST_BRACKETS: Final = 100  # nested brackets; beyond this it is refused rather than exhausting the stack


class ExpressionSyntaxError(Exception):
    """Text that is no expression, and where it stops being one (from 0, counted after the `[`)."""

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(f"{message} at position {position} of '{text}'")
        self.message = message
        self.text = text
        self.position = position


@dataclass(frozen=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True)
class Number:
    """An integer literal."""

    value: int


@dataclass(frozen=True)
class Call:
    """A function call; a user's function has its namespace in the name (`contoso.unique`)."""

    name: str
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Member:
    """`of.name`, or `of.?name`, which is null where there is none."""

    of: "Expression"
    name: str
    safe: bool


@dataclass(frozen=True)
class Element:
    """`of[index]`, or `of[?index]`, which is null where there is none."""

    of: "Expression"
    index: "Expression"
    safe: bool


Expression = Text | Number | Call | Member | Element


def is_expression(text: str) -> bool:
    """Whether a JSON string of a template is an expression; `[[` at the start escapes a bracket."""
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[")


def unescape(text: str) -> str:
    """The literal meaning of a JSON string that is no expression."""
    return text[1:] if text.startswith("[[") else text


def parse(text: str) -> Expression:
    """The tree of a JSON string such as `[concat('a', parameters('b'))]`."""
    reader = _Reader(text[1:-1])
    expression = reader.expression(0)
    reader.skip_space()
    if not reader.at_end():
        reader.fail("The expression should end")
    return expression


def write(expression: Expression) -> str:
    """The expression's text, without the brackets around it."""
    match expression:
        case Text(value):
            return "'" + value.replace("'", "''") + "'"
        case Number(value):
            return str(value)
        case Call(name, arguments):
            return f"{name}({', '.join(write(argument) for argument in arguments)})"
        case Member(of, name, safe):
            return f"{write(of)}{'.?' if safe else '.'}{name}"
        case Element(of, index, safe):
            return f"{write(of)}{'[?' if safe else '['}{write(index)}]"


def calls(expression: Expression) -> Iterator[Call]:
    """Every function call in an expression, the outermost first."""
    match expression:
        case Call(_, arguments):
            yield expression
            for argument in arguments:
                yield from calls(argument)
        case Member(of, _, _):
            yield from calls(of)
        case Element(of, index, _):
            yield from calls(of)
            yield from calls(index)


class _Reader:
    """A recursive descent over one expression's text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def fail(self, message: str) -> Never:
        raise ExpressionSyntaxError(message, self._text, self._position)

    def at_end(self) -> bool:
        return self._position >= len(self._text)

    def skip_space(self) -> None:
        while not self.at_end() and self._text[self._position] in " \t\r\n":
            self._position += 1

    def _next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._position)

    def _accept(self, characters: str) -> bool:
        self.skip_space()
        if self._next_is(characters):
            self._position += len(characters)
            return True
        return False

    def _require(self, character: str) -> None:
        if not self._accept(character):
            self.fail(f"'{character}' is expected")

    def expression(self, depth: int) -> Expression:
        if depth > DEEPEST_BRACKETS:
            self.fail("The expression is nested too deeply")
        self.skip_space()
        if self.at_end():
            self.fail("A value is expected")
        found = self._primary(depth)
        for _ in range(len(self._text)):
            if self._accept(".?"):
                found = Member(found, self._identifier(), safe=True)
            elif self._accept("."):
                found = Member(found, self._identifier(), safe=False)
            elif self._accept("["):
                safe = self._accept("?")
                index = self.expression(depth + 1)
                self._require("]")
                found = Element(found, index, safe)
            else:
                break
        return found

    def _primary(self, depth: int) -> Expression:
        character = self._text[self._position]
        if character == "'":
            return Text(self._string())
        if character.isascii() and (character.isdigit() or character in "+-"):
            return Number(self._number())
        name = self._identifier()
        while not self._accept("("):
            if not self._accept("."):
                self.fail(f"'(' is expected after '{name}'")
            name = f"{name}.{self._identifier()}"
        arguments: list[Expression] = []
        if not self._accept(")"):
            arguments.append(self.expression(depth + 1))
            while self._accept(","):
                arguments.append(self.expression(depth + 1))
            self._require(")")
        return Call(name, tuple(arguments))

    def _identifier(self) -> str:
        self.skip_space()
        start = self._position
        while not self.at_end() and _in_identifier(self._text[self._position]):
            self._position += 1
        if start == self._position or self._text[start].isdigit():
            self._position = start
            self.fail("A name is expected")
        return self._text[start : self._position]

    def _number(self) -> int:
        start = self._position
        if self._text[start] in "+-":
            self._position += 1
        first_digit = self._position
        while not self.at_end() and self._text[self._position] in "0123456789":
            self._position += 1
        if first_digit == self._position:
            self.fail("A digit is expected")
        written, self._position = self._text[start : self._position], start
        if len(written) > MOST_DIGITS or not LEAST_INTEGER <= int(written) <= GREATEST_INTEGER:
            self.fail("The number is too large")
        self._position += len(written)
        return int(written)

    def _string(self) -> str:
        pieces = []
        start = self._position
        self._position += 1
        while True:
            end = self._text.find("'", self._position)
            if end < 0:
                self._position = start
                self.fail("The string is not closed")
            pieces.append(self._text[self._position : end])
            self._position = end + 1
            if not self._next_is("'"):
                return "".join(pieces)
            pieces.append("'")
            self._position += 1


def _in_identifier(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "_$#")
